//! Write a protocol parser plugin for [protap](https://github.com/protap/protap): this crate is all that it takes.
//!
//! protap captures traffic, puts the streams together, and hands them to plugins: sandboxed WebAssembly modules, each of
//! which turns the bytes of one protocol into messages. A plugin does no I/O, keeps no time and sees one flow at a time;
//! the host pairs its requests and responses and writes the records. A plugin that misbehaves harms nobody but itself.
//!
//! # A whole plugin
//!
//! The protocol: a client sends `PING`, a server answers `PONG`, each followed by a number (u32, big-endian) and one byte
//! that says how many bytes of payload follow.
//!
//! ```
//! use protap_plugin::prelude::*;
//!
//! attributes! {
//!     SCHEMA;
//!     SIZE: i64 = "ping.payload.size",
//! }
//!
//! #[derive(Default)]
//! struct Ping;
//!
//! impl Frames for Ping {
//!     const MANIFEST: Manifest = Manifest::new("ping", "0.1.0").ports(&[7777]).attributes(SCHEMA);
//!     type Flow = (); // what to remember of a flow: nothing
//!
//!     fn frame(&self, direction: Direction, bytes: &[u8]) -> Frame {
//!         let word = if direction == Direction::ToServer { b"PING" } else { b"PONG" };
//!         match bytes {
//!             [a, b, c, d, ..] if [*a, *b, *c, *d] != *word => Frame::Invalid("neither PING nor PONG"),
//!             [_, _, _, _, _, _, _, _, size, ..] => Frame::Len(9 + u64::from(*size)),
//!             _ => Frame::Need(9),
//!         }
//!     }
//!
//!     fn decode(&self, _flow: &mut (), frame: &FrameBytes<'_>, output: &mut Output) {
//!         let Some(id) = self.frame_id(frame.direction, frame.bytes) else { return };
//!         let message = match frame.direction {
//!             Direction::ToServer => output.request("PING"),
//!             Direction::ToClient => output.response(Status::Ok),
//!         };
//!         message.id(id).i64(SIZE, frame.len as i64 - 9).emit();
//!     }
//!
//!     fn frame_id(&self, _direction: Direction, bytes: &[u8]) -> Option<u64> {
//!         let mut reader = Reader::new(bytes.get(4..)?);
//!         reader.u32_be().ok().map(u64::from)
//!     }
//! }
//!
//! export!(Ping as Frames);
//!
//! // And its test, natively, against a miniature host:
//! use protap_plugin::testing::Replay;
//! let ping = Replay::new::<Plugin>().to_server(b"PING\0\0\0\x01\x02hi").to_client(b"PONG\0\0\0\x01\x00");
//! let report = ping.split_sweep(); // however the bytes are cut, the messages are the same
//! assert_eq!(report.messages[0].attribute("ping.payload.size"), Some(&2.into()));
//! assert_eq!(report.messages[1].answers.as_deref(), Some("PING"));
//! ping.truncation_sweep(); // whatever is lost, nothing false is said
//! ```
//!
//! The default [`probe`](Frames::probe) recognises the protocol by its frames, the host pairs by the ids and measures the
//! times, and after a loss of bytes the SDK finds the next frame.
//!
//! # Three levels
//!
//! * [`Frames`], as above: say how long a frame is, get it whole, or its beginning: where it is longer than the window (16 KiB,
//!   or what the [`Manifest`] asks for), whose rest passes by without a copy, and where its end was lost. Then it is not
//!   [whole](FrameBytes::is_whole), and a message that depends on the rest is `partial`.
//! * [`Sequential`]: plain code that reads a message from front to back, and may [`skip`](Stream::skip) what it does not
//!   need at any depth. An `async fn` is that code; it waits wherever the window ends. For long messages whose end
//!   matters, and for protocols that say no length up front:
//!
//! ```
//! # use std::rc::Rc;
//! # use protap_plugin::prelude::*;
//! # #[derive(Default)]
//! # struct Upload;
//! # impl Sequential for Upload {
//! #     const MANIFEST: Manifest = Manifest::new("upload", "0.1.0");
//! #     type Flow = ();
//! #     fn frame(&self, _direction: Direction, _bytes: &[u8]) -> Frame { Frame::Invalid("lines have no mark") }
//! /// A name, up to a zero byte; a size; as many bytes; a checksum. The server answers with one byte.
//! async fn message(_plugin: Rc<Self>, _flow: Rc<()>, stream: Stream) -> Result<(), Stop> {
//!     if stream.direction() == Direction::ToClient {
//!         let status = if stream.u8().await? == 0 { Status::Ok } else { Status::ServerError };
//!         stream.emit(|output, _| output.response(status).emit());
//!         return Ok(());
//!     }
//!     let name = stream.c_str(255).await?;
//!     let size = stream.u64_be().await?;
//!     stream.skip(size).await?;
//!     let checksum = stream.u32_be().await?;
//!     stream.emit(|output, texts| output.request("UPLOAD").resource(texts.get(name)).code(checksum.into()).emit());
//!     Ok(())
//! }
//! # }
//! # export!(Upload as Sequential);
//! # use protap_plugin::testing::Replay;
//! # let upload = [&b"a.txt\0\0\0\0\0\0\x01\0\0"[..], &[b'x'; 65536], b"\0\0\0\x2a"].concat();
//! # let report = Replay::new::<Plugin>().to_server(upload).to_client(b"\0").run();
//! # assert_eq!((report.messages[0].resource.as_str(), report.messages[0].code), ("a.txt", Some(42)));
//! # assert_eq!(report.messages[1].answers.as_deref(), Some("UPLOAD"));
//! ```
//!
//!   Where messages are many and short, the same code can be compiled a second time, without its waits, for messages that
//!   are there as a whole, as nearly all are (see [`at_once`]); and the host can be asked to wait for those that are not
//!   ([`AWAITS_FRAMES`](Sequential::AWAITS_FRAMES)).
//!
//! * [`Raw`]: the contract's verbs. For protocols whose messages are built over several calls, or that answer
//!   [`Opaque`](Progress::Opaque) (encrypted from here on) and [`Handover`](Progress::Handover) (another protocol begins):
//!
//! ```
//! # use protap_plugin::prelude::*;
//! # #[derive(Default)]
//! # struct Upgrade;
//! # impl Raw for Upgrade {
//! #     const MANIFEST: Manifest = Manifest::new("upgrade", "0.1.0");
//! #     type Flow = ();
//! #     fn probe(&self, _heads: &Heads<'_>) -> Verdict { Verdict::No }
//! fn parse(&mut self, _flow: &mut (), input: &Input<'_>, output: &mut Output) -> Progress {
//!     match input.bytes {
//!         [b'T', ..] => Progress::Opaque("TLS"),
//!         [b'E', len, rest @ ..] if rest.len() >= usize::from(*len) => {
//!             output.one_way("EVENT").emit();
//!             Progress::More(2 + usize::from(*len))
//!         }
//!         [b'E', len, ..] => Progress::Need { consumed: 0, amount: 2 + u64::from(*len) },
//!         [b'E'] => Progress::Need { consumed: 0, amount: 2 },
//!         _ => Progress::Invalid { consumed: 0, reason: "neither an event nor TLS" },
//!     }
//! }
//! #     fn resync(&mut self, _: &mut (), _: &Input<'_>) -> Resync { Resync::Need { consumed: 0, amount: 1 } }
//! # }
//! # export!(Upgrade as Raw);
//! # use protap_plugin::testing::{Ending, Replay};
//! # let report = Replay::new::<Plugin>().to_client(b"E\x01.E\x02..T").split_sweep();
//! # assert_eq!((report.messages.len(), report.ending), (2, Ending::Opaque("TLS".to_owned())));
//! ```
//!
//! Responses that bear no id answer requests in order: what the request left as its
//! [`context`](MessageWriter::context) is at hand with [`Stream::pending_front`] or [`Output::pending_front`] when the
//! answer is parsed; for those with an id, with [`Stream::pending`] or [`Output::pending`]. (While the way is found after a
//! loss, with [`host::pending`].)
//!
//! # Rules that are easily missed
//!
//! * How bytes were cut is nobody's business: decide on what a header says, never on how much is there.
//! * User data is never emitted unless an option asks for it: no values, no keys, no error texts that quote them.
//! * A status that was not seen is [`Status::Unknown`]; what was not decoded makes a message
//!   [`partial`](MessageWriter::partial) and says why.
//! * What [`frame`](Frames::frame) accepts is what is found after a loss: be strict.
//!
//! # Testing and building
//!
//! A plugin is an ordinary crate, tested with `cargo test` and [`testing`]; `#![forbid(unsafe_code)]` holds in it. With
//! `crate-type = ["cdylib", "rlib"]` in its `[lib]`,
//!
//! ```text
//! rustup target add wasm32-unknown-unknown
//! cargo build --release --target wasm32-unknown-unknown
//! protap read --plugin target/wasm32-unknown-unknown/release/NAME.wasm capture.pcap
//! ```
//!
//! builds the module and runs it. `examples/memcached` in the repository is a complete one. The contract itself, for other
//! languages, is in [`CONTRACT.md`](https://github.com/protap/protap/blob/main/plugin-sdk/CONTRACT.md); its constants are in
//! [`contract`].

