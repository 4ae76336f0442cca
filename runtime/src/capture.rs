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
mod read_buffer;
#[cfg(test)]
mod test_files;

pub use error::CaptureError;
pub use file::FileSource;
pub use live::{Interface, LiveOptions, LiveSource, check_filter, list_interfaces};
pub use pcapng_writer::PcapngWriter;

use crate::packet::{RawPacket, Timestamp};

/// What a capture source has next.
#[derive(Clone, Copy, Debug)]
pub enum CaptureEvent<'a> {
    /// A packet.
    Packet(RawPacket<'a>),
    /// Nothing is waiting (live only): a good moment to hand on what was batched. The source waits up to 100 ms for
    /// more when it is asked again, so this also comes ten times a second while nothing arrives.
    Idle,
    /// There will be no more.
    End,
}

/// Gives packets in the order in which they were captured.
pub trait CaptureSource {
    /// The next packet. An error ends the file that it names; asking again goes on with the next file, or with the
    /// `End`. It returns within 100 ms or so, unless it reads from a pipe.
    fn next(&mut self) -> Result<CaptureEvent<'_>, CaptureError>;

    /// The counters as of now.
    fn stats(&mut self) -> CaptureStats;
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
    /// Packets that are stamped earlier than the one before.
    pub clock_steps_back: u64,
    last: Timestamp,
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
