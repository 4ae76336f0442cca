//! Which files to probe: the executables and shared libraries that processes have mapped and that define the functions of a
//! TLS library, in containers too, of processes that start later too, and of files that were deleted or replaced since. A file is
//! looked at once, whoever maps it. This happens in a thread of its own, since a file takes milliseconds.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

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

/// What follows the path of a deleted file in `/proc/PID/maps`.
const DELETED: &str = " (deleted)";
/// To look into processes, to read what they have mapped, and that even if it was deleted.
const LOOKING: [Capability; 3] =
    [Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH, Capability::CAP_CHECKPOINT_RESTORE];
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
    /// Device and inode of what it runs.
    program: Option<(u64, u64)>,
    /// Device and inode of the files that were looked at for it.
    files: HashSet<String>,
}

/// Names a mapped file: its device and inode, what tells it from a later file with that number, and the process if only that
/// one is meant.
type FileKey = (String, Option<Stamp>, Option<u32>);

/// Length, when it was written to, and when it was made, where the file system knows that.
type Stamp = (u64, Option<SystemTime>, Option<SystemTime>);

/// What `/proc/PID/maps` says of a mapping that can be executed.
#[derive(Debug, PartialEq, Eq)]
struct Mapping<'a> {
    /// Its addresses.
    range: &'a str,
    /// Device and inode.
    file: String,
    path: &'a str,
}

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
            let _ = crate::privilege::keep_only(&LOOKING, || true);
            while is_heard(self.look(false), &send) {
                std::thread::sleep(LOOK);
            }
        };
        std::thread::Builder::new().name("libraries".to_owned()).spawn(run)?;
        Ok(receive)
    }

    fn visit_installed(&mut self, path: &Path, news: &mut Vec<News>) {
        let (Ok(file), Ok(map_key)) = (File::open(path), map_key(path)) else { return };
        self.take((map_key, stamp(&file), None), path, file, news);
    }

    fn visit(&mut self, pid: u32, news: &mut Vec<News>) {
        let now = Instant::now();
        let program = program(pid);
        let is_same = |visit: &Visit| visit.program == program;
        if self.visits.get(&pid).is_some_and(|visit| is_same(visit) && visit.due > now) {
            return;
        }
        let is_first = !self.visits.contains_key(&pid);
        let first = || Visit { due: now, pause: AGAIN / 2, has_tls: false, program, files: HashSet::new() };
        // After execve(2), nothing is mapped that was before.
        let mut visit = self.visits.remove(&pid).filter(is_same).unwrap_or_else(first);
        match fs::read_to_string(format!("/proc/{pid}/maps")) {
            Ok(maps) => self.visit_maps(pid, &maps, &mut visit, news),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.deny(pid, news),
            Err(_) => {}
        }
        // A library may still be on its way into a process that has just begun.
        if self.pids.is_some() && !visit.has_tls && is_first && !self.denied.contains(&pid) {
            news.push(News::Note(uncovered(pid)));
        }
        visit.pause = (visit.pause * 2).min(AGAIN_AT_MOST);
        visit.due = now + visit.pause;
        self.visits.insert(pid, visit);
    }

    fn deny(&mut self, pid: u32, news: &mut Vec<News>) {
        self.denied.insert(pid);
        // Of some processes nobody may know anything, root neither: no news.
        if self.pids.is_some() || (!may_look() && !std::mem::replace(&mut self.is_told_denied, true)) {
            let what = format!("cannot look for TLS libraries in process {pid}, nor in others like it");
            news.push(News::Note(format!("{what}: that takes root or CAP_SYS_PTRACE")));
        }
    }

    /// Looks at the files that it has mapped since.
    fn visit_maps(&mut self, pid: u32, maps: &str, visit: &mut Visit, news: &mut Vec<News>) {
        let only = self.pids.is_some().then_some(pid);
        for mapping in maps.lines().filter_map(executable) {
            if visit.files.contains(&mapping.file) {
                continue;
            }
            match open(pid, &mapping) {
                Ok(file) => {
                    let key = (mapping.file.clone(), stamp(&file), only);
                    visit.has_tls |= self.take(key, Path::new(mapping.path), file, news);
                }
                Err(error) if is_gone(&mapping, &error) => self.miss(pid, &mapping, news),
                Err(_) => continue,
            }
            visit.files.insert(mapping.file);
        }
    }

    /// A library that was deleted cannot be opened.
    fn miss(&mut self, pid: u32, mapping: &Mapping<'_>, news: &mut Vec<News>) {
        self.denied.insert(pid);
        if self.files.insert((mapping.file.clone(), None, None), false).is_none() {
            let what = format!("no TLS is seen through {} of process {pid} and others", mapping.path);
            news.push(News::Note(format!("{what}: to open a deleted file takes root or CAP_CHECKPOINT_RESTORE")));
        }
    }

    fn take(&mut self, key: FileKey, path: &Path, file: File, news: &mut Vec<News>) -> bool {
        if let Some(has_tls) = self.files.get(&key) {
            return *has_tls;
        }
        if self.files.len() >= FILES {
            self.files.clear();
        }
        let functions = elf::look(&file).unwrap_or_default().functions;
        let (has_tls, pid) = (!functions.is_empty(), key.2);
        self.files.insert(key, has_tls);
        if has_tls {
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

/// Device and inode of what a process runs, if it runs a file and that may be known.
fn program(pid: u32) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

fn executable(line: &str) -> Option<Mapping<'_>> {
    let mut fields = line.splitn(6, ' ');
    let (range, permissions, _) = (fields.next()?, fields.next()?, fields.next()?);
    let (device, inode, path) = (fields.next()?, fields.next()?, fields.next()?.trim_start());
    let is_file = permissions.contains('x') && path.starts_with('/');
    is_file.then(|| Mapping { range, file: format!("{device} {inode}"), path })
}

/// What `executable` would say of a file; for the numbers see makedev(3).
fn map_key(path: &Path) -> io::Result<String> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path)?;
    let device = metadata.dev();
    let (major, minor) = (device >> 8 & 0xfff | device >> 32 & !0xfff, device & 0xff | device >> 12 & !0xff);
    Ok(format!("{major:02x}:{minor:02x} {}", metadata.ino()))
}

