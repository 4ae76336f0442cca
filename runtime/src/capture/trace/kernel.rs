//! The kernel's half: loads the programs of `bpf/`, sets what they look at, attaches them, reads their counters. What is
//! loaded goes away with the program, however that ends; nothing is pinned.

use std::ffi::OsStr;

use libbpf_rs::{Link, Map, MapCore, MapFlags, Object, OpenObject, RingBuffer, RingBufferBuilder};

mod probes;

pub(super) use self::probes::{Probes, is_probe};
use super::TraceOptions;
use super::event::layout;
use super::front_end::{FrontEnd, explain};
use super::libraries::Library;
use crate::capture::{CaptureError, SocketLoss};

/// The programs, attached.
pub(super) struct Kernel {
    front_end: FrontEnd,
    /// Of the programs that see bytes be moved, and of the others.
    moves: Vec<Link>,
    links: Vec<Link>,
    object: Object,
    ring: RingBuffer<'static>,
    is_muting: bool,
    probes: Option<Probes>,
}

impl Kernel {
    /// Loads and attaches the front end that was asked for, else the first one that this kernel takes; events go to `take`.
    pub(super) fn attach(
        options: &TraceOptions,
        take: impl FnMut(&[u8]) + Clone + 'static,
    ) -> Result<Self, CaptureError> {
        quiet();
        if let Some(front_end) = options.front_end {
            return Self::attach_as(front_end, options, take);
        }
        if !options.tls && !options.datagrams {
            match Self::attach_as(FrontEnd::Socket, options, take.clone()) {
                Ok(kernel) => return Ok(kernel),
                Err(error) => tracing::info!(%error, "the next front end is tried"),
            }
        }
        Self::attach_as(FrontEnd::TpBtf, options, take.clone()).or_else(|first| {
            tracing::info!(%first, "the next front end is tried");
            // The first reason counts: the second front end needs all that the first one needs, but for BTF.
            Self::attach_as(FrontEnd::Tracepoint, options, take).map_err(|_| first)
        })
    }

    fn attach_as(
        front_end: FrontEnd,
        options: &TraceOptions,
        take: impl FnMut(&[u8]) + 'static,
    ) -> Result<Self, CaptureError> {
        let explain = |step| move |error: libbpf_rs::Error| explain(front_end, step, &error);
        let (object, probes) = if options.tls {
            let (object, probes) = probes::load(front_end, options)?;
            (object, Some(probes))
        } else {
            (load(front_end, options, None)?, None)
        };
        set_filters(&object, options).map_err(explain("filter"))?;
        let ring = ring(&object, take).map_err(explain("map the ring of"))?;
        let moves = front_end.attach_moves(&object).map_err(explain("attach"))?;
        let links = front_end.attach_others(&object).map_err(explain("attach"))?;
        Ok(Self { front_end, moves, links, object, ring, is_muting: false, probes })
    }

    /// How TLS libraries are probed, if they are.
    pub(super) fn probes(&self) -> Option<Probes> {
        self.probes
    }

    /// Probes the functions of a TLS library from now on.
    pub(super) fn probe(&mut self, library: &Library) -> Result<(), CaptureError> {
        let Some(probes) = self.probes else { return Ok(()) };
        let links = probes.attach(&self.object, library);
        self.links.extend(links.map_err(|error| probes.explain(&error))?);
        Ok(())
    }

    /// How the programs are attached.
    pub(super) fn front_end(&self) -> FrontEnd {
        self.front_end
    }

    /// Sees no more calls; false if that was so before.
    pub(super) fn detach(&mut self) -> bool {
        let was_attached = self.detach_moves();
        self.links.clear();
        was_attached
    }

    /// Sees datagrams from now on, if it did not. What is moved meanwhile is a gap.
    pub(super) fn hear_datagrams(&mut self) -> Result<(), CaptureError> {
        if self.front_end != FrontEnd::Socket || !self.detach_moves() {
            return Ok(());
        }
        self.front_end = FrontEnd::TpBtf;
        let moves = self.front_end.attach_moves(&self.object);
        self.moves = moves.map_err(|error| explain(self.front_end, "attach", &error))?;
        Ok(())
    }

    fn detach_moves(&mut self) -> bool {
        let was_attached = !self.moves.is_empty();
        self.moves.clear();
        was_attached
    }

