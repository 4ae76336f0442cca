//! The words that all three levels of the SDK share: what a plugin is given, and what it may answer.

use crate::contract::{flag, probe};
use crate::manifest::Transport;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From client to server.
    ToServer,
    /// From server to client.
    ToClient,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }

    pub(crate) const fn from_flags(flags: u32) -> Self {
        if flags & flag::TO_CLIENT == 0 { Self::ToServer } else { Self::ToClient }
    }
}

/// The beginning of a flow as a probe sees it: what both ends have sent so far. A is the end that opened the
/// connection or, if that was not seen, that spoke first.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    /// First bytes that A sent; a whole datagram for UDP.
    pub a: &'a [u8],
    /// First bytes that B sent.
    pub b: &'a [u8],
    /// A's port.
    pub a_port: u16,
    /// B's port.
    pub b_port: u16,
    /// TCP or UDP.
    pub transport: Transport,
    /// A's SYN was seen: A is the client of the transport.
    pub a_opened: bool,
    /// `a` begins in the middle of a stream.
    pub a_is_mid_stream: bool,
    /// `b` begins in the middle of a stream.
    pub b_is_mid_stream: bool,
    /// No more than this will come.
    pub is_complete: bool,
}

impl<'a> Heads<'a> {
    /// The two heads, each with the end that sent it, A's first.
    #[must_use]
    pub fn both(&self) -> [(Client, &'a [u8]); 2] {
        [(Client::A, self.a), (Client::B, self.b)]
    }

    pub(crate) fn new(a: &'a [u8], b: &'a [u8], flags: u32, ports: u32) -> Self {
        let is = |bit| flags & bit != 0;
        Self {
            a,
            b,
            a_port: (ports & 0xffff) as u16,
            b_port: (ports >> 16) as u16,
            transport: if is(flag::DATAGRAM) { Transport::Udp } else { Transport::Tcp },
            a_opened: is(flag::A_OPENED),
            a_is_mid_stream: is(flag::A_MID_STREAM),
            b_is_mid_stream: is(flag::B_MID_STREAM),
            is_complete: is(flag::HEADS_COMPLETE),
        }
    }
}

/// Which end of a flow is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// The bytes do not tell: whoever opened the connection, or spoke first.
    Unknown,
    /// A is.
    A,
    /// B is.
    B,
}

/// What a probe says of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not this plugin's protocol.
    No,
    /// Cannot tell before one of the heads has that many bytes.
    More(u32),
    /// It looks like it, but other protocols could look the same.
    Likely(Client),
    /// Nothing else looks like this.
    Certain(Client),
}

impl Verdict {
    pub(crate) fn to_contract(self) -> u64 {
        let (verdict, client, more) = match self {
            Self::No => (probe::NO, Client::Unknown, 0),
            Self::More(more) => (probe::MORE, Client::Unknown, more),
            Self::Likely(client) => (probe::LIKELY, client, 0),
            Self::Certain(client) => (probe::CERTAIN, client, 0),
        };
        let client = match client {
            Client::Unknown => probe::CLIENT_UNKNOWN,
            Client::A => probe::CLIENT_A,
            Client::B => probe::CLIENT_B,
        };
        u64::from(verdict) | u64::from(client) << 8 | u64::from(more) << 32
    }

    /// The verdict that the contract's bits stand for, if they are one.
    #[must_use]
    pub const fn from_contract(bits: u64) -> Option<Self> {
        let client = match (bits >> 8 & 0xff) as u8 {
            probe::CLIENT_UNKNOWN => Client::Unknown,
            probe::CLIENT_A => Client::A,
            probe::CLIENT_B => Client::B,
            _ => return None,
        };
        Some(match (bits & 0xff) as u8 {
            probe::NO => Self::No,
            probe::MORE => Self::More((bits >> 32) as u32),
            probe::LIKELY => Self::Likely(client),
            probe::CERTAIN => Self::Certain(client),
            _ => return None,
        })
    }
}

