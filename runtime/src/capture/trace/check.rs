//! What this kernel and this user can do, and what would give what is missing. The last lines are the proof: each front
//! end's programs are loaded and attached, and let go at once.

use std::path::Path;
use std::{fs, io};

use caps::{CapSet, Capability};

use super::TraceOptions;
use super::front_end::FrontEnd;
use super::kernel::{Kernel, Probes};
use super::libraries::{Libraries, News};
use crate::capture::CaptureError;

/// One thing that tracing needs, or may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceCheck {
    /// Whether it is there; `None` if it does not decide anything.
    pub is_ok: Option<bool>,
    /// What it is.
    pub subject: &'static str,
    /// What was found, and what to do about it.
    pub finding: String,
}

/// Where a cgroup (v2) hierarchy is usually mounted.
const CGROUPS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// Looks at everything; the ring's size and the type information are those of the options.
pub fn check_trace(options: &TraceOptions) -> Vec<TraceCheck> {
    let lines = [kernel(), type_information(), capabilities(), tracefs(), lockdown(), cgroup()];
    lines.into_iter().chain([tls_probes(options), tls_libraries()]).chain(trials(options)).collect()
}

fn line(is_ok: impl Into<Option<bool>>, subject: &'static str, finding: impl Into<String>) -> TraceCheck {
    TraceCheck { is_ok: is_ok.into(), subject, finding: finding.into() }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn release() -> String {
    read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned())
}

/// The first two numbers of the kernel's version.
pub(super) fn kernel_version() -> (Option<u32>, Option<u32>) {
    let release = release();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse().ok());
    (numbers.next(), numbers.next())
}

/// Whether this kernel tells where sockets move bytes, in a way that can be understood.
pub(super) fn has_socket_tracepoints() -> bool {
    cfg!(target_arch = "x86_64") && kernel_version() >= (Some(6), Some(3))
}

/// Loops by callback are the youngest thing the programs need.
fn kernel() -> TraceCheck {
    let release = release();
    let is_ok = kernel_version() >= (Some(5), Some(17));
    let says = if is_ok { release } else { format!("{release}: 5.17 or newer is needed") };
    line(is_ok, "kernel", says)
}

/// Where the kernel keeps its BTF.
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Whether this kernel tells where its fields lie.
pub(super) fn has_btf() -> bool {
    Path::new(BTF).exists()
}

fn type_information() -> TraceCheck {
    match has_btf() {
        true => line(true, "type information", BTF),
        false => line(
            None,
            "type information",
            "none (CONFIG_DEBUG_INFO_BTF): only the tracepoint front end, with --btf FILE",
        ),
    }
}

/// Where tracefs is looked for, in the order in which libbpf does.
const TRACEFS: [&str; 2] = ["/sys/kernel/debug/tracing", "/sys/kernel/tracing"];

/// Why single tracepoints cannot be used; `None` if nothing is known that stands in the way.
pub(super) fn tracefs_problem() -> Option<&'static str> {
    let folder = TRACEFS.into_iter().find(|folder| Path::new(folder).exists()).unwrap_or("/sys/kernel/tracing");
    match fs::read_dir(Path::new(folder).join("events/syscalls")) {
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Some("tracefs may be read by root only: add CAP_DAC_READ_SEARCH, or use --front-end tp-btf")
        }
        Err(_) if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none()) => {
            Some("tracefs is not mounted: `mount -t tracefs nodev /sys/kernel/tracing`")
        }
        Err(_) => Some("this kernel has no tracepoints of system calls (CONFIG_FTRACE_SYSCALLS)"),
    }
}

/// Only the second front end needs it.
fn tracefs() -> TraceCheck {
    match tracefs_problem() {
        None => line(true, "tracefs", "tracepoints of system calls can be found"),
        Some(problem) => line(None, "tracefs", problem),
    }
}

