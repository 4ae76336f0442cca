//! The contract between runtime and plugin: every constant and every layout that crosses the boundary, defined
//! here once and used by both sides. CONTRACT.md explains them; this file is what the compiler sees. All
//! integers are little-endian, as Wasm's are; all pointers are addresses in the guest's linear memory.
//!
//! Nothing here touches memory by address: structs are written to and read from byte slices, field by field.

pub mod functions;
pub mod memory;

/// The contract's version, as it stands in a manifest. A host loads a plugin only if the majors are equal; while
/// the major is 0, the minors must be equal too.
pub const VERSION: &str = "1.0";
/// Custom section of a plugin module that holds its manifest, a JSON object in UTF-8.
pub const MANIFEST_SECTION: &str = "protap.manifest";
/// Module name of the contract's imports.
pub const IMPORT_MODULE: &str = "protap";
/// Window that a plugin gets if its manifest does not ask for another, in bytes.
pub const DEFAULT_WINDOW: u32 = 16 << 10;
/// Largest window that a manifest may ask for, in bytes.
pub const MAX_WINDOW: u32 = 1 << 20;
/// Longest context that a request may leave with the host, in bytes.
pub const MAX_CONTEXT: usize = 64;

/// Names of the functions that a plugin exports (besides its `memory`), and of those it may import from
/// [`IMPORT_MODULE`]. Signatures are in CONTRACT.md.
pub mod name {
    /// `(len: i32) -> i32`: address of an input buffer of at least `len` bytes, 0 if there is no memory for it.
    pub const INPUT: &str = "protap_input";
    /// `(len: i32) -> i32`: options are in the input buffer, keys and values each ended by a zero byte; 0, or 1 + index of the refused one.
    pub const CONFIGURE: &str = "protap_configure";
    /// `(len_a: i32, len_b: i32, flags: i32, ports: i32) -> i64`: whose protocol is this?
    pub const PROBE: &str = "protap_probe";
    /// `(flags: i32, ports: i32) -> i32`: a flow begins; its handle, 0 if there is no room.
    pub const OPEN: &str = "protap_open";
    /// `(handle: i32)`: the flow has ended.
    pub const CLOSE: &str = "protap_close";
    /// `(handle: i32, flags: i32, offset: i64, len: i32, gap: i64) -> i32`: address of a [`super::ParseResult`].
    pub const PARSE: &str = "protap_parse";
    /// `(handle: i32, flags: i32, offset: i64, len: i32) -> i32`: address of a [`super::ParseResult`].
    pub const RESYNC: &str = "protap_resync";
    /// Import, `(select: i32, id: i64, out: i32) -> i32`: context of a pending request of the peer, see [`super::pending`].
    pub const PENDING: &str = "pending";
    /// Import, `(level: i32, ptr: i32, len: i32)`: a line of UTF-8 for the host's log.
    pub const LOG: &str = "log";
}

/// Defines modules of constants, and lists them for whoever writes them down in another language.
macro_rules! numbers {
    ($($(#[doc = $doc:literal])* pub mod $module:ident {
        $($(#[doc = $of:literal])* pub const $name:ident: $ty:ty = $value:expr;)*
    })*) => {
        $($(#[doc = $doc])* pub mod $module { $($(#[doc = $of])* pub const $name: $ty = $value;)* })*

        /// All constants of these modules.
        pub const NUMBERS: &[Numbers] = &[$(Numbers {
            module: stringify!($module),
            doc: &[$($doc),*],
            constants: &[$((stringify!($name), $module::$name as i64, &[$($of),*])),*],
        }),*];
    };
}

/// A module of constants: [`NUMBERS`].
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    /// Its name.
    pub module: &'static str,
    /// Its documentation, line by line.
    pub doc: &'static [&'static str],
    /// Name, value and documentation of each constant.
    pub constants: &'static [(&'static str, i64, &'static [&'static str])],
}

