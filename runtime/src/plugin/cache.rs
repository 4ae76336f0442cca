//! Compiled modules kept on disk, so that a start costs milliseconds. What is in an entry is run as native code, so entries
//! are believed only in a folder that nobody but the user can write to: owned by the effective user, mode 0700, no
//! symbolic link on the way. Anything else, and everything that is damaged or of another build, is as if it were not
//! there. Without such a folder modules are compiled in memory, as they are if anything here fails.
//!
//! An entry is named after the module and the engine's settings, and holds
//! `magic (8), length of the module (8), CRC-32 of the rest (4), the module, the compiled module`: names may collide,
//! modules may not.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use wasmtime::{Engine, Module};

/// Entries that are kept; the oldest make room.
const MAX_ENTRIES: usize = 64;
/// Longest entry that is read: a module of 16 MiB and what becomes of it.
const MAX_ENTRY: u64 = 512 << 20;
/// Begins every entry; another form of entries has another one.
const MAGIC: &[u8; 8] = b"protapc1";
/// Bytes before the module.
const HEADER: usize = 20;

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
        let entry = self.read(&entry_name(engine, module))?;
        let compiled = compiled_part(&entry, module)?;
        deserialize(engine, compiled)
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

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.folder, name, flags, Mode::empty()).ok()?);
        let metadata = file.metadata().ok()?;
        let is_ours = metadata.is_file() && metadata.uid() == effective_user()? && metadata.mode() & 0o022 == 0;
        if !is_ours || metadata.len() > MAX_ENTRY {
            return None;
        }
        let mut entry = Vec::with_capacity(usize::try_from(metadata.len()).ok()?);
        file.take(MAX_ENTRY).read_to_end(&mut entry).ok()?;
        Some(entry)
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
    module.hash(&mut hasher);
    format!("{:016x}.module", hasher.finish())
}

fn entry(module: &[u8], compiled: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(module);
    crc.update(compiled);
    let len = (module.len() as u64).to_le_bytes();
    [&MAGIC[..], &len, &crc.sum().to_le_bytes(), module, compiled].concat()
}

/// The compiled part of an entry that is whole and of that module.
fn compiled_part<'a>(entry: &'a [u8], module: &[u8]) -> Option<&'a [u8]> {
    let (header, rest) = entry.split_at_checked(HEADER)?;
    let (magic, header) = header.split_first_chunk::<8>()?;
    let (len, crc) = header.split_first_chunk::<8>()?;
    let mut actual = flate2::Crc::new();
    actual.update(rest);
    let is_whole =
        magic == MAGIC && u64::from_le_bytes(*len) == module.len() as u64 && *crc == actual.sum().to_le_bytes();
    let compiled = rest.strip_prefix(module)?;
    is_whole.then_some(compiled)
}

#[allow(unsafe_code, reason = "a compiled module is native code, and believing it cannot be safe")]
fn deserialize(engine: &Engine, compiled: &[u8]) -> Option<Module> {
    // SAFETY: wasmtime asks that the bytes come from `Module::serialize`. They are those that this program wrote: the
    // folder and the file belong to the effective user and can be written to by nobody else, and the checksum says that
    // they are whole. wasmtime itself refuses those of another version, target or settings.
    unsafe { Module::deserialize(engine, compiled) }.ok()
}

#[cfg(test)]
#[path = "cache/tests.rs"]
mod tests;
