//! An executable or a shared library in, where the functions of a TLS library begin in it out. Only what that takes is
//! read of ELF (<https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html>, chapters 4 and 5), 64 bits and little
//! endian; files come from containers too, so nothing that they say is believed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::event::layout;

/// Symbols of larger tables are not looked for, in bytes of a table.
const TABLE: u64 = 64 << 20;
/// Sections and segments that are looked at.
const HEADERS: u16 = 1024;

const HEADER_SIZE: usize = 64;
const PT_LOAD: u32 = 1;
const SHT_SYMTAB: u32 = 2;
const SHT_DYNSYM: u32 = 11;
const STT_FUNC: u8 = 2;
const SYMBOL_SIZE: usize = 24;

/// The functions that are probed, and their cookies.
const FUNCTIONS: [(&[u8], u64); 9] = [
    (b"SSL_read", layout::TLS_READ),
    (b"SSL_read_ex", layout::TLS_READ_EX),
    (b"SSL_write", layout::TLS_WRITE),
    (b"SSL_write_ex", layout::TLS_WRITE_EX),
    (b"SSL_do_handshake", layout::TLS_HANDSHAKE),
    (b"SSL_free", layout::TLS_FREE),
    (b"SSL_read_early_data", layout::TLS_READ_EARLY),
    (b"SSL_write_early_data", layout::TLS_WRITE_EARLY),
    (b"SSL_sendfile", layout::TLS_SENDFILE),
];

/// A function of a TLS library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// A value of `enum tls_function`.
    pub(super) cookie: u64,
    /// Where it begins in the file.
    pub(super) offset: usize,
}

/// What a binary has of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Binary {
    /// Empty without a TLS library that can be probed.
    pub(super) functions: Vec<Function>,
    /// It was written in Go, and has a TLS library of its own.
    pub(super) is_go: bool,
}

struct Header {
    segments: Vec<Segment>,
    sections: Vec<Section>,
    names: usize,
    entry: u64,
}

struct Segment {
    offset: u64,
    address: u64,
    size: u64,
}

struct Section {
    name: u32,
    kind: u32,
    offset: u64,
    size: u64,
    link: usize,
}

/// Looks for the functions; an error if it is no such file, or cannot be read.
pub(super) fn look(file: &File) -> io::Result<Binary> {
    let header = Header::read(file)?;
    let mut functions = Vec::new();
    for kind in [SHT_DYNSYM, SHT_SYMTAB] {
        if functions.is_empty() {
            header.sections.iter().filter(|section| section.kind == kind).try_for_each(|section| {
                functions.extend(header.functions(file, section)?);
                io::Result::Ok(())
            })?;
        }
    }
    functions.sort_by_key(|function| function.cookie);
    functions.dedup();
    let moves = |function: &Function| function.cookie <= layout::TLS_WRITE_EX;
    if !functions.iter().any(moves) {
        functions.clear();
    }
    let is_go = header.has_section(file, b".gopclntab")?;
    Ok(Binary { functions, is_go })
}

/// Where the program's first instruction lies in the file.
pub(super) fn entry(file: &File) -> io::Result<usize> {
    let header = Header::read(file)?;
    header.offset_of(header.entry).ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no 64-bit ELF file, or a damaged one")
}

fn number<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    number(bytes, offset).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    number(bytes, offset).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    number(bytes, offset).map(u64::from_le_bytes)
}

fn read(file: &File, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    if size > TABLE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its symbol table is too large"));
    }
    if offset.checked_add(size).is_none_or(|end| file.metadata().is_ok_and(|metadata| metadata.len() < end)) {
        return Err(malformed());
    }
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| malformed())?];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

impl Header {
    fn read(file: &File) -> io::Result<Self> {
        let mut bytes = [0; HEADER_SIZE];
        file.read_exact_at(&mut bytes, 0).map_err(|_| malformed())?;
        if !bytes.starts_with(b"\x7fELF\x02\x01") {
            return Err(malformed());
        }
        let table = |offset, size, count| {
            let (offset, size, count) = (u64_at(&bytes, offset)?, u16_at(&bytes, size)?, u16_at(&bytes, count)?);
            Some((offset, usize::from(size).max(1), count.min(HEADERS)))
        };
        let rows = |(offset, size, count): (u64, usize, u16)| -> io::Result<Vec<Vec<u8>>> {
            let bytes = read(file, offset, size as u64 * u64::from(count))?;
            Ok(bytes.chunks_exact(size).map(<[u8]>::to_vec).collect())
        };
        let segments = rows(table(32, 54, 56).ok_or_else(malformed)?)?;
        let sections = rows(table(40, 58, 60).ok_or_else(malformed)?)?;
        Ok(Self {
            segments: segments.iter().filter_map(|row| Segment::load(row)).collect(),
            sections: sections.iter().filter_map(|row| Section::parse(row)).collect(),
            names: u16_at(&bytes, 62).unwrap_or(0).into(),
            entry: u64_at(&bytes, 24).unwrap_or(0),
        })
    }

