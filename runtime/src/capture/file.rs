//! Capture files: paths in, packets out. The format is told by content, never by name. After a damaged or truncated
//! file the packets before the damage have been delivered; the next call goes on with the next file.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::compression::{decompress, is_compressed};
use super::error::{CaptureError, FormatError};
use super::pcap_format::{FoundPacket, PcapFormat};
use super::pcapng_format::{Drops, PcapngFormat};
use super::pipe::Pipe;
use super::read_buffer::ReadBuffer;
use super::{CaptureEvent, CaptureSource, CaptureStats};
use crate::packet::RawPacket;

/// Files that are opened before they are read, at most.
const MAX_OPENED: usize = 256;

/// Reads capture files one after the other: pcap (micro- and nanoseconds) and pcapng in both byte orders, plain or
/// compressed by gzip or zstd. Packet numbers run over all files; interface numbers begin anew in each.
pub struct FileSource {
    inputs: VecDeque<Input>,
    current: Option<CaptureFile>,
    stats: CaptureStats,
    is_shared: bool,
}

/// What comes next.
enum Next {
    Packet(FoundPacket),
    /// Nothing for now: it comes through a pipe.
    Wait,
    End,
}

enum Input {
    Path(PathBuf),
    /// A file, of which so many bytes are read: others read the same, and it may grow.
    Opened(PathBuf, File, u64),
    Reader(String, Box<dyn Read + Send>),
}

impl Input {
    /// The same file opened so often, if it is one that is not compressed: a pipe can be read only once, and decompressing
    /// takes longer than all else.
    fn opened(&self, times: usize) -> Option<Vec<Self>> {
        let Self::Path(path) = self else { return None };
        let open = || File::open(path).and_then(|file| Ok((file.metadata()?, file))).ok();
        let (first, file) = open().filter(|(meta, _)| meta.is_file())?;
        is_compressed(file).ok().filter(|is_compressed| !is_compressed)?;
        let same = || open().filter(|(meta, _)| (meta.dev(), meta.ino()) == (first.dev(), first.ino()));
        (0..times).map(|_| same().map(|(_, file)| Self::Opened(path.clone(), file, first.len()))).collect()
    }
}

impl FileSource {
    /// Reads these files in turn; `-` is the standard input. Each is opened when its turn comes.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self::from_inputs(paths.into_iter().map(Input::Path).collect())
    }

    /// Reads one capture from `input`, which errors call `name`.
    pub fn from_reader(name: &str, input: impl Read + Send + 'static) -> Self {
        Self::from_inputs(VecDeque::from([Input::Reader(name.to_owned(), Box::new(input))]))
    }

    fn from_inputs(inputs: VecDeque<Input>) -> Self {
        Self { inputs, current: None, stats: CaptureStats::default(), is_shared: false }
    }

    /// Goes on to the next packet, in whichever file that is.
    fn advance(&mut self) -> Result<Next, CaptureError> {
        loop {
            let Some(file) = &mut self.current else {
                let Some(input) = self.inputs.pop_front() else { return Ok(Next::End) };
                self.current = Some(CaptureFile::open(input)?);
                continue;
            };
            match file.advance() {
                Ok(Some(found)) => return Ok(Next::Packet(found)),
                Ok(None) => self.close(),
                Err(FormatError::Read(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Next::Wait),
                Err(error) => {
                    let error = file.explain(error);
                    self.close();
                    return Err(error);
                }
            }
        }
    }

    fn close(&mut self) {
        if let Some(file) = self.current.take() {
            add_drops(&mut self.stats, file.drops());
        }
    }
}

impl CaptureSource for FileSource {
    fn next(&mut self) -> Result<CaptureEvent<'_>, CaptureError> {
        let found = match self.advance()? {
            Next::Packet(found) => found,
            Next::Wait => return Ok(CaptureEvent::Pause),
            Next::End => return Ok(CaptureEvent::End),
        };
        let Some(file) = &mut self.current else { return Ok(CaptureEvent::End) };
        if self.is_shared && file.input.is_in_new_block() {
            file.put_back();
            return Ok(CaptureEvent::Block(file.input.block()));
        }
        let packet = RawPacket {
            number: self.stats.packets + 1,
            at: found.at,
            linktype: found.linktype,
            interface: found.interface,
            origlen: found.origlen,
            data: file.input.window().get(found.start..found.start + found.caplen).unwrap_or(&[]),
        };
        self.stats.count(&packet);
        Ok(CaptureEvent::Packet(packet))
    }

    fn again(&mut self, times: usize) -> Option<Vec<Box<dyn CaptureSource + Send>>> {
        let is_begun = self.current.is_some() || self.stats.packets > 0;
        if is_begun || self.inputs.len().saturating_mul(times + 1) > MAX_OPENED {
            return None;
        }
        let mut sources: Vec<_> = (0..=times).map(|_| Self::from_inputs(VecDeque::new())).collect();
        for input in &self.inputs {
            for (source, input) in sources.iter_mut().zip(input.opened(times + 1)?) {
                source.inputs.push_back(input);
            }
        }
        self.inputs = sources.pop()?.inputs;
        Some(sources.into_iter().map(|source| Box::new(source) as _).collect())
    }

    fn share(&mut self) {
        self.is_shared = true;
    }

    fn stats(&mut self) -> CaptureStats {
        let mut stats = self.stats;
        if let Some(file) = &self.current {
            add_drops(&mut stats, file.drops());
        }
        stats
    }
}