fn stamp(file: &File) -> Option<Stamp> {
    let metadata = file.metadata().ok()?;
    Some((metadata.len(), metadata.modified().ok(), metadata.created().ok()))
}

/// The file that is mapped, even if it was deleted or another one has its path by now. Where that takes a capability
/// that is not there, what the process sees at that path.
fn open(pid: u32, mapping: &Mapping<'_>) -> io::Result<File> {
    let exe = format!("/proc/{pid}/exe");
    if fs::read_link(&exe).is_ok_and(|target| target == Path::new(mapping.path)) {
        return File::open(exe);
    }
    // Their names there are without leading zeros.
    let range: Vec<&str> = mapping.range.split('-').map(|address| address.trim_start_matches('0')).collect();
    open_regular(&format!("/proc/{pid}/map_files/{}", range.join("-"))).or_else(|error| {
        if mapping.path.ends_with(DELETED) {
            Err(error)
        } else {
            open_regular(&format!("/proc/{pid}/root{}", mapping.path))
        }
    })
}

/// A FIFO that took a file's place would block whoever opens it.
fn open_regular(path: &str) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// It may be a TLS library, and was deleted. What is mapped and never had a name (memfd) is no news.
fn is_gone(mapping: &Mapping<'_>, error: &io::Error) -> bool {
    let is_refused = error.kind() == io::ErrorKind::PermissionDenied;
    is_refused && mapping.path.strip_suffix(DELETED).is_some_and(|path| path.contains("ssl"))
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
    use std::fs::{self, File};
    use std::process::{Command, Stdio};

    use super::{Libraries, Mapping, executable, is_gone, stamp};

    #[test]
    fn mappings_of_files_that_are_executed_are_taken_from_maps() {
        let line = "7f00-7f01 r-xp 00028000 fe:01 1234                       /usr/lib/a b.so (deleted)";
        let (file, path) = ("fe:01 1234".to_owned(), "/usr/lib/a b.so (deleted)");
        assert_eq!(executable(line), Some(Mapping { range: "7f00-7f01", file, path }));
        assert_eq!(executable("7f00-7f01 r--p 00000000 fe:01 1234    /usr/lib/a.so"), None);
        assert_eq!(executable("7f00-7f01 r-xp 00000000 00:00 0 "), None);
        assert_eq!(executable("7f00-7f01 r-xp 00000000 00:00 0                          [vdso]"), None);
    }

    #[test]
    fn a_file_that_has_the_number_of_an_older_one_is_looked_at() {
        let path = std::env::temp_dir().join(format!("protap-libraries-{}", std::process::id()));
        let (mut libraries, mut news) = (Libraries::new(None), Vec::new());
        let mut look = || {
            let file = File::open(&path).unwrap();
            libraries.take(("fe:01 1234".to_owned(), stamp(&file), None), &path, file, &mut news)
        };
        fs::write(&path, "no library").unwrap();
        assert!(!look());
        let is_there = fs::copy("/usr/lib/x86_64-linux-gnu/libssl.so.3", &path).is_ok();
        assert!(!is_there || (look() && look()));
        fs::remove_file(&path).unwrap();
        assert_eq!(news.len(), usize::from(is_there), "the same file is told once");
    }

    #[test]
    fn a_program_that_takes_the_place_of_another_is_looked_at_at_once() {
        let mut command = Command::new("sh");
        command.args(["-c", "read line; exec sleep 100"]).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (pid, mut libraries, mut news) = (child.id(), Libraries::new(None), Vec::new());
        let mut is_seen = |name: &str| {
            let path = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
            let is_other = fs::canonicalize(format!("/bin/{name}")).unwrap() != path;
            libraries.visit(pid, &mut news);
            let visit = libraries.visits.get_mut(&pid).unwrap();
            let is_seen = !is_other && visit.files.contains(&super::map_key(&path).unwrap());
            if is_seen {
                // As when it has been running for a while.
                visit.due += std::time::Duration::from_secs(3600);
            }
            is_seen
        };
        // The kernel says what runs before it has mapped that.
        let mut wait_for = |name: &str| {
            (0..10_000).any(|_| {
                is_seen(name) || {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                    false
                }
            })
        };
        assert!(wait_for("sh"));
        drop(child.stdin.take());
        assert!(wait_for("sleep"));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_deleted_library_that_cannot_be_opened_is_told() {
        let told = |path, kind: std::io::ErrorKind| {
            is_gone(&Mapping { range: "1-2", file: "fe:01 1".to_owned(), path }, &kind.into())
        };
        use std::io::ErrorKind::{NotFound, PermissionDenied};
        assert!(told("/usr/lib/libssl.so.3 (deleted)", PermissionDenied));
        assert!(!told("/usr/lib/libssl.so.3 (deleted)", NotFound), "its process has ended");
        assert!(!told("/usr/lib/libssl.so.3", PermissionDenied) && !told("/memfd:jit (deleted)", PermissionDenied));
    }
}
