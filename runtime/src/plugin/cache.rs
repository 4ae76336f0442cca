//! Compiled modules kept on disk and run from where they lie, so that a start costs milliseconds and programs share their
//! pages. What is in an entry is run as native code, so entries are believed only in a folder that nobody but the user can write to: owned by the effective user, mode 0700, no
//! symbolic link on the way. Anything else, and everything that is damaged or of another build, is as if it were not
//! there. Without such a folder modules are compiled in memory, as they are if anything here fails.
//!
//! An entry is named after the module and the engine's settings, and holds
//! `the compiled module, the module, length of the module (8), magic (8), CRC-32 of all before it (4)`: names may collide,
//! modules may not. An entry is never written to once it has its name.

use std::ffi::c_void;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use wasmtime::{Engine, Module};

/// Entries that are kept; the oldest make room.
const MAX_ENTRIES: usize = 64;
/// Longest entry that is read: a module of 16 MiB and what becomes of it.
const MAX_ENTRY: u64 = 512 << 20;
/// In every entry; another form of entries has another one.
const MAGIC: &[u8; 8] = b"protapc2";

/// A folder of compiled modules.
#[derive(Debug)]
pub struct ModuleCache {
    path: PathBuf,
    folder: OwnedFd,
}

/// The user's cache folder, as the XDG base directory specification has it.
#[must_use]
pub fn user_folder() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("protap/modules"))
}

impl ModuleCache {
    /// The cache in that folder, which is made if it is missing; `None` if the folder cannot be trusted.
    #[must_use]
    pub fn open(path: &Path) -> Option<Self> {
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700);
        builder.create(path).ok()?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let folder =
            rustix::fs::openat2(rustix::fs::CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS).ok()?;
        let folder = File::from(folder);
        let metadata = folder.metadata().ok()?;
        if metadata.uid() != effective_user()? || metadata.mode() & 0o077 != 0 {
            tracing::debug!(path = %path.display(), "not a folder of the user's own with mode 0700: no module cache");
            return None;
        }
        Some(Self { path: path.to_owned(), folder: folder.into() })
    }

    /// The compiled module, if an entry of this build and these settings is there.
    #[must_use]
    pub fn load(&self, engine: &Engine, module: &[u8]) -> Option<Module> {
        let entry = self.open_entry(&entry_name(engine, module))?;
        let is_of_module = compiled_part(&Mapped::of(&entry)?, module).is_some();
        if is_of_module { deserialize(engine, entry) } else { None }
    }

    /// Keeps a compiled module. That it could not be kept is no failure.
    pub fn store(&self, engine: &Engine, module: &[u8], compiled: &Module) {
        let Ok(compiled) = compiled.serialize() else { return };
        self.make_room();
        let name = entry_name(engine, module);
        if let Err(error) = self.write(&name, &entry(module, &compiled)) {
            tracing::debug!(%error, name, "cannot keep a compiled module");
        }
    }

    fn open_entry(&self, name: &str) -> Option<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.folder, name, flags, Mode::empty()).ok()?);
        let metadata = file.metadata().ok()?;
        let is_ours = metadata.is_file() && metadata.uid() == effective_user()? && metadata.mode() & 0o022 == 0;
        (is_ours && metadata.len() <= MAX_ENTRY).then_some(file)
    }

    /// Writes an entry under another name first, so that nobody sees half of it.
    fn write(&self, name: &str, entry: &[u8]) -> std::io::Result<()> {
        let temporary = format!("{name}.{}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(rustix::fs::openat(&self.folder, &temporary, flags, mode)?);
        let written = file.write_all(entry);
        let renamed = written.and_then(|()| {
            rustix::fs::renameat(&self.folder, &temporary, &self.folder, name).map_err(std::io::Error::from)
        });
        if renamed.is_err() {
            let _ = rustix::fs::unlinkat(&self.folder, &temporary, AtFlags::empty());
        }
        renamed
    }

    /// Removes the oldest entries if there are too many.
    fn make_room(&self) {
        let Ok(listed) = std::fs::read_dir(&self.path) else { return };
        let mut entries: Vec<_> = listed
            .filter_map(|entry| {
                let entry = entry.ok()?;
                Some((entry.metadata().ok()?.modified().ok()?, entry.file_name()))
            })
            .collect();
        entries.sort();
        let surplus = (entries.len() + 1).saturating_sub(MAX_ENTRIES);
        for (_, name) in entries.into_iter().take(surplus) {
            let _ = rustix::fs::unlinkat(&self.folder, name.as_os_str(), AtFlags::empty());
        }
    }
}

fn effective_user() -> Option<u32> {
    // Files of a process belong to its effective user.
    std::fs::metadata("/proc/self").ok().map(|metadata| metadata.uid())
}

fn entry_name(engine: &Engine, module: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    (module.len(), crc(module)).hash(&mut hasher);
    format!("{:016x}.module", hasher.finish())
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn entry(module: &[u8], compiled: &[u8]) -> Vec<u8> {
    let mut entry = [compiled, module, &(module.len() as u64).to_le_bytes(), MAGIC].concat();
    entry.extend_from_slice(&crc(&entry).to_le_bytes());
    entry
}

/// The compiled part of an entry that is whole and of that module.
fn compiled_part<'a>(entry: &'a [u8], module: &[u8]) -> Option<&'a [u8]> {
    let (checked, sum) = entry.split_last_chunk::<4>()?;
    let (rest, magic) = checked.split_last_chunk::<8>()?;
    let (rest, len) = rest.split_last_chunk::<8>()?;
    let is_whole = magic == MAGIC && *sum == crc(checked).to_le_bytes();
    let compiled = rest.strip_suffix(module)?;
    (is_whole && u64::from_le_bytes(*len) == module.len() as u64).then_some(compiled)
}

/// An entry where it lies, to be checked.
struct Mapped {
    start: *mut c_void,
    len: usize,
}

#[allow(unsafe_code, reason = "a file that is mapped can be written to by whoever may write to the file")]
impl Mapped {
    fn of(file: &File) -> Option<Self> {
        let len = usize::try_from(file.metadata().ok()?.len()).ok().filter(|len| *len > 0)?;
        // SAFETY: the kernel chooses an address that is free.
        let start = unsafe { mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, file, 0) }.ok()?;
        Some(Self { start, len })
    }
}

#[allow(unsafe_code, reason = "a file that is mapped can be written to by whoever may write to the file")]
impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: so many bytes are mapped from there on until this is dropped. Only the effective user can write to the
        // file, and this program never does once it has its name.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.len) }
    }
}

#[allow(unsafe_code, reason = "what is mapped has to be unmapped")]
impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: it was mapped so, and borrows of it have ended.
        let _ = unsafe { munmap(self.start, self.len) };
    }
}

#[allow(unsafe_code, reason = "a compiled module is native code, and believing it cannot be safe")]
fn deserialize(engine: &Engine, entry: File) -> Option<Module> {
    // SAFETY: wasmtime asks that the file begins with what `Module::serialize` gave and stays as it is. It is one that this
    // program wrote: the folder and the file belong to the effective user and can be written to by nobody else, the
    // checksum says that it is whole, and it is replaced or removed but never written to. wasmtime itself refuses
    // modules of another version, target or settings.
    unsafe { Module::deserialize_open_file(engine, entry) }.ok()
}

#[cfg(test)]
#[path = "cache/tests.rs"]
mod tests;