numbers! {
/// Values of the `flags` argument of the calls.
pub mod flag {
    /// `parse`, `resync`: the bytes go from server to client (else from client to server).
    pub const TO_CLIENT: u32 = 1;
    /// The flow is UDP: the window is one whole datagram.
    pub const DATAGRAM: u32 = 2;
    /// `parse`, `resync`: nothing follows the window, the stream has ended.
    pub const END: u32 = 4;
    /// `parse`: the `gap` bytes after the window are missing for good; behind them the stream (though not the
    /// datagram) goes on.
    pub const GAP: u32 = 8;
    /// `resync`: the window begins where the sender began to speak after its peer had been heard out, which is
    /// most likely where a frame starts.
    pub const TURNAROUND: u32 = 16;
    /// `resync`: the window begins where the last candidate said that its next frame would begin.
    pub const EXPECTED: u32 = 32;
    /// `probe`: A's first packet was seen to open the connection (SYN), so A is the client of the transport.
    pub const A_OPENED: u32 = 64;
    /// `probe`: head A begins in the middle of its stream.
    pub const A_MID_STREAM: u32 = 128;
    /// `probe`: head B begins in the middle of its stream.
    pub const B_MID_STREAM: u32 = 256;
    /// `probe`: no more will come than these heads.
    pub const HEADS_COMPLETE: u32 = 512;
    /// `resync`, beside `EXPECTED`: an earlier version of the plugin has read up to the window and was between two
    /// messages, so a frame does begin there; what it knew of the stream is gone.
    pub const BOUNDARY: u32 = 1024;
}

/// What a probe answers: bits 0..8 of its result are one of these, bits 8..16 one of the `CLIENT_` constants,
/// bits 32..64 the number of bytes (of either head) wanted by [`probe::MORE`].
pub mod probe {
    /// Not this plugin's protocol.
    pub const NO: u8 = 0;
    /// Cannot tell before a head is longer.
    pub const MORE: u8 = 1;
    /// It looks like it, but other protocols could look the same.
    pub const LIKELY: u8 = 2;
    /// Nothing else looks like this.
    pub const CERTAIN: u8 = 3;
    /// The heads do not tell who is the client.
    pub const CLIENT_UNKNOWN: u8 = 0;
    /// A is the client.
    pub const CLIENT_A: u8 = 1;
    /// B is the client.
    pub const CLIENT_B: u8 = 2;
}

/// `select` argument of the import `pending`. It writes the context (at most [`MAX_CONTEXT`] bytes) to `out` and
/// returns its length, or -1 if there is no such request.
pub mod pending {
    /// The peer's pending request with this id.
    pub const BY_ID: i32 = 0;
    /// The peer's oldest pending request without an id; `FRONT + n` is the nth after it.
    pub const FRONT: i32 = 1;
}

/// What the guest did with the window: [`ParseResult::verb`].
pub mod verb {
    /// `consumed` bytes are done with; call again with what follows them. `resync`: no frame starts in them.
    pub const MORE: u32 = 0;
    /// As `MORE`, but not before `amount` bytes follow (more than the window had left).
    pub const NEED: u32 = 1;
    /// `consumed` bytes are done with and the `amount` after them shall be passed over without a copy.
    pub const SKIP: u32 = 2;
    /// The flow is not of this protocol after all: infer again, without this plugin.
    pub const REJECT: u32 = 3;
    /// The flow is this protocol's, but unreadable from here on (encrypted): count it, and call no more.
    pub const OPAQUE: u32 = 4;
    /// From stream offset `amount` on another protocol begins: infer again from there.
    pub const HANDOVER: u32 = 5;
    /// The bytes after `consumed` make no sense: resync.
    pub const INVALID: u32 = 6;
    /// The gap cannot be bridged: resync behind it.
    pub const LOST: u32 = 7;
    /// `resync` only: a frame starts `consumed` bytes into the window, confirmed.
    pub const FOUND: u32 = 8;
    /// `resync` only: a frame may start `consumed` bytes into the window; if it does, the next one starts at
    /// stream offset `amount`, where the host shall ask again with [`super::flag::EXPECTED`].
    pub const CANDIDATE: u32 = 9;
}

/// What a message is: [`Message::kind`].
pub mod kind {
    /// Asks for an answer.
    pub const REQUEST: u8 = 0;
    /// Answers a request of the peer.
    pub const RESPONSE: u8 = 1;
    /// Neither is an answer nor gets one.
    pub const ONE_WAY: u8 = 2;
}

/// How a request ended: [`Message::status`].
pub mod status {
    /// Nothing is known about it.
    pub const UNKNOWN: u8 = 0;
    /// It succeeded.
    pub const OK: u8 = 1;
    /// It failed, and the client is to blame.
    pub const CLIENT_ERROR: u8 = 2;
    /// It failed, and the server is to blame.
    pub const SERVER_ERROR: u8 = 3;
    /// It failed for lack of time.
    pub const TIMEOUT: u8 = 4;
}

/// How much of a message was decoded: [`Message::completeness`].
pub mod completeness {
    /// All that the plugin decodes of such a message.
    pub const FULL: u8 = 0;
    /// Some of it; [`super::Message::reason`] says why not all.
    pub const PARTIAL: u8 = 1;
    /// The header alone; [`super::Message::reason`] says why.
    pub const HEADER: u8 = 2;
}

/// Bits of [`Message::flags`].
pub mod message {
    /// `id` is meaningful: the message is paired by it. Without it, pairing is in order.
    pub const HAS_ID: u32 = 1;
    /// `code` is meaningful.
    pub const HAS_CODE: u32 = 2;
    /// A response which more responses to the same request will follow.
    pub const MORE_REPLIES: u32 = 4;
    /// With `MORE_REPLIES`: the next response will bear `next_id` instead of the request's id as well as it.
    pub const HAS_NEXT_ID: u32 = 8;
    /// A request which the server may hold back on purpose: its latency is not its server's slowness.
    pub const LONG_POLL: u32 = 16;
    /// The message is built over several calls: this is its first part, further parts bear the same `handle`.
    pub const BEGIN: u32 = 32;
    /// A further part of the message `handle`: what it sets replaces what was there.
    pub const AMEND: u32 = 64;
    /// The last part of the message `handle`.
    pub const FINISH: u32 = 128;
    /// No message: the request with this id is withdrawn by the side that asked.
    pub const CANCEL: u32 = 256;
}

/// Type of an attribute's value: [`Attribute::tag`].
pub mod tag {
    /// `value` is a [`super::Str`].
    pub const STR: u8 = 0;
    /// `value` is an i64.
    pub const I64: u8 = 1;
    /// `value` holds the bits of an f64.
    pub const F64: u8 = 2;
    /// `value` is 0 or 1.
    pub const BOOL: u8 = 3;
    /// `value` is (address, count) of an array of [`super::Str`].
    pub const LIST: u8 = 4;
    /// As `STR`, but the string is the key of a fact in namespace `aux`; the record gets the fact's value, or the
    /// key where no such fact is known.
    pub const REF: u8 = 5;
    /// As `LIST`, of keys of facts in namespace `aux`.
    pub const REF_LIST: u8 = 6;
}
}

