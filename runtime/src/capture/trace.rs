//! Capture through BPF: what programs read and write on their TCP and UDP sockets, or in plain in their TLS libraries, in;
//! segments out, with the process that did it.
//! The kernel's half is in `bpf/`; here its events are put in order and made into the segments that a packet capture would
//! have seen. The ring wakes nobody up (that would halve the throughput of what is watched), so it is looked at every
//! few milliseconds.

mod arrivals;
mod check;
mod connections;
mod datagrams;
mod elf;
mod event;
mod front_end;
mod kernel;
mod libraries;
mod order;
mod process_names;
mod watched;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use caps::Capability;
use crossbeam_channel::Receiver;
use rustix::time::{ClockId, clock_gettime};

use self::arrivals::{Arrivals, Batch};
pub use self::check::{TraceCheck, check_trace};
pub use self::front_end::FrontEnd;
use self::kernel::{Kernel, Probes};
use self::libraries::{Libraries, News};
use self::watched::Watched;
use super::{CaptureError, CaptureEvent, CaptureSource, CaptureStats, SocketEvent};
use crate::packet::{GivenUp, Segment, Timestamp};

/// How long the ring is left alone while it is empty.
const NAP: Duration = Duration::from_millis(4);
/// How long an event that is out of order waits for those that happened before it, in nanoseconds.
const HOLD: u64 = 10_000_000;
/// How often what waits is looked at.
const REST: Duration = Duration::from_millis(50);
/// Events that are taken from the ring at once: few enough to stay in the processor's cache until their records are written.
const BATCH: usize = 256;

/// What to trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceOptions {
    /// Processes by id; with the next two, any that fits one of them. None of all three is all processes.
    pub pids: Vec<u32>,
    /// Processes by name (of the thread that makes the call).
    pub comms: Vec<String>,
    /// Processes in that cgroup (v2) or below it.
    pub cgroup: Option<PathBuf>,
    /// Only connections with one of these ports, if any.
    pub ports: Vec<u16>,
    /// No connections with one of these ports.
    pub excluded_ports: Vec<u16>,
    /// Size of the ring in bytes; rounded up to a power of two. 64 MiB unless told otherwise.
    pub buffer_bytes: u32,
    /// Bytes copied of one call at most. 16 MiB unless told otherwise.
    pub call_cap: u64,
    /// Also what TLS libraries encrypt and decrypt.
    pub tls: bool,
    /// Whether UDP is traced in any case; else only where that costs nothing.
    pub datagrams: bool,
    /// How system calls are hooked; the first way that the kernel takes, unless told otherwise.
    pub front_end: Option<FrontEnd>,
    /// A file with the kernel's type information (BTF), where the kernel does not give it.
    pub btf: Option<PathBuf>,
}

impl Default for TraceOptions {
    fn default() -> Self {
        Self {
            pids: Vec::new(),
            comms: Vec::new(),
            cgroup: None,
            ports: Vec::new(),
            excluded_ports: Vec::new(),
            buffer_bytes: 64 << 20,
            call_cap: 16 << 20,
            tls: false,
            datagrams: true,
            front_end: None,
            btf: None,
        }
    }
}

/// Traces system calls until it is told to stop.
pub struct TraceSource {
    kernel: Kernel,
    /// What the ring's callback works on, too.
    arrivals: Rc<RefCell<Arrivals>>,
    given_up: Receiver<GivenUp>,
    /// The processes that were asked for by id.
    watched: Watched,
    stop: Arc<AtomicBool>,
    /// TLS libraries that processes begin to use.
    news: Option<Receiver<News>>,
    libraries: usize,
    /// What is being told.
    batch: Batch,
    is_settled: bool,
    rested: Instant,
    stats: CaptureStats,
}

