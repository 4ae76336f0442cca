//! Live capture through libpcap: an interface and a filter in, packets out as the kernel's ring fills. It waits on the
//! capture's file descriptor itself, since libpcap's own time-out does not bound its waiting when nothing arrives. Linux only: elsewhere
//! timestamps may not be in nanoseconds.

mod filter;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pcap::{Active, Capture, Device, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{CaptureError, CaptureEvent, CaptureSource, CaptureStats};
use crate::packet::{Linktype, RawPacket, Timestamp};
pub use filter::check_filter;
use filter::{bad_filter, refuse_direction};

/// How long one call waits for packets: often enough to notice a stop at once, seldom enough to cost nothing.
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// How long the kernel may hold packets back to fill a block of its ring, in milliseconds. More saves wake-ups, less
/// shows packets sooner; a wake-up for every packet costs ten times the CPU.
const BLOCK_TIMEOUT_MS: i32 = 10;

/// What to capture, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveOptions {
    /// The interface's name; `any` is all of them.
    pub interface: String,
    /// A filter expression (`man pcap-filter`).
    pub filter: Option<String>,
    /// How many bytes of each packet are kept. 262,144 unless told otherwise: all, also of packets that offloading
    /// made larger than the MTU.
    pub snaplen: u32,
    /// Size of the kernel's ring in bytes. 64 MiB unless told otherwise: 2 MiB loses a tenth of the packets of one fast
    /// sender.
    pub buffer_bytes: u32,
    /// Whether packets for other machines are captured too.
    pub promiscuous: bool,
}

impl LiveOptions {
    /// Captures all that passes `interface`, and asks it for packets of other machines too.
    pub fn new(interface: impl Into<String>) -> Self {
        let interface = interface.into();
        Self { interface, filter: None, snaplen: 262_144, buffer_bytes: 64 << 20, promiscuous: true }
    }
}

/// Captures on one interface until it is told to stop.
pub struct LiveSource {
    interface: String,
    capture: Capture<Active>,
    linktype: Linktype,
    stop: Arc<AtomicBool>,
    /// The ring was empty when it was last looked at.
    is_drained: bool,
    stats: CaptureStats,
    /// The kernel's counters as they were last read; they wrap around at 2^32.
    drops: (u32, u32),
}

impl LiveSource {
    /// Starts to capture. The source ends soon after `stop` becomes true.
    pub fn open(options: &LiveOptions, stop: Arc<AtomicBool>) -> Result<Self, CaptureError> {
        let filter = options.filter.as_deref().unwrap_or("");
        refuse_direction(filter)?;
        let mut capture = activate(options)?;
        let linktype = linktype_of(&capture);
        if !linktype.is_known() {
            return Err(CaptureError::unknown_linktype(&options.interface, linktype));
        }
        if !filter.is_empty() {
            capture.filter(filter, true).map_err(|error| bad_filter(filter, &error))?;
        }
        let capture = capture.setnonblock().map_err(|error| live_error(&options.interface, error))?;
        Ok(Self {
            interface: options.interface.clone(),
            capture,
            linktype,
            stop,
            is_drained: false,
            stats: CaptureStats::default(),
            drops: (0, 0),
        })
    }

    /// The linktype of all its packets.
    pub fn linktype(&self) -> Linktype {
        self.linktype
    }

    /// Waits for packets; false if none came.
    fn wait(&self) -> Result<bool, CaptureError> {
        match poll(&mut [PollFd::new(&self.capture, PollFlags::IN)], Some(&WAIT)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(live_error(&self.interface, error)),
        }
    }
}

impl CaptureSource for LiveSource {
    fn is_live(&self) -> bool {
        true
    }