/// Defines a struct of the contract with its field offsets, so that both sides read and write it the same way.
macro_rules! layout {
    ($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $of:literal])* $field:ident: $ty:ty,)* }) => {
        $(#[doc = $doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[doc = $of])* pub $field: $ty,)* }

        impl $name {
            /// Bytes that the struct takes in guest memory in this version of the contract: the least stride of
            /// an array of it.
            pub const SIZE: usize = size_of::<Self>();
            /// Name, offset and size of each field, in order.
            pub const FIELDS: &'static [(&'static str, usize, usize)] =
                &[$((stringify!($field), core::mem::offset_of!(Self, $field), size_of::<$ty>()),)*];

            /// The struct, as it is to be written down in another language.
            pub const LAYOUT: Layout = Layout {
                name: stringify!($name),
                size: size_of::<Self>(),
                doc: &[$($doc),*],
                fields: &[$((
                    stringify!($field), stringify!($ty), core::mem::offset_of!(Self, $field), &[$($of),*],
                )),*],
            };

            /// Reads the struct from the beginning of `bytes`; `None` if they are too few.
            #[inline]
            #[must_use]
            pub fn read(bytes: &[u8]) -> Option<Self> {
                let bytes = bytes.get(..Self::SIZE)?;
                Some(Self { $($field: <$ty as Field>::read(
                    bytes.get(core::mem::offset_of!(Self, $field)..)?,
                )?,)* })
            }

            /// Writes the struct to the beginning of `bytes`; `None`, and nothing of use written, if there is no room.
            #[inline]
            pub fn write(&self, bytes: &mut [u8]) -> Option<()> {
                let bytes = bytes.get_mut(..Self::SIZE)?;
                $(self.$field.write(bytes.get_mut(core::mem::offset_of!(Self, $field)..)?)?;)*
                Some(())
            }
        }
    };
}