    /// Takes so many events from the ring at most; how many there were.
    pub(super) fn consume(&self, most: usize) -> Result<usize, CaptureError> {
        let taken = self.ring.consume_raw_n(most);
        usize::try_from(taken).map_err(|_| {
            let error = libbpf_rs::Error::from_raw_os_error(taken.saturating_neg());
            explain(self.front_end, "read the ring of", &error)
        })
    }

    /// What was not seen so far.
    pub(super) fn losses(&self) -> SocketLoss {
        let count = |counter: u64| self.counter(counter).unwrap_or(0);
        SocketLoss {
            ring_events: count(layout::COUNTER_RING_EVENTS),
            ring_bytes: count(layout::COUNTER_RING_BYTES),
            cap_bytes: count(layout::COUNTER_CAP_BYTES),
            fault_bytes: count(layout::COUNTER_FAULT_BYTES),
            concurrent_bytes: count(layout::COUNTER_CONCURRENT_BYTES),
            muted_calls: count(layout::COUNTER_MUTED_CALLS),
            compat_calls: count(layout::COUNTER_COMPAT_CALLS),
            untracked_calls: count(layout::COUNTER_UNTRACKED_CALLS),
            ciphertext_bytes: count(layout::COUNTER_CIPHERTEXT_BYTES),
            unplaced_bytes: count(layout::COUNTER_UNPLACED_BYTES),
            datagrams: 0,
        }
    }

    fn counter(&self, counter: u64) -> Option<u64> {
        let key = u32::try_from(counter).ok()?.to_ne_bytes();
        let of_cpus = map(&self.object, "counters")?.lookup_percpu(&key, MapFlags::ANY).ok()??;
        Some(of_cpus.iter().filter_map(|value| Some(u64::from_ne_bytes(*value.first_chunk()?))).sum())
    }

    /// Whether the maps can still be used.
    pub(super) fn has_maps(&self) -> bool {
        self.counter(layout::COUNTER_RING_EVENTS).is_some()
    }

    /// That process has ended; its id may soon be another's.
    pub(super) fn forget_process(&self, pid: u32) {
        if let Some(pids) = map(&self.object, "pids") {
            let _ = pids.delete(&pid.to_ne_bytes());
        }
    }

    /// The bytes of that socket are not wanted, in the connection with that `first`. A full map is no loss: they are sent
    /// on, and dropped here.
    pub(super) fn mute(&mut self, (socket, first): (u64, u32)) {
        let Some(muted) = map(&self.object, "muted") else { return };
        let is_muted = muted.update(&socket.to_ne_bytes(), &first.to_ne_bytes(), MapFlags::ANY).is_ok();
        if is_muted && !self.is_muting {
            self.set_muting(true);
        }
    }

    /// All sockets are wanted again.
    pub(super) fn unmute(&mut self) {
        if !self.is_muting {
            return;
        }
        self.set_muting(false);
        if let Some(muted) = map(&self.object, "muted") {
            let keys: Vec<Vec<u8>> = muted.keys().collect();
            keys.iter().for_each(|key| drop(muted.delete(key)));
        }
    }

    fn set_muting(&mut self, is_muting: bool) {
        self.is_muting = is_muting;
        if let Some(flag) = map(&self.object, "is_muting") {
            let _ = flag.update(&0u32.to_ne_bytes(), &u32::from(is_muting).to_ne_bytes(), MapFlags::ANY);
        }
    }
}

/// libbpf writes to standard error on its own; its words are told at the log level `debug` instead.
fn quiet() {
    let print: libbpf_rs::PrintCallback = |_, text| tracing::debug!("{}", text.trim_end());
    libbpf_rs::set_print(Some((libbpf_rs::PrintLevel::Debug, print)));
}

fn map<'a>(object: &'a Object, name: &str) -> Option<Map<'a>> {
    object.maps().find(|map| map.name() == OsStr::new(name))
}

fn load(front_end: FrontEnd, options: &TraceOptions, probes: Option<Probes>) -> Result<Object, CaptureError> {
    let explain = |step| move |error: libbpf_rs::Error| explain(front_end, step, &error);
    let mut open = front_end.open(options.btf.as_deref()).map_err(explain("open"))?;
    configure(&mut open, options).map_err(explain("set up"))?;
    front_end.prepare(&mut open);
    probes::prepare(&mut open, probes);
    open.load().map_err(explain("load"))
}