pub mod contract;
mod export;
mod frames;
mod guest;
pub mod host;
mod manifest;
mod output;
mod plugin;
mod probe;
mod raw;
mod reader;
mod resync;
mod sequential;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use self::frames::{AsFrames, FrameBytes, Frames};
pub use self::guest::{Guest, Parser, ParserCall};
pub use self::manifest::{AttributeDef, Facts, Key, Manifest, OptionDef, Transport};
pub use self::output::{Fixed, Kind, MessageWriter, Output, Read, Status, Writable, Written};
pub use self::plugin::{Client, Direction, Frame, Heads, Input, Progress, Resync, Verdict};
pub use self::probe::probe_by_frames;
pub use self::raw::{AsRaw, Raw};
pub use self::reader::{ReadError, Reader};
pub use self::resync::resync_by_frames;
pub use self::sequential::{
    Arriving, AsSequential, Sequential, SequentialFlow, Source, Stop, Stream, Text, Texts, Whole, large, rare,
    rare_now, read_head,
};
/// Compiles reading code a second time, for messages that are there as a whole: each `async fn read` also as `read_now`,
/// in which `x(..).await` is `x_now(..)`. In the sandbox that is faster: code that may wait is resumed in
/// the middle of its loops, where Wasm cannot jump to.
///
/// It stands before an `async fn`, or before an `impl` block, of which it takes each. The code reads from a
/// [`Stream`] of any [`Source`]; all that it awaits is the stream, other such code, or one of both inside of [`rare`] or
/// [`large`]. [`Sequential::message_now`] runs it over what is there, and where a message is not there as a whole,
/// [`Sequential::message`] waits for it:
///
/// ```
/// # use std::rc::Rc;
/// # use protap_plugin::prelude::*;
/// use protap_plugin::{Source, Whole, at_once};
///
/// # #[derive(Default)]
/// # struct Names;
/// # impl Sequential for Names {
/// #     const MANIFEST: Manifest = Manifest::new("names", "0.1.0");
/// #     type Flow = ();
/// #     fn frame(&self, _direction: Direction, _bytes: &[u8]) -> Frame { Frame::Invalid("no mark") }
/// async fn message(_plugin: Rc<Self>, _flow: Rc<()>, stream: Stream) -> Result<(), Stop> {
///     names(&stream).await
/// }
///
/// fn message_now(&self, _flow: &(), stream: &Stream<Whole<'_>>) -> Option<Result<(), Stop>> {
///     Some(names_now(stream))
/// }
/// # }
///
/// /// The bytes of all, and names that end with 0.
/// #[at_once]
/// async fn names(stream: &Stream<impl Source>) -> Result<(), Stop> {
///     let len = stream.u16_be().await?;
///     stream.begin_frame(len.into())?;
///     while stream.frame_remaining() > 0 {
///         let name = stream.c_str(255).await?;
///         stream.emit(|output, texts| output.one_way("NAME").resource(texts.get(name)).emit());
///     }
///     Ok(())
/// }
/// # export!(Names as Sequential);
/// # let names = protap_plugin::testing::Replay::new::<Plugin>().to_server(b"\0\x07ab\0c\0");
/// # assert_eq!(names.split_sweep().messages[1].resource, "c");
/// ```
pub use protap_plugin_macros::at_once;

/// What a plugin's source needs.
pub mod prelude {
    pub use crate::{
        Client, Direction, Facts, Frame, FrameBytes, Frames, Heads, Input, Key, Kind, Manifest, MessageWriter,
        OptionDef, Output, Progress, Raw, ReadError, Reader, Resync, Sequential, Status, Stop, Stream, Text, Texts,
        Transport, Verdict, attributes, export, host,
    };
}