/// What stands at the front of some bytes, as far as a frame's header tells. Used to cut a stream into frames, and
/// strictly checked, to find the next frame after a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A frame of that many bytes, header included; they need not all be there.
    Len(u64),
    /// Cannot tell before there are that many bytes.
    Need(usize),
    /// No frame begins here.
    Invalid(&'static str),
}

/// Bytes of one direction, as the host hands them to `parse` or `resync`.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Which way they go.
    pub direction: Direction,
    /// The window: all that is contiguous, up to the manifest's window.
    pub bytes: &'a [u8],
    /// Stream offset of the first of them.
    pub offset: u64,
    /// After them, that many bytes are missing for good.
    pub gap: Option<u64>,
    /// After them, the stream ends.
    pub is_end: bool,
    /// They are one whole datagram.
    pub is_datagram: bool,
    /// `resync`: most likely a frame starts here, see [`flag::TURNAROUND`] and [`flag::EXPECTED`].
    pub is_likely_start: bool,
    /// `resync`: a frame starts here, see [`flag::BOUNDARY`].
    pub is_boundary: bool,
}

impl<'a> Input<'a> {
    pub(crate) fn new(call: Call, bytes: &'a [u8]) -> Self {
        let is = |bit| call.flags & bit != 0;
        Self {
            direction: Direction::from_flags(call.flags),
            bytes,
            offset: call.offset,
            gap: is(flag::GAP).then_some(call.gap),
            is_end: is(flag::END),
            is_datagram: is(flag::DATAGRAM),
            is_likely_start: is(flag::TURNAROUND | flag::EXPECTED),
            is_boundary: is(flag::BOUNDARY),
        }
    }

    /// Bytes from somewhere in a stream.
    pub(crate) const fn middle(bytes: &'a [u8]) -> Self {
        let (direction, offset, gap) = (Direction::ToServer, 0, None);
        Self {
            direction,
            bytes,
            offset,
            gap,
            is_end: false,
            is_datagram: false,
            is_likely_start: false,
            is_boundary: false,
        }
    }

    /// Whether nothing contiguous can follow the window.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.gap.is_some() || self.is_end || self.is_datagram
    }
}

/// The scalar arguments of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) len: usize,
    pub(crate) gap: u64,
}

/// What became of the window: the contract's verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// That many bytes are done with; call again with what follows.
    More(usize),
    /// `consumed` bytes are done with; call again once `amount` bytes follow them.
    Need {
        /// Bytes done with.
        consumed: usize,
        /// Bytes that must follow; more than were left.
        amount: u64,
    },
    /// `consumed` bytes are done with and `amount` bytes after them are to be passed over.
    Skip {
        /// Bytes done with.
        consumed: usize,
        /// Bytes to pass over.
        amount: u64,
    },
    /// Not this plugin's protocol after all.
    Reject(&'static str),
    /// This plugin's protocol, but unreadable from here on.
    Opaque(&'static str),
    /// From that stream offset on, another protocol begins.
    Handover(u64, &'static str),
    /// The bytes after `consumed` (which is at least one for the host) make no sense: resync.
    Invalid {
        /// Bytes done with.
        consumed: usize,
        /// Why.
        reason: &'static str,
    },
    /// The gap cannot be bridged: resync behind it.
    Lost,
}

/// Where the next frame starts, as `resync` sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resync {
    /// That many bytes into the window, confirmed by a second frame, by a pending id or by the host's hint.
    Found(usize),
    /// Perhaps `at` bytes into the window; then the next one starts at stream offset `next`.
    Candidate {
        /// Bytes into the window.
        at: usize,
        /// Stream offset of the frame after it.
        next: u64,
    },
    /// Not in the first `consumed` bytes; ask again once `amount` bytes follow them (which is at once, if as many
    /// are there already).
    Need {
        /// Bytes to drop.
        consumed: usize,
        /// Bytes that must follow.
        amount: usize,
    },
}
