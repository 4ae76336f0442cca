//! Capture files: paths in, packets out. The format is told by content, never by name. After a damaged or truncated
//! file the packets before the damage have been delivered; the next call goes on with the next file.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::compression::{decompress, is_compressed};
use super::error::{CaptureError, FormatError};
use super::pcap_format::{FoundPacket, PcapFormat};
use super::pcapng_format::{Drops, PcapngFormat};
use super::read_buffer::ReadBuffer;
use super::{CaptureEvent, CaptureSource, CaptureStats};
use crate::packet::RawPacket;

/// Reads capture files one after the other: pcap (micro- and nanoseconds) and pcapng in both byte orders, plain or
/// compressed by gzip or zstd. Packet numbers run over all files; interface numbers begin anew in each.
pub struct FileSource {
    inputs: VecDeque<Input>,
    current: Option<CaptureFile>,
    stats: CaptureStats,
    is_shared: bool,
}

enum Input {
    Path(PathBuf),
    Reader(String, Box<dyn Read + Send>),
}

impl Input {
    /// Its path, if that is a file that is not compressed: a pipe can be read only once, and decompressing takes longer
    /// than all else.
    fn plain_file(&self) -> Option<PathBuf> {
        let Self::Path(path) = self else { return None };
        let is_plain = std::fs::metadata(path).is_ok_and(|meta| meta.is_file())
            && File::open(path).and_then(is_compressed).is_ok_and(|is_compressed| !is_compressed);
        is_plain.then(|| path.clone())
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
    fn advance(&mut self) -> Result<Option<FoundPacket>, CaptureError> {
        loop {
            let Some(file) = &mut self.current else {
                let Some(input) = self.inputs.pop_front() else { return Ok(None) };
                self.current = Some(CaptureFile::open(input)?);
                continue;
            };
            match file.advance() {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => self.close(),
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
        let Some(found) = self.advance()? else { return Ok(CaptureEvent::End) };
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

    fn again(&self) -> Option<Box<dyn CaptureSource + Send>> {
        let paths: Option<Vec<_>> = self.inputs.iter().map(Input::plain_file).collect();
        paths.filter(|_| self.current.is_none()).map(|paths| Box::new(Self::new(paths)) as _)
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
        let (name, reader) = match input {
            Input::Reader(name, reader) => (name, reader),
            Input::Path(path) if path.as_os_str() == "-" => {
                ("standard input".to_owned(), Box::new(io::stdin()) as Box<dyn Read + Send>)
            }
            Input::Path(path) => {
                let name = path.display().to_string();
                let file = File::open(&path).map_err(|error| CaptureError::Open { file: name.clone(), error })?;
                (name, Box::new(file) as Box<dyn Read + Send>)
            }
        };
        let cannot_read = |error| CaptureError::Read { file: name.clone(), offset: 0, error };
        let mut input = ReadBuffer::new(decompress(reader).map_err(cannot_read)?);
        let format = recognise(&name, &mut input)?;
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
