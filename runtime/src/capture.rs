//! Where packets come from: capture files or a live interface in, one packet at a time out, with counters for what was
//! lost on the way. Nothing here looks into a packet.

mod byte_order;
mod compression;
mod error;
mod file;
mod live;
mod pcap_format;
mod pcapng_format;
mod pcapng_writer;
mod pipe;
mod read_buffer;
#[cfg(target_os = "linux")]
mod trace;
#[cfg(test)]
mod test_files;

pub use error::CaptureError;
pub use file::FileSource;
pub use live::{Interface, LiveOptions, LiveSource, check_filter, list_interfaces};
pub use pcapng_writer::PcapngWriter;
#[cfg(target_os = "linux")]
pub use trace::{FrontEnd, TraceCheck, TraceOptions, TraceSource, check_trace};

use std::sync::Arc;

use crate::packet::{RawPacket, Segment, Timestamp};
use crate::record::ProcessPair;

/// Bytes of a capture in which packets lie.
pub type Block = Arc<[u8]>;

/// What a capture source has next.
#[derive(Clone, Copy, Debug)]
pub enum CaptureEvent<'a> {
    /// A packet.
    Packet(RawPacket<'a>),
    /// Bytes that a process sent or received, or a mark of its connection, as the segment that would carry them.
    Socket(SocketEvent<'a>),
    /// The packets that follow lie in this block, if any (see [`CaptureSource::share`]).
    Block(&'a Block),
    /// All that has happened so far was told: a good moment to write what it completed.
    Settled,
    /// Nothing more for now, but something is under way that may belong before it, or something may be held up on its way
    /// through a pipe: a moment to hand on what was batched.
    Pause,
    /// Nothing is waiting (live only): a good moment to hand on what was batched. The source waits up to 100 ms for
    /// more when it is asked again, so this also comes ten times a second while nothing arrives.
    Idle,
    /// There will be no more.
    End,
}

/// What happened on a socket.
#[derive(Clone, Copy, Debug)]
pub struct SocketEvent<'a> {
    /// Sequence numbers are the kernel's own, so that both ends of a conversation tell of the same bytes.
    pub segment: Segment<'a>,
    /// Whose the segment's source and its destination are, as far as that is known.
    pub processes: &'a ProcessPair,
}

/// Gives packets in the order in which they were captured.
pub trait CaptureSource {
    /// The next packet. An error ends the file that it names; asking again goes on with the next file, or with the
    /// `End`. It returns within 100 ms or so, unless it waits for a pipe's first bytes, or for compressed ones.
    fn next(&mut self) -> Result<CaptureEvent<'_>, CaptureError>;

    /// The counters as of now.
    fn stats(&mut self) -> CaptureStats;

    /// The same capture from its beginning, so many times, to be read by other threads as well; `None` if it can be read
    /// only once, or reading takes long. All of them, this one too, end where the capture ends now.
    fn again(&mut self, _times: usize) -> Option<Vec<Box<dyn CaptureSource + Send>>> {
        None
    }

    /// Packets will be looked at by several threads, for a while: if they lie in blocks that can be kept, tell of them.
    fn share(&mut self) {}

    /// Whether what was captured before a stop comes still, up to an `End`.
    fn drains(&self) -> bool {
        false
    }

    /// Whether packets come when they come, and are lost if nobody takes them: then it is never made to wait.
    fn is_live(&self) -> bool {
        false
    }

    /// Other plugins are at work: flows that nobody wanted may be wanted now, and datagrams if any of them reads those.
    fn plugins_changed(&mut self, _has_datagrams: bool) {}
}

/// What a capture source saw, and what it knows to have missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureStats {
    /// Packets delivered.
    pub packets: u64,
    /// Bytes of packets delivered, as far as they were kept.
    pub bytes: u64,
    /// Packets of which the snaplen cut something.
    pub truncated: u64,
    /// Packets that the kernel dropped because its buffer was full (live; in pcapng as the writer noted it).
    pub kernel_drops: u64,
    /// Packets that the interface or its driver dropped (live; in pcapng as the writer noted it).
    pub interface_drops: u64,
    /// Socket bytes that were not seen, by cause (trace).
    pub sockets: SocketLoss,
    /// Packets that are stamped earlier than the one before.
    pub clock_steps_back: u64,
    last: Timestamp,
}

/// What a capture of system calls knows to have missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketLoss {
    /// Events for which the ring had no room.
    pub ring_events: u64,
    /// Bytes in them.
    pub ring_bytes: u64,
    /// Bytes over the cap of a call.
    pub cap_bytes: u64,
    /// Bytes in memory that could not be read.
    pub fault_bytes: u64,
    /// Bytes whose place is not known, since two callers used a socket at once.
    pub concurrent_bytes: u64,
    /// Calls on sockets whose bytes nobody wanted.
    pub muted_calls: u64,
    /// 32-bit system calls, which are not decoded.
    pub compat_calls: u64,
    /// Calls that could not be followed: no memory, or several messages in one.
    pub untracked_calls: u64,
    /// Bytes on sockets whose plaintext is told instead, if it comes: no loss.
    pub ciphertext_bytes: u64,
    /// Bytes of TLS libraries, or of datagrams, of which no peer is known; of sockets whose connection gave way to another.
    pub unplaced_bytes: u64,
    /// Datagrams whose events were lost.
    pub datagrams: u64,
}

impl CaptureStats {
    #[inline]
    fn count(&mut self, packet: &RawPacket<'_>) {
        self.packets += 1;
        self.bytes += packet.data.len() as u64;
        self.truncated += u64::from(packet.data.len() < packet.origlen as usize);
        self.clock_steps_back += u64::from(packet.at < self.last);
        self.last = packet.at;
    }
}
