//! Which files to probe: the executables and shared libraries that processes have mapped and that define the functions of a
//! TLS library, in containers too (through the process's own root), of processes that start later too. A file is looked
//! at once, whoever maps it. This happens in a thread of its own, since a file takes milliseconds.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use caps::Capability;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::check::may_look;
use super::elf::{self, Binary, Function};

/// How often new processes are looked for.
const LOOK: Duration = Duration::from_millis(250);
/// A process is looked at again after twice as long each time, since it may load a library later.
const AGAIN: Duration = Duration::from_millis(250);
const AGAIN_AT_MOST: Duration = Duration::from_secs(30);
/// Files remembered; beyond, all are forgotten and looked at anew.
const FILES: usize = 65_536;
/// Files on their way to be probed.
const QUEUE: usize = 64;
/// Where libraries are that processes may map later.
const FOLDERS: [&str; 7] = [
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/opt/openssl/lib",
];

/// asm-generic/fcntl.h
const O_NONBLOCK: i32 = 0o4000;

/// What was found.
#[derive(Debug)]
pub(super) enum News {
    /// A file to probe.
    Library(Library),
    /// What cannot be probed, and why.
    Note(String),
}

/// A file with the functions of a TLS library.
#[derive(Debug)]
pub(super) struct Library {
    /// Open, so that it can be probed though its process ends.
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Only in that process.
    pub(super) pid: Option<u32>,
    pub(super) functions: Vec<Function>,
}

/// When a process is looked at again.
#[derive(Debug)]
struct Visit {
    due: Instant,
    pause: Duration,
    has_tls: bool,
}

/// Names a mapped file: its device and inode, and the process if only that one is meant.
type FileKey = (String, Option<u32>);

/// Looks for libraries.
#[derive(Debug)]
pub(super) struct Libraries {
    /// Only these processes, if any were asked for.
    pids: Option<Vec<u32>>,
    files: HashMap<FileKey, bool>,
    visits: HashMap<u32, Visit>,
    denied: HashSet<u32>,
    is_told_denied: bool,
}

impl Libraries {
    pub(super) fn new(pids: Option<Vec<u32>>) -> Self {
        let (files, visits) = (HashMap::new(), HashMap::new());
        Self { pids, files, visits, denied: HashSet::new(), is_told_denied: false }
    }

    /// Looks once; where `is_first`, also at what is installed and not in use.
    pub(super) fn look(&mut self, is_first: bool) -> Vec<News> {
        let mut news = Vec::new();
        let Some(pids) = self.pids.clone() else {
            if is_first {
                installed().iter().for_each(|path| self.visit_installed(path, &mut news));
            }
            let running = running();
            self.visits.retain(|pid, _| running.contains(pid));
            running.into_iter().for_each(|pid| self.visit(pid, &mut news));
            return news;
        };
        // That one has ended is told elsewhere.
        let running: Vec<u32> = pids.into_iter().filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).collect();
        running.iter().for_each(|pid| self.visit(*pid, &mut news));
        self.pids = Some(running);
        news
    }

    /// Goes on looking until nobody listens.
    pub(super) fn watch(mut self) -> io::Result<Receiver<News>> {
        let (send, receive) = bounded(QUEUE);
        let run = move || {
            let _ =
                crate::privilege::keep_only(&[Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH], || true);
            while is_heard(self.look(false), &send) {
                std::thread::sleep(LOOK);
            }
        };
        std::thread::Builder::new().name("libraries".to_owned()).spawn(run)?;
        Ok(receive)
    }

    fn visit_installed(&mut self, path: &Path, news: &mut Vec<News>) {
        let (Ok(file), Ok(map_key)) = (File::open(path), map_key(path)) else { return };
        self.take((map_key, None), path, file, news);
    }

    fn visit(&mut self, pid: u32, news: &mut Vec<News>) {
        let now = Instant::now();
        if self.visits.get(&pid).is_some_and(|visit| visit.due > now) {
            return;
        }
        let pause = self.visits.get(&pid).map_or(AGAIN, |visit| (visit.pause * 2).min(AGAIN_AT_MOST));
        let is_first = !self.visits.contains_key(&pid);
        let mut has_tls = self.visits.get(&pid).is_some_and(|visit| visit.has_tls);
        match fs::read_to_string(format!("/proc/{pid}/maps")) {
            Ok(maps) => has_tls |= self.visit_maps(pid, &maps, news),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.deny(pid, news),
            Err(_) => {}
        }
        // A library may still be on its way into a process that has just begun.
        if self.pids.is_some() && !has_tls && is_first && !self.denied.contains(&pid) {
            news.push(News::Note(uncovered(pid)));
        }
        self.visits.insert(pid, Visit { due: now + pause, pause, has_tls });
    }

    fn deny(&mut self, pid: u32, news: &mut Vec<News>) {
        self.denied.insert(pid);
        // Of some processes nobody may know anything, root neither: no news.
        if self.pids.is_some() || (!may_look() && !std::mem::replace(&mut self.is_told_denied, true)) {
            let what = format!("cannot look for TLS libraries in process {pid}, nor in others like it");
            news.push(News::Note(format!("{what}: that takes root or CAP_SYS_PTRACE")));
        }
    }

    /// Whether one of the mapped files has a TLS library.
    fn visit_maps(&mut self, pid: u32, maps: &str, news: &mut Vec<News>) -> bool {
        let only = self.pids.is_some().then_some(pid);
        let mut has_tls = false;
        let mut seen = HashSet::new();
        for (id, path) in maps.lines().filter_map(executable) {
            if !seen.insert(id.clone()) {
                continue;
            }
            if let Some(known) = self.files.get(&(id.clone(), only)) {
                has_tls |= known;
            } else if let Ok(file) = open(pid, path) {
                has_tls |= self.take((id, only), Path::new(path), file, news);
            }
        }
        has_tls
    }

    fn take(&mut self, key: FileKey, path: &Path, file: File, news: &mut Vec<News>) -> bool {
        if self.files.len() >= FILES {
            self.files.clear();
        }
        let functions = elf::look(&file).unwrap_or_default().functions;
        let (has_tls, pid) = (!functions.is_empty(), key.1);
        if self.files.insert(key, has_tls).is_none() && has_tls {
            news.push(News::Library(Library { file, path: path.to_owned(), pid, functions }));
        }
        has_tls
    }
}

