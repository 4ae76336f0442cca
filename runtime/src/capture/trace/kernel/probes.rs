//! Probes on the functions of TLS libraries. Kernels from 6.6 on take all functions of a file at once (uprobe.multi), and
//! that without CAP_SYS_ADMIN; older ones take one perf event each. Which it is, a probe on this program's own first
//! instruction tells, which never runs again.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsRawFd;

use libbpf_rs::{ErrorKind, Link, Object, OpenObject, ProgramAttachType, ProgramMut, UprobeMultiOpts, UprobeOpts};

use super::{CaptureError, Library, TraceOptions, layout};
use crate::capture::trace::check;
use crate::capture::trace::elf::{self, Function};
use crate::capture::trace::front_end::FrontEnd;

/// How a library is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::capture::trace) enum Probes {
    /// All functions in one link.
    Multi,
    /// A perf event for each.
    Single,
}

const ENTER: &str = "on_tls_enter";
const EXIT: &str = "on_tls_exit";

/// Whether a program is for TLS libraries, and not attached with the others.
pub(in crate::capture::trace) fn is_probe(name: &OsStr) -> bool {
    name == ENTER || name == EXIT
}

/// Loads the programs for the kind of probes that this kernel has.
pub(super) fn load(front_end: FrontEnd, options: &TraceOptions) -> Result<(Object, Probes), CaptureError> {
    let load = |probes: Probes| {
        let object = super::load(front_end, options, Some(probes))?;
        probes.try_out(&object)?;
        Ok((object, probes))
    };
    load(Probes::Multi).or_else(|error| {
        tracing::debug!("no uprobe.multi: {error}");
        load(Probes::Single)
    })
}

/// To be done before the programs are loaded.
pub(super) fn prepare(open: &mut OpenObject, probes: Option<Probes>) {
    for mut program in open.progs_mut().filter(|program| is_probe(program.name())) {
        match probes {
            None => {
                program.set_autoload(false);
            }
            Some(Probes::Multi) => program.set_attach_type(ProgramAttachType::TraceUprobeMulti),
            Some(Probes::Single) => {}
        }
    }
}

impl Probes {
    fn try_out(self, object: &Object) -> Result<(), CaptureError> {
        let own = File::open("/proc/self/exe").and_then(|file| Ok((elf::entry(&file)?, file)));
        let (offset, file) = own.map_err(|error| self.explain(&error.into()))?;
        let functions = vec![Function { cookie: layout::TLS_READ, offset }];
        let path = "/proc/self/exe".into();
        let library = Library { file, path, pid: Some(std::process::id()), functions };
        self.attach(object, &library).map(drop).map_err(|error| self.explain(&error))
    }

    pub(super) fn explain(self, error: &libbpf_rs::Error) -> CaptureError {
        let advice = match (self, error.kind()) {
            (Self::Single, ErrorKind::PermissionDenied) => "probes before Linux 6.6 need CAP_SYS_ADMIN: run as root",
            (Self::Multi, ErrorKind::PermissionDenied) => "run as root, or with CAP_BPF and CAP_PERFMON",
            (_, ErrorKind::NotFound | ErrorKind::InvalidInput) => {
                "does this kernel have uprobes (CONFIG_UPROBE_EVENTS)?"
            }
            _ => "see what `protap trace --check` says of this kernel",
        };
        CaptureError::Trace { step: "probe a TLS library with".to_owned(), message: error.to_string(), advice }
    }

    pub(super) fn attach(self, object: &Object, library: &Library) -> libbpf_rs::Result<Vec<Link>> {
        // Returns first: what returns was not seen to enter yet, and does not count.
        let returning: Vec<Function> =
            library.functions.iter().filter(|function| function.cookie != layout::TLS_FREE).copied().collect();
        let mut links = self.attach_to(object, library, &returning, true)?;
        links.extend(self.attach_to(object, library, &library.functions, false)?);
        Ok(links)
    }

    fn attach_to(
        self,
        object: &Object,
        library: &Library,
        functions: &[Function],
        retprobe: bool,
    ) -> libbpf_rs::Result<Vec<Link>> {
        let name = if retprobe { EXIT } else { ENTER };
        let Some(program) = object.progs_mut().find(|program| program.name() == name) else { return Ok(Vec::new()) };
        let only = library.pid.filter(|_| self == Self::Single || filters_processes());
        let pid = only.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(-1);
        // The file itself, wherever it is, and whether or not its process still lives.
        let path = format!("/proc/self/fd/{}", library.file.as_raw_fd());
        match self {
            Self::Multi => Ok(vec![attach_multi(&program, pid, &path, functions, retprobe)?]),
            Self::Single => functions
                .iter()
                .map(|Function { cookie, offset }| {
                    let options = UprobeOpts { cookie: *cookie, retprobe, ..UprobeOpts::default() };
                    program.attach_uprobe_with_opts(pid, &path, *offset, options)
                })
                .collect(),
        }
    }
}

/// Before 6.10, uprobe.multi takes a process's first thread for the process. Then the programs alone tell processes apart.
fn filters_processes() -> bool {
    check::kernel_version() >= (Some(6), Some(10))
}

fn attach_multi(
    program: &ProgramMut<'_>,
    pid: i32,
    path: &str,
    functions: &[Function],
    retprobe: bool,
) -> libbpf_rs::Result<Link> {
    let options = UprobeMultiOpts {
        offsets: functions.iter().map(|function| function.offset).collect(),
        cookies: functions.iter().map(|function| function.cookie).collect(),
        retprobe,
        ..UprobeMultiOpts::default()
    };
    program.attach_uprobe_multi_with_opts(pid, path, "", options)
}