fn capabilities() -> TraceCheck {
    let is_ok = has_capabilities();
    let says = if is_ok {
        "CAP_BPF and CAP_PERFMON"
    } else {
        "CAP_BPF and CAP_PERFMON are needed: run as root, or `setcap cap_bpf,cap_perfmon+ep` on the program"
    };
    line(is_ok, "capabilities", says)
}

/// Whether this process may load and attach the programs, as far as capabilities go.
pub(super) fn has_capabilities() -> bool {
    has(Capability::CAP_SYS_ADMIN) || (has(Capability::CAP_BPF) && has(Capability::CAP_PERFMON))
}

/// Whether this process may look into those of other users.
pub(super) fn may_look() -> bool {
    has(Capability::CAP_SYS_PTRACE)
}

fn has(capability: Capability) -> bool {
    caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false)
}

/// What a kernel says that lets nobody read its memory.
pub(super) const LOCKED_DOWN: &str =
    "the kernel is locked down (confidentiality), so BPF must not read memory: boot with lockdown=integrity or none";

/// The modes of lockdown, the one that holds in brackets.
fn lockdown_modes() -> Option<String> {
    read("/sys/kernel/security/lockdown")
}

/// Whether nothing may read the kernel's memory.
pub(super) fn is_locked_down() -> bool {
    lockdown_modes().is_some_and(|modes| modes.contains("[confidentiality]"))
}

fn lockdown() -> TraceCheck {
    match lockdown_modes() {
        Some(_) if is_locked_down() => line(false, "lockdown", LOCKED_DOWN),
        Some(modes) => line(true, "lockdown", modes),
        None => line(None, "lockdown", "cannot be read"),
    }
}

fn cgroup() -> TraceCheck {
    let found = CGROUPS.iter().find(|folder| Path::new(folder).join("cgroup.procs").exists() && is_v2(folder));
    let says = found.map_or("no cgroup v2 hierarchy is mounted: --cgroup cannot be used", |folder| folder);
    line(found.is_some().then_some(true), "cgroup v2", says)
}

fn is_v2(folder: &str) -> bool {
    Path::new(folder).join("cgroup.controllers").exists()
}

/// `--tls`: nothing else depends on it.
fn tls_probes(options: &TraceOptions) -> TraceCheck {
    let options = TraceOptions { buffer_bytes: 4096, tls: true, ..options.clone() };
    match Kernel::attach(&options, |_| {}).map(|kernel| kernel.probes()) {
        Ok(Some(Probes::Multi)) => line(None, "--tls: probes", "uprobe.multi: possible, with CAP_BPF and CAP_PERFMON"),
        Ok(_) => line(None, "--tls: probes", "possible, one by one, with CAP_SYS_ADMIN (uprobe.multi comes with 6.6)"),
        Err(error) => line(None, "--tls: probes", format!("not possible: {error}")),
    }
}

fn tls_libraries() -> TraceCheck {
    let libraries = Libraries::new(None).look(true);
    let count = libraries.iter().filter(|news| matches!(news, News::Library(_))).count();
    let of = if may_look() { "of all processes" } else { "of this user's processes alone: CAP_SYS_PTRACE is missing" };
    line(None, "--tls: libraries", format!("{count} files with OpenSSL's or BoringSSL's functions, {of}"))
}

/// One front end that works is enough.
fn trials(options: &TraceOptions) -> [TraceCheck; 3] {
    let front_ends = [FrontEnd::Socket, FrontEnd::TpBtf, FrontEnd::Tracepoint];
    let trials = front_ends.map(|front_end| (front_end.name(), trial(front_end, options)));
    let works = trials.iter().any(|(_, trial)| trial.is_ok());
    trials.map(|(name, trial)| match trial {
        Ok(()) => line(true, name, "loaded, attached and detached again"),
        Err(error) => line(if works { None } else { Some(false) }, name, error.to_string()),
    })
}

fn trial(front_end: FrontEnd, options: &TraceOptions) -> Result<(), CaptureError> {
    let options = TraceOptions { front_end: Some(front_end), ..options.clone() };
    Kernel::attach(&options, |_| {}).map(drop)
}