fn is_heard(news: Vec<News>, send: &Sender<News>) -> bool {
    news.into_iter().all(|news| send.send(news).is_ok())
}

/// Libraries by that name where they are usually installed.
fn installed() -> Vec<PathBuf> {
    let entries = FOLDERS.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let is_tls = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b"libssl");
    entries.filter(is_tls).map(|entry| entry.path()).collect()
}

fn running() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let own = std::process::id();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|pid| *pid != own).collect()
}

/// Device and inode, as a line of `/proc/PID/maps` has them, and the path of a mapping that can be executed.
fn executable(line: &str) -> Option<(String, &str)> {
    let mut fields = line.splitn(6, ' ');
    let (_, permissions, _) = (fields.next()?, fields.next()?, fields.next()?);
    let (device, inode, path) = (fields.next()?, fields.next()?, fields.next()?.trim_start());
    let is_file = permissions.contains('x') && path.starts_with('/');
    is_file.then(|| (format!("{device} {inode}"), path))
}

/// What `executable` would say of a file; for the numbers see makedev(3).
fn map_key(path: &Path) -> io::Result<String> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path)?;
    let device = metadata.dev();
    let (major, minor) = (device >> 8 & 0xfff | device >> 32 & !0xfff, device & 0xff | device >> 12 & !0xff);
    Ok(format!("{major:02x}:{minor:02x} {}", metadata.ino()))
}

/// The file as the process sees it; of its executable, even if that was deleted.
fn open(pid: u32, path: &str) -> io::Result<File> {
    let exe = format!("/proc/{pid}/exe");
    if fs::read_link(&exe).is_ok_and(|target| target == Path::new(path)) {
        return File::open(exe);
    }
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    // A FIFO that took its place would block whoever opens it.
    let file = File::options().read(true).custom_flags(O_NONBLOCK).open(format!("/proc/{pid}/root{path}"))?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Why nothing comes of a process that was asked for.
fn uncovered(pid: u32) -> String {
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let binary = File::open(format!("/proc/{pid}/exe")).and_then(|file| elf::look(&file)).unwrap_or_default();
    let why = match binary {
        Binary { is_go: true, .. } => "it is a Go program, and crypto/tls is not covered",
        _ => {
            "it has no SSL_read or SSL_write (no OpenSSL or BoringSSL, or one linked in and stripped; rustls is not covered)"
        }
    };
    format!("no TLS is seen in process {pid} ({}): {why}", comm.trim())
}

#[cfg(test)]
mod tests {
    use super::executable;

    #[test]
    fn mappings_of_files_that_are_executed_are_taken_from_maps() {
        let line = "7f00-7f01 r-xp 00028000 fe:01 1234                       /usr/lib/a b.so (deleted)";
        assert_eq!(executable(line), Some(("fe:01 1234".to_owned(), "/usr/lib/a b.so (deleted)")));
        assert_eq!(executable("7f00-7f01 r--p 00000000 fe:01 1234    /usr/lib/a.so"), None);
        assert_eq!(executable("7f00-7f01 r-xp 00000000 00:00 0 "), None);
        assert_eq!(executable("7f00-7f01 r-xp 00000000 00:00 0                          [vdso]"), None);
    }
}