impl TraceSource {
    /// Starts to trace. The source ends soon after `stop` becomes true; flows that come through `given_up` are muted in
    /// the kernel until the plugins change.
    pub fn open(
        options: &TraceOptions,
        given_up: Receiver<GivenUp>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, CaptureError> {
        let watched = Watched::find(options)?;
        let clock_offset = now(ClockId::Realtime).saturating_sub(now(ClockId::Monotonic));
        let arrivals = Rc::new(RefCell::new(Arrivals::new(clock_offset)));
        let inbox = arrivals.clone();
        let kernel = Kernel::attach(options, move |bytes| inbox.borrow_mut().take(bytes))?;
        let mut source = Self {
            kernel,
            arrivals,
            given_up,
            watched,
            stop,
            news: None,
            libraries: 0,
            batch: Batch::default(),
            is_settled: true,
            rested: Instant::now(),
            stats: CaptureStats::default(),
        };
        if options.tls {
            source.arrivals.borrow_mut().connections.expect_tls();
            source.look_for_libraries(options);
        }
        Ok(source)
    }

    /// How many files with TLS libraries are probed.
    #[must_use]
    pub fn libraries(&self) -> usize {
        self.libraries
    }

    fn look_for_libraries(&mut self, options: &TraceOptions) {
        // With other filters, which processes are meant shows only when they make calls.
        let has_pids_alone = !options.pids.is_empty() && options.comms.is_empty() && options.cgroup.is_none();
        let mut libraries = Libraries::new(has_pids_alone.then(|| options.pids.clone()));
        libraries.look(true).into_iter().for_each(|news| self.learn(news));
        match libraries.watch() {
            Ok(news) => self.news = Some(news),
            Err(error) => tracing::warn!("TLS libraries of later processes are not looked for: {error}"),
        }
    }

    fn learn(&mut self, news: News) {
        match news {
            News::Note(note) => tracing::warn!("{note}"),
            News::Library(library) => match self.kernel.probe(&library) {
                Ok(()) => {
                    self.libraries += 1;
                    tracing::debug!(path = %library.path.display(), pid = library.pid, "TLS library");
                }
                Err(error) => tracing::warn!("no TLS is seen through {}: {error}", library.path.display()),
            },
        }
    }

    /// Gives up the capabilities of this thread, and of those that it starts from now on. None is needed any more: but those
    /// with which TLS libraries are probed later, and CAP_BPF on kernels before 5.19, to use the maps.
    pub fn drop_capabilities(&self) -> Result<(), CaptureError> {
        use Capability::{CAP_BPF, CAP_DAC_READ_SEARCH, CAP_PERFMON, CAP_SYS_ADMIN, CAP_SYS_PTRACE};
        let keep: &[_] = match self.kernel.probes() {
            None => &[],
            Some(Probes::Multi) => &[CAP_BPF, CAP_PERFMON, CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE],
            Some(Probes::Single) => &[CAP_BPF, CAP_PERFMON, CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_SYS_ADMIN],
        };
        crate::privilege::keep_only(keep, || self.kernel.has_maps())
            .map_err(|error| CaptureError::Capabilities { message: error.to_string() })
    }

    /// How system calls are hooked.
    #[must_use]
    pub fn front_end(&self) -> FrontEnd {
        self.kernel.front_end()
    }

    /// The next batch, from what waited and from the ring; whether there is more in the ring.
    fn fill(&mut self) -> Result<bool, CaptureError> {
        let is_stopping = self.stop.load(Ordering::Relaxed);
        if is_stopping {
            self.kernel.detach();
        }
        let begin = now(ClockId::Monotonic);
        let taken = self.kernel.consume(BATCH)?;
        let mut arrivals = self.arrivals.borrow_mut();
        let is_last = is_stopping && taken == 0;
        let has_come = arrivals.has_come(begin, taken < BATCH);
        let until = if is_last { u64::MAX } else { has_come.saturating_sub(HOLD) };
        let is_telling = arrivals.advance(until) || is_last && arrivals.finish();
        arrivals.exchange(&mut self.batch);
        Ok(is_telling || taken > 0)
    }

    /// What is due now and then, whatever comes.
    fn rest(&mut self) {
        self.rested = Instant::now();
        self.mute();
        while let Some(news) = self.news.as_ref().and_then(|news| news.try_recv().ok()) {
            self.learn(news);
        }
        if let Some(ended) = self.watched.look() {
            self.kernel.forget_process(ended);
            if self.watched.are_over() {
                self.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    fn mute(&mut self) {
        let arrivals = self.arrivals.borrow();
        let now = now(ClockId::Realtime);
        for flow in self.given_up.try_iter() {
            arrivals.connections.sockets(&flow, now).for_each(|socket| self.kernel.mute(socket));
        }
    }
}

impl CaptureSource for TraceSource {
    fn is_live(&self) -> bool {
        true
    }

    fn next(&mut self) -> Result<CaptureEvent<'_>, CaptureError> {
        while self.batch.is_over() {
            let is_resting = self.rested.elapsed() >= REST;
            if is_resting {
                self.rest();
            }
            if !std::mem::replace(&mut self.is_settled, true) {
                return Ok(if is_resting { CaptureEvent::Pause } else { CaptureEvent::Settled });
            }
            let has_more = self.fill()?;
            let is_empty = !has_more && self.arrivals.borrow().is_empty();
            if is_empty && self.stop.load(Ordering::Relaxed) {
                return Ok(CaptureEvent::End);
            }
            if is_resting && self.batch.is_over() {
                return Ok(if is_empty { CaptureEvent::Idle } else { CaptureEvent::Pause });
            }
            if !has_more {
                std::thread::sleep(NAP);
            }
        }
        let Some((made, payload)) = self.batch.next() else { return Ok(CaptureEvent::Pause) };
        self.is_settled = false;
        self.stats.packets += 1;
        self.stats.bytes += payload.len() as u64;
        let segment = Segment { packet: self.stats.packets, payload, ..made.segment };
        Ok(CaptureEvent::Socket(SocketEvent { segment, processes: &made.processes }))
    }

    fn stats(&mut self) -> CaptureStats {
        self.stats.sockets = self.kernel.losses();
        self.arrivals.borrow().connections.count(&mut self.stats.sockets);
        self.stats
    }

    fn drains(&self) -> bool {
        true
    }

    fn plugins_changed(&mut self, has_datagrams: bool) {
        self.kernel.unmute();
        if has_datagrams && let Err(error) = self.kernel.hear_datagrams() {
            tracing::warn!("UDP is not traced: {error}");
        }
    }
}

fn now(clock: ClockId) -> Timestamp {
    let time = clock_gettime(clock);
    let (seconds, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