/// A struct of the contract.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Its name.
    pub name: &'static str,
    /// Its size in bytes.
    pub size: usize,
    /// Its documentation, line by line.
    pub doc: &'static [&'static str],
    /// Name, type, offset and documentation of each field. A type is an integer's or `Str`.
    pub fields: &'static [(&'static str, &'static str, usize, &'static [&'static str])],
}

/// A type that a field of a contract struct may have.
pub(crate) trait Field: Sized {
    fn read(bytes: &[u8]) -> Option<Self>;
    fn write(&self, bytes: &mut [u8]) -> Option<()>;
}

macro_rules! integer_field {
    ($($ty:ty),*) => {$(
        impl Field for $ty {
            #[inline]
            fn read(bytes: &[u8]) -> Option<Self> {
                bytes.first_chunk().map(|b| <$ty>::from_le_bytes(*b))
            }
            #[inline]
            fn write(&self, bytes: &mut [u8]) -> Option<()> {
                *bytes.first_chunk_mut()? = self.to_le_bytes();
                Some(())
            }
        }
    )*};
}
integer_field!(u8, u16, u32, u64, i64);

/// A string or an array in guest memory: address, and length in bytes (of an array: in elements). `(0, 0)` is
/// "absent". Strings are UTF-8; what is not is replaced and counted by the host.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Str {
    /// Address of the first byte.
    pub ptr: u32,
    /// Length.
    pub len: u32,
}

impl Str {
    /// Bytes that it takes in guest memory.
    pub const SIZE: usize = 8;

    /// The pair as it stands in [`Attribute::value`].
    #[must_use]
    pub const fn to_value(self) -> u64 {
        self.ptr as u64 | (self.len as u64) << 32
    }

    /// The pair that stands in [`Attribute::value`].
    #[must_use]
    pub const fn from_value(value: u64) -> Self {
        Self { ptr: (value & 0xffff_ffff) as u32, len: (value >> 32) as u32 }
    }

    /// Reads the pair from the beginning of `bytes`.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        <Self as Field>::read(bytes)
    }

    /// Writes the pair to the beginning of `bytes`.
    pub fn write(&self, bytes: &mut [u8]) -> Option<()> {
        Field::write(self, bytes)
    }
}

impl Field for Str {
    #[inline]
    fn read(bytes: &[u8]) -> Option<Self> {
        u64::read(bytes).map(Self::from_value)
    }
    #[inline]
    fn write(&self, bytes: &mut [u8]) -> Option<()> {
        self.to_value().write(bytes)
    }
}