    fn next(&mut self) -> Result<CaptureEvent<'_>, CaptureError> {
        if self.stop.load(Ordering::Relaxed) {
            return Ok(CaptureEvent::End);
        }
        if self.is_drained && !self.wait()? {
            return Ok(CaptureEvent::Idle);
        }
        match self.capture.next_packet() {
            Ok(pcap::Packet { header, data }) => {
                self.is_drained = false;
                let packet = RawPacket {
                    number: self.stats.packets + 1,
                    at: timestamp(header),
                    linktype: self.linktype,
                    interface: 0,
                    origlen: header.len,
                    data,
                };
                self.stats.count(&packet);
                Ok(CaptureEvent::Packet(packet))
            }
            Err(pcap::Error::TimeoutExpired) => {
                self.is_drained = true;
                Ok(CaptureEvent::Idle)
            }
            Err(error) => Err(live_error(&self.interface, error)),
        }
    }

    fn stats(&mut self) -> CaptureStats {
        // When the interface is gone, the last counts stand.
        if let Ok(now) = self.capture.stats() {
            let (kernel, interface) = self.drops;
            self.stats.kernel_drops += u64::from(now.dropped.wrapping_sub(kernel));
            self.stats.interface_drops += u64::from(now.if_dropped.wrapping_sub(interface));
            self.drops = (now.dropped, now.if_dropped);
        }
        self.stats
    }
}

/// An interface that can be captured on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// What it is, if the system says.
    pub description: Option<String>,
    /// Its addresses.
    pub addresses: Vec<std::net::IpAddr>,
    /// Whether it is up.
    pub is_up: bool,
}

/// The interfaces that can be captured on, as libpcap sorts them: the likeliest first.
pub fn list_interfaces() -> Result<Vec<Interface>, CaptureError> {
    let devices = Device::list().map_err(|error| live_error("any interface", error))?;
    let describe = |device: Device| Interface {
        is_up: device.flags.is_up(),
        name: device.name,
        description: device.desc,
        addresses: device.addresses.into_iter().map(|address| address.addr).collect(),
    };
    Ok(devices.into_iter().map(describe).collect())
}

fn activate(options: &LiveOptions) -> Result<Capture<Active>, CaptureError> {
    let name = options.interface.as_str();
    let size = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let open = |promiscuous| {
        Capture::from_device(name)?
            .promisc(promiscuous)
            .snaplen(size(options.snaplen))
            .buffer_size(size(options.buffer_bytes))
            .timeout(BLOCK_TIMEOUT_MS)
            .precision(Precision::Nano)
            .open()
    };
    match open(options.promiscuous) {
        // `any` knows no promiscuous mode, which libpcap only warns of and the pcap crate takes for an error.
        Err(error) if options.promiscuous && error.to_string().contains("romiscuous") => open(false),
        result => result,
    }
    .map_err(|error| explain_open(name, &error))
}

fn explain_open(interface: &str, error: &pcap::Error) -> CaptureError {
    let (interface, message) = (interface.to_owned(), error_text(error));
    let available: Vec<String> = list_interfaces().unwrap_or_default().into_iter().map(|found| found.name).collect();
    if message.contains("CAP_NET") || message.to_lowercase().contains("permi") {
        CaptureError::NoPermission { interface, message }
    } else if !available.is_empty() && !available.contains(&interface) {
        CaptureError::NoInterface { interface, available }
    } else {
        CaptureError::Live { interface, message }
    }
}

fn live_error(interface: &str, error: impl std::fmt::Display) -> CaptureError {
    CaptureError::Live { interface: interface.to_owned(), message: error.to_string() }
}

/// What libpcap said, without the crate's prefix.
fn error_text(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(message) => message.clone(),
        other => other.to_string(),
    }
}

/// libpcap's DLT_ numbers equal the LINKTYPE_ values here, but for raw IP.
fn linktype_of(capture: &Capture<Active>) -> Linktype {
    match capture.get_datalink().0 {
        12 | 14 => Linktype::RAW,
        other => Linktype(u16::try_from(other).unwrap_or(u16::MAX)),
    }
}

/// `tv_usec` holds nanoseconds, as asked for.
fn timestamp(header: &pcap::PacketHeader) -> Timestamp {
    let seconds = u64::try_from(header.ts.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(header.ts.tv_usec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