    /// Where that address of memory comes from in the file.
    fn offset_of(&self, address: u64) -> Option<usize> {
        self.segments.iter().find_map(|segment| {
            let within = address.checked_sub(segment.address).filter(|within| *within < segment.size)?;
            usize::try_from(segment.offset.checked_add(within)?).ok()
        })
    }

    fn functions(&self, file: &File, symbols: &Section) -> io::Result<Vec<Function>> {
        let Some(names) = self.sections.get(symbols.link) else { return Ok(Vec::new()) };
        let (symbols, names) = (read(file, symbols.offset, symbols.size)?, read(file, names.offset, names.size)?);
        Ok(symbols.chunks_exact(SYMBOL_SIZE).filter_map(|symbol| self.function(symbol, &names)).collect())
    }

    /// A symbol, if it is one of the functions and defined here.
    fn function(&self, symbol: &[u8], names: &[u8]) -> Option<Function> {
        let name = names.get(usize::try_from(u32_at(symbol, 0)?).ok()?..)?;
        if !name.starts_with(b"SSL_") || symbol.get(4)? & 0xf != STT_FUNC || u16_at(symbol, 6)? == 0 {
            return None;
        }
        let is_it = |of: &&(&[u8], u64)| name.strip_prefix(of.0).is_some_and(|rest| rest.first() == Some(&0));
        let (_, cookie) = FUNCTIONS.iter().find(is_it)?;
        Some(Function { cookie: *cookie, offset: self.offset_of(u64_at(symbol, 8)?)? })
    }

    fn has_section(&self, file: &File, name: &[u8]) -> io::Result<bool> {
        let Some(names) = self.sections.get(self.names) else { return Ok(false) };
        let names = read(file, names.offset, names.size)?;
        Ok(self.sections.iter().any(|section| {
            let at = usize::try_from(section.name).ok().and_then(|at| names.get(at..));
            at.and_then(|at| at.strip_prefix(name)).is_some_and(|rest| rest.first() == Some(&0))
        }))
    }
}

impl Segment {
    fn load(row: &[u8]) -> Option<Self> {
        let segment = Self { offset: u64_at(row, 8)?, address: u64_at(row, 16)?, size: u64_at(row, 32)? };
        (u32_at(row, 0)? == PT_LOAD).then_some(segment)
    }
}

impl Section {
    fn parse(row: &[u8]) -> Option<Self> {
        Some(Self {
            name: u32_at(row, 0)?,
            kind: u32_at(row, 4)?,
            offset: u64_at(row, 24)?,
            size: u64_at(row, 32)?,
            link: usize::try_from(u32_at(row, 40)?).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::process::Command;

    use super::{entry, layout, look};

    #[test]
    fn functions_are_found_where_readelf_finds_them() {
        let library = "/usr/lib/x86_64-linux-gnu/libssl.so.3";
        let Ok(told) = Command::new("readelf").args(["-W", "--dyn-syms", library]).output() else { return };
        let Ok(file) = File::open(library) else { return };
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let address = |name: &str| {
            let line = told.lines().find(|line| line.contains(&format!(" {name}@@")))?;
            usize::from_str_radix(line.split_whitespace().nth(1)?, 16).ok()
        };
        let found = look(&file).unwrap().functions;
        assert_eq!(found.len(), 9);
        // Its text segment lies at the same place in the file and in memory.
        assert_eq!(Some(found[0].offset), address("SSL_read"));
        assert_eq!((found[4].cookie, Some(found[4].offset)), (layout::TLS_HANDSHAKE, address("SSL_do_handshake")));
    }

    #[test]
    fn damaged_files_are_refused_or_have_nothing() {
        let bytes = fs::read("/proc/self/exe").unwrap();
        let path = std::env::temp_dir().join(format!("protap-elf-{}", std::process::id()));
        for len in (0..400).chain([4096, 65_536]) {
            fs::write(&path, &bytes[..len.min(bytes.len())]).unwrap();
            let file = File::open(&path).unwrap();
            assert!(look(&file).is_err() && entry(&file).is_err_and(|error| !error.to_string().is_empty()), "{len}");
        }
        for at in 0..512 {
            let mut damaged = bytes[..4096].to_vec();
            damaged[at] ^= 0xff;
            fs::write(&path, &damaged).unwrap();
            let _ = look(&File::open(&path).unwrap());
        }
        fs::remove_file(&path).unwrap();
        assert!(entry(&File::open("/proc/self/exe").unwrap()).is_ok());
    }
}