fn add_drops(stats: &mut CaptureStats, drops: Drops) {
    stats.kernel_drops = stats.kernel_drops.saturating_add(drops.kernel);
    stats.interface_drops = stats.interface_drops.saturating_add(drops.interface);
}

/// One open file.
struct CaptureFile {
    name: String,
    input: ReadBuffer,
    format: Format,
    packets: u64,
    /// Length of the record that was delivered last, which is still in the window.
    delivered: usize,
}

enum Format {
    Pcap(PcapFormat),
    Pcapng(PcapngFormat),
}

impl CaptureFile {
    fn open(input: Input) -> Result<Self, CaptureError> {
        let is_impatient = Arc::new(AtomicBool::new(false));
        let (name, reader) = match input {
            Input::Reader(name, reader) => (name, reader),
            Input::Opened(path, file, len) => {
                (path.display().to_string(), Box::new(file.take(len)) as Box<dyn Read + Send>)
            }
            Input::Path(path) => {
                let is_stdin = path.as_os_str() == "-";
                let name = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
                let file =
                    if is_stdin { io::stdin().as_fd().try_clone_to_owned().map(File::from) } else { File::open(&path) };
                let file = file.map_err(|error| CaptureError::Open { file: name.clone(), error })?;
                let is_file = file.metadata().is_ok_and(|meta| meta.is_file());
                let reader: Box<dyn Read + Send> =
                    if is_file { Box::new(file) } else { Box::new(Pipe::new(file, is_impatient.clone())) };
                (name, reader)
            }
        };
        let cannot_read = |error| CaptureError::Read { file: name.clone(), offset: 0, error };
        let (reader, is_compressed) = decompress(reader).map_err(cannot_read)?;
        let mut input = ReadBuffer::new(reader);
        let format = recognise(&name, &mut input)?;
        // Decompressors have to be given all that they ask for.
        is_impatient.store(!is_compressed, Ordering::Relaxed);
        Ok(Self { name, input, format, packets: 0, delivered: 0 })
    }

    #[inline]
    fn advance(&mut self) -> Result<Option<FoundPacket>, FormatError> {
        self.input.consume(std::mem::take(&mut self.delivered));
        let found = match &mut self.format {
            Format::Pcap(format) => format.next(&mut self.input),
            Format::Pcapng(format) => format.next(&mut self.input),
        }?;
        if let Some(found) = found {
            self.delivered = found.record_len;
            self.packets += 1;
        }
        Ok(found)
    }

    /// The packet that was found last will be found again.
    fn put_back(&mut self) {
        self.delivered = 0;
        self.packets -= 1;
    }

    fn drops(&self) -> Drops {
        match &self.format {
            Format::Pcap(_) => Drops::default(),
            Format::Pcapng(format) => format.drops(),
        }
    }

    fn explain(&self, error: FormatError) -> CaptureError {
        explain(&self.name, &self.input, self.packets, error)
    }
}

/// Tells the format by the first four bytes and reads the file's header.
fn recognise(name: &str, input: &mut ReadBuffer) -> Result<Format, CaptureError> {
    // Every capture has these 24 bytes; of another file, they help to say what it is.
    match input.fill(24) {
        Err(error) => return Err(explain(name, input, 0, error.into())),
        Ok(_) if input.window().is_empty() => return Err(CaptureError::Empty { file: name.to_owned() }),
        Ok(_) => {}
    }
    match input.window().first_chunk::<4>() {
        Some(start) if PcapngFormat::matches(*start) => Ok(Format::Pcapng(PcapngFormat::new())),
        Some(start) if PcapFormat::matches(*start) => {
            PcapFormat::open(input).map(Format::Pcap).map_err(|error| explain(name, input, 0, error))
        }
        _ => Err(CaptureError::UnknownFormat { file: name.to_owned(), found: describe_start(input.window()) }),
    }
}

/// The first bytes, as text where they are that.
fn describe_start(window: &[u8]) -> String {
    let start = window.get(..12).unwrap_or(window);
    if start.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n')) {
        format!("the text {:?}", String::from_utf8_lossy(start))
    } else {
        let hex: Vec<String> = start.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("the bytes {}", hex.join(" "))
    }
}

fn explain(name: &str, input: &ReadBuffer, packets: u64, error: FormatError) -> CaptureError {
    let (file, offset) = (name.to_owned(), input.offset());
    match error {
        FormatError::Read(error) => CaptureError::Read { file, offset, error },
        FormatError::Truncated => CaptureError::Truncated { file, offset, packets },
        FormatError::Malformed(what) => CaptureError::Malformed { file, offset, packets, what },
        FormatError::UnknownLinktype(linktype) => CaptureError::unknown_linktype(name, linktype),
    }
}
