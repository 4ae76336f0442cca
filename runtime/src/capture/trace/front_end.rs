//! The two ways to hook system calls, over one core: what each is made of, how it is attached, and what to do when the
//! kernel refuses it.

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
            Self::TpBtf => "tp-btf",
            Self::Tracepoint => "tracepoint",
        }
    }

    /// The programs, not loaded yet; `btf` stands for the kernel's own type information.
    pub(super) fn open(self, btf: Option<&Path>) -> libbpf_rs::Result<OpenObject> {
        let mut builder = ObjectBuilder::default();
        if let Some(btf) = btf {
            builder.btf_custom_path(btf)?;
        }
        builder.open_memory(match self {
            Self::TpBtf => TP_BTF,
            Self::Tracepoint => TRACEPOINT,
        })
    }

    /// Attaches all programs. Exits before entries, so that no call is seen without its end.
    pub(super) fn attach(self, object: &Object) -> libbpf_rs::Result<Vec<Link>> {
        let mut links = Vec::new();
        for program in object.progs_mut().filter(|program| !is_probe(program.name())) {
            let prefix = match program.name().to_string_lossy().as_ref() {
                "on_enter" => "sys_enter_",
                "on_exit" => "sys_exit_",
                _ => "",
            };
            if self == Self::Tracepoint && !prefix.is_empty() {
                attach_to_all(&program, prefix, &mut links)?;
            } else {
                links.push(program.attach()?);
            }
        }
        Ok(links)
    }
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