/// Sets the constants, which the verifier takes into account, and the ring's size.
fn configure(open: &mut OpenObject, options: &TraceOptions) -> libbpf_rs::Result<()> {
    for mut map in open.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        if name == "events" {
            map.set_max_entries(options.buffer_bytes.next_power_of_two())?;
        } else if name.starts_with("tls_") && !options.tls {
            map.set_max_entries(1)?;
        } else if name.ends_with(".rodata") {
            set(map.initial_value_mut().unwrap_or_default(), options);
        }
    }
    Ok(())
}

/// Fills in `struct settings`, the only constant of the programs.
fn set(settings: &mut [u8], options: &TraceOptions) {
    let filters = [
        (options.pids.is_empty(), layout::FILTER_PID),
        (options.comms.is_empty(), layout::FILTER_COMM),
        (options.cgroup.is_none(), layout::FILTER_CGROUP),
        (options.ports.is_empty(), layout::FILTER_PORT),
    ];
    let filters: u64 = filters.iter().filter(|(is_empty, _)| !is_empty).map(|(_, bit)| bit).sum();
    let filters = u32::try_from(filters).unwrap_or(0);
    let mut put = |offset: usize, value: &[u8]| {
        let to = settings.iter_mut().skip(offset);
        to.zip(value).for_each(|(to, from)| *to = *from);
    };
    put(layout::SETTINGS_FIELD_CALL_CAP, &options.call_cap.to_ne_bytes());
    put(layout::SETTINGS_FIELD_FILTERS, &filters.to_ne_bytes());
    put(layout::SETTINGS_FIELD_OWN_TGID, &std::process::id().to_ne_bytes());
    let has_excluded_ports = u32::from(!options.excluded_ports.is_empty());
    put(layout::SETTINGS_FIELD_HAS_EXCLUDED_PORTS, &has_excluded_ports.to_ne_bytes());
    put(layout::SETTINGS_FIELD_HAS_TLS, &u32::from(options.tls).to_ne_bytes());
}

fn set_filters(object: &Object, options: &TraceOptions) -> libbpf_rs::Result<()> {
    let put = |name: &str, key: &[u8], value: &[u8]| {
        map(object, name).map_or(Ok(()), |map| map.update(key, value, MapFlags::ANY))
    };
    for pid in &options.pids {
        put("pids", &pid.to_ne_bytes(), &[1])?;
    }
    for comm in &options.comms {
        // The kernel keeps 15 bytes of a name.
        let mut name = [0; 16];
        name.iter_mut().zip(comm.bytes().take(15)).for_each(|(to, from)| *to = from);
        put("comms", &name, &[1])?;
    }
    put("ports", &0u32.to_ne_bytes(), &port_rules(options))?;
    if let Some(cgroup) = &options.cgroup {
        use std::os::fd::AsRawFd;
        let folder = std::fs::File::open(cgroup).map_err(libbpf_rs::Error::from)?;
        put("cgroups", &0u32.to_ne_bytes(), &folder.as_raw_fd().to_ne_bytes())?;
    }
    Ok(())
}

/// A rule for each port.
fn port_rules(options: &TraceOptions) -> Vec<u8> {
    let mut rules = vec![0; usize::from(u16::MAX) + 1];
    let wanted = options.ports.iter().map(|port| (port, layout::PORT_WANTED));
    for (port, rule) in wanted.chain(options.excluded_ports.iter().map(|port| (port, layout::PORT_EXCLUDED))) {
        rules.get_mut(usize::from(*port)).into_iter().for_each(|at| *at = u8::try_from(rule).unwrap_or(0));
    }
    rules
}

fn ring(object: &Object, mut take: impl FnMut(&[u8]) + 'static) -> libbpf_rs::Result<RingBuffer<'static>> {
    let Some(events) = map(object, "events") else {
        return Err(std::io::Error::other("the programs have no ring").into());
    };
    let mut builder = RingBufferBuilder::new();
    builder.add(&events, move |event| {
        take(event);
        0
    })?;
    builder.build()
}
