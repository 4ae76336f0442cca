//! What this kernel and this user can do, and what would give what is missing. The last line is the proof: the programs
//! are loaded and attached, and let go at once.

use std::fs;
use std::path::Path;

use super::TraceOptions;
use super::kernel::{Kernel, Probes};
use super::libraries::{Libraries, News};

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

/// linux/capability.h
const CAP_SYS_PTRACE: u32 = 19;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;
/// Where a cgroup (v2) hierarchy is usually mounted.
const CGROUPS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// Looks at everything.
pub fn check_trace() -> Vec<TraceCheck> {
    vec![kernel(), btf(), capabilities(), lockdown(), cgroup(), tls_probes(), tls_libraries(), trial()]
}

fn line(is_ok: impl Into<Option<bool>>, subject: &'static str, finding: impl Into<String>) -> TraceCheck {
    TraceCheck { is_ok: is_ok.into(), subject, finding: finding.into() }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Loops by callback are the youngest thing the programs need.
fn kernel() -> TraceCheck {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned());
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let is_ok = (numbers.next(), numbers.next()) >= (Some(5), Some(17));
    let says = if is_ok { release } else { format!("{release}: 5.17 or newer is needed") };
    line(is_ok, "kernel", says)
}

fn btf() -> TraceCheck {
    let is_ok = Path::new("/sys/kernel/btf/vmlinux").exists();
    let says = if is_ok { "/sys/kernel/btf/vmlinux" } else { "none: the kernel needs CONFIG_DEBUG_INFO_BTF=y" };
    line(is_ok, "type information", says)
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
    has(CAP_SYS_ADMIN) || (has(CAP_BPF) && has(CAP_PERFMON))
}

/// Whether this process may look into those of other users.
pub(super) fn may_look() -> bool {
    has(CAP_SYS_PTRACE)
}

fn has(capability: u32) -> bool {
    let status = read("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    effective >> capability & 1 == 1
}

fn lockdown() -> TraceCheck {
    match read("/sys/kernel/security/lockdown") {
        Some(modes) if modes.contains("[confidentiality]") => {
            line(false, "lockdown", "confidentiality: BPF must not read memory, boot with lockdown=integrity or none")
        }
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
fn tls_probes() -> TraceCheck {
    let options = TraceOptions { buffer_bytes: 4096, tls: true, ..TraceOptions::default() };
    let probes = Kernel::attach(&options, |_| {}).map(|kernel| kernel.probes());
    match probes {
        Ok(Some(Probes::Multi)) => line(None, "--tls: probes", "uprobe.multi"),
        Ok(_) => {
            line(None, "--tls: probes", "uprobes, one by one (no uprobe.multi before 6.6): CAP_SYS_ADMIN is needed")
        }
        Err(error) => line(None, "--tls: probes", format!("not possible: {error}")),
    }
}

fn tls_libraries() -> TraceCheck {
    let libraries = Libraries::new(&[]).look(true);
    let count = libraries.iter().filter(|news| matches!(news, News::Library(_))).count();
    let of = if may_look() { "of all processes" } else { "of this user's processes alone: CAP_SYS_PTRACE is missing" };
    line(None, "--tls: libraries", format!("{count} files with OpenSSL's or BoringSSL's functions, {of}"))
}

fn trial() -> TraceCheck {
    let options = TraceOptions { buffer_bytes: 4096, ..TraceOptions::default() };
    match Kernel::attach(&options, |_| {}) {
        Ok(_) => line(true, "tracing", "loaded, attached and detached again"),
        Err(error) => line(false, "tracing", error.to_string()),
    }
}