layout! {
    /// What `parse` and `resync` answer. It stays valid until the next call into the guest.
    ParseResult {
        /// One of [`verb`].
        verb: u32,
        /// Bytes of the window that are done with; at most the window's length.
        consumed: u32,
        /// Operand of the verb.
        amount: u64,
        /// Address of the first [`Message`].
        messages: u32,
        /// Number of messages.
        message_count: u32,
        /// Distance from one message to the next, at least [`Message::SIZE`].
        message_stride: u32,
        /// Address of the first [`Fact`].
        facts: u32,
        /// Number of facts.
        fact_count: u32,
        /// Distance from one fact to the next, at least [`Fact::SIZE`].
        fact_stride: u32,
        /// Why, for people: of `REJECT`, `OPAQUE`, `HANDOVER`, `INVALID`, `LOST`.
        reason: Str,
    }
}

layout! {
    /// One message, or with `BEGIN`, `AMEND`, `FINISH` one part of it.
    Message {
        /// Stream offset of its first byte.
        start: u64,
        /// Stream offset behind its last byte; may lie ahead of what the guest was given.
        end: u64,
        /// Correlation id, if `HAS_ID`.
        id: u64,
        /// Id of the next response, if `HAS_NEXT_ID`.
        next_id: u64,
        /// The protocol's own status or error number, if `HAS_CODE`.
        code: i64,
        /// Bits of [`message`].
        flags: u32,
        /// Chosen by the guest, names a message that is built over several calls.
        handle: u32,
        /// One of [`kind`].
        kind: u8,
        /// One of [`status`].
        status: u8,
        /// One of [`completeness`].
        completeness: u8,
        /// Zero.
        reserved: u8,
        /// Index into the manifest's `protocols`.
        protocol: u16,
        /// 0, or 1 + index into the manifest's `facts`: `resource` and `endpoint` are keys of facts in it.
        resource_facts: u16,
        /// Command or API.
        type_name: Str,
        /// Version of the protocol or of the API.
        version: Str,
        /// Where the resource lives: database, virtual host.
        domain: Str,
        /// What is asked for or acted upon: topic, collection.
        resource: Str,
        /// What to group by: resource, or domain and resource.
        endpoint: Str,
        /// Name of the error.
        exception: Str,
        /// Outcome in words.
        result: Str,
        /// Why `completeness` is not full.
        reason: Str,
        /// Of a request: at most [`MAX_CONTEXT`] bytes to be given back by `pending` when its response is parsed.
        context: Str,
        /// Address and number of the [`Attribute`]s.
        attributes: Str,
        /// Distance from one attribute to the next, at least [`Attribute::SIZE`].
        attribute_stride: u32,
        /// Zero.
        reserved_tail: u32,
    }
}

layout! {
    /// One attribute of a message.
    Attribute {
        /// Index into the manifest's `attributes`.
        index: u16,
        /// One of [`tag`].
        tag: u8,
        /// Zero.
        reserved: u8,
        /// Namespace of `REF` and `REF_LIST`: index into the manifest's `facts`.
        aux: u32,
        /// The value, as its tag says.
        value: u64,
    }
}

layout! {
    /// What a flow teaches about others: a key's name.
    Fact {
        /// Index into the manifest's `facts`.
        namespace: u32,
        /// Zero.
        reserved: u32,
        /// What is named.
        key: Str,
        /// Its name.
        value: Str,
    }
}

#[cfg(test)]
mod tests {
    use super::{Attribute, Fact, Message, ParseResult, Str};

    #[test]
    fn sizes_are_those_of_the_contract() {
        assert_eq!((ParseResult::SIZE, Message::SIZE, Attribute::SIZE, Fact::SIZE), (48, 144, 16, 24));
    }

    #[test]
    fn a_struct_reads_back_as_written_and_refuses_a_short_slice() {
        let message =
            Message { start: 1, end: u64::MAX, code: -7, type_name: Str { ptr: 3, len: 4 }, ..Message::default() };
        let mut bytes = [0; Message::SIZE];
        message.write(&mut bytes).unwrap();
        assert_eq!(Message::read(&bytes), Some(message));
        assert_eq!(Message::read(bytes.get(1..).unwrap()), None);
        assert_eq!(message.write(bytes.get_mut(1..).unwrap()), None);
    }
}
