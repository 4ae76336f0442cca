//! The ways to hook system calls, over one core: what each is made of, how it is attached, and what to do when the
//! kernel refuses it.

use std::ffi::OsStr;
use std::path::Path;

use libbpf_rs::{ErrorKind, Link, Object, ObjectBuilder, OpenObject, ProgramMut, TracepointCategory};

use super::check;
use super::kernel::is_probe;
use crate::capture::CaptureError;

/// The programs of each, compiled by the build script.
static TP_BTF: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tp_btf.bpf.o"));
static TRACEPOINT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tracepoint.bpf.o"));

/// The system calls that are followed, as tracefs knows them. `classify` in `bpf/trace.h` knows them by number.
const SYSCALLS: [&str; 10] =
    ["read", "readv", "recvfrom", "recvmsg", "recvmmsg", "write", "writev", "sendto", "sendmsg", "sendmmsg"];

/// How system calls are hooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrontEnd {
    /// Typed raw tracepoints where sockets move bytes. Other calls cost nothing, but datagrams are not seen.
    Socket,
    /// Typed raw tracepoints on all system calls. Cheaper for those that count; needs a kernel with BTF.
    TpBtf,
    /// The tracepoints of single system calls, through tracefs.
    Tracepoint,
}

impl FrontEnd {
    /// What it is called on the command line and in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::TpBtf => "tp-btf",
            Self::Tracepoint => "tracepoint",
        }
    }

    /// The programs, not loaded yet; `btf` stands for the kernel's own type information.
    pub(super) fn open(self, btf: Option<&Path>) -> libbpf_rs::Result<OpenObject> {
        // Elsewhere it cannot be told whether a task is in a call.
        if self == Self::Socket && !cfg!(target_arch = "x86_64") {
            return Err(std::io::Error::from(std::io::ErrorKind::Unsupported).into());
        }
        let mut builder = ObjectBuilder::default();
        if let Some(btf) = btf {
            builder.btf_custom_path(btf)?;
        }
        builder.open_memory(match self {
            Self::Socket | Self::TpBtf => TP_BTF,
            Self::Tracepoint => TRACEPOINT,
        })
    }

    /// To be done before the programs are loaded: those at sockets are for kernels that have their tracepoints. Those at calls
    /// are loaded beside them, to take over when datagrams are wanted.
    pub(super) fn prepare(self, open: &mut OpenObject) {
        for mut program in open.progs_mut().filter(|program| is_at_socket(program.name())) {
            program.set_autoload(self == Self::Socket);
        }
    }

    /// Attaches the programs that see bytes be moved. Exits before entries, so that no call is seen without its end.
    pub(super) fn attach_moves(self, object: &Object) -> libbpf_rs::Result<Vec<Link>> {
        let mut links = Vec::new();
        for program in object.progs_mut().filter(|program| is_move(program.name())) {
            if is_at_socket(program.name()) != (self == Self::Socket) {
                continue;
            }
            if self != Self::Tracepoint {
                links.push(program.attach()?);
                continue;
            }
            let prefix = if program.name() == "on_enter" { "sys_enter_" } else { "sys_exit_" };
            attach_to_all(&program, prefix, &mut links)?;
        }
        Ok(links)
    }

    /// Attaches the others, but for probes.
    pub(super) fn attach_others(self, object: &Object) -> libbpf_rs::Result<Vec<Link>> {
        let is_other = |name: &OsStr| !is_move(name) && !is_probe(name);
        object.progs_mut().filter(|program| is_other(program.name())).map(|program| program.attach()).collect()
    }
}

/// Whether a program sees bytes be moved where a socket does it.
fn is_at_socket(name: &OsStr) -> bool {
    name == "on_send" || name == "on_receive"
}

/// Whether a program sees bytes be moved.
fn is_move(name: &OsStr) -> bool {
    is_at_socket(name) || name == "on_enter" || name == "on_exit"
}

/// One program at all tracepoints: each of its own would be verified by itself.
fn attach_to_all(program: &ProgramMut<'_>, prefix: &str, links: &mut Vec<Link>) -> libbpf_rs::Result<()> {
    for syscall in SYSCALLS {
        links.push(program.attach_tracepoint(TracepointCategory::Syscalls, format!("{prefix}{syscall}"))?);
    }
    Ok(())
}

/// What went wrong, and what to do about it.
pub(super) fn explain(front_end: FrontEnd, step: &str, error: &libbpf_rs::Error) -> CaptureError {
    // What the verifier refuses is EACCES too, and comes with its log.
    let has_capabilities = step == "load" && check::has_capabilities();
    let advice = match error.kind() {
        _ if step == "attach" && front_end == FrontEnd::Tracepoint => {
            check::tracefs_problem().unwrap_or("see what `protap trace --check` says of this kernel")
        }
        _ if step == "load" && check::is_locked_down() => check::LOCKED_DOWN,
        _ if front_end == FrontEnd::Socket && matches!(step, "open" | "load") && !check::has_socket_tracepoints() => {
            "it needs Linux 6.3 and x86-64: use --front-end tp-btf"
        }
        _ if step == "load" && !check::has_btf() => {
            "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF): give a file with its types, --front-end tracepoint --btf FILE"
        }
        ErrorKind::PermissionDenied if has_capabilities => {
            "the kernel's verifier or policy, or a container's seccomp profile, refuses them; PROTAP_LOG=debug shows what was said"
        }
        ErrorKind::PermissionDenied => "run as root, or once `setcap cap_bpf,cap_perfmon+ep` on the program",
        ErrorKind::OutOfMemory => "lower --buffer",
        _ => "see what `protap trace --check` says of this kernel",
    };
    CaptureError::Trace { step: step.to_owned(), message: error.to_string(), advice }
}
