//! What looks on while packets are read: a file that gets them too, progress on a terminal, counters on demand.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use protap::capture::{CaptureStats, PcapngWriter, SocketLoss};
use protap::emit::TextStyle;
use protap::packet::RawPacket;
use protap::pipeline::Observer;
use protap::summary::{Counters, Progress};

use crate::command::Failure;

/// Writes the packets to a file and shows progress.
pub(super) struct Watcher {
    writer: Option<(PathBuf, PcapngWriter<BufWriter<File>>)>,
    progress: Option<Progress<io::Stderr>>,
    seen: Counters,
}

impl Watcher {
    pub(super) fn new(file: Option<&Path>, progress: Option<Option<u64>>) -> Result<Self, Failure> {
        let writer = match file {
            Some(path) => {
                let writer = File::create(path).and_then(|file| PcapngWriter::new(BufWriter::new(file)));
                Some((path.to_owned(), writer.with_context(|| format!("cannot write {}", path.display()))?))
            }
            None => None,
        };
        let width = TextStyle::detect(&io::stderr()).width;
        let progress = progress.map(|total| Progress::new(io::stderr(), total, width, Instant::now()));
        Ok(Self { writer, progress, seen: Counters::default() })
    }

    /// Takes the progress off the terminal, and completes the file.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        if let Some(progress) = &mut self.progress {
            progress.clear()?;
        }
        if let Some((path, writer)) = self.writer.take() {
            let written = writer.finish().and_then(|mut file| file.flush());
            written.with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

impl Observer for Watcher {
    fn packet(&mut self, packet: &RawPacket<'_>) -> io::Result<()> {
        if let Some((path, writer)) = &mut self.writer {
            writer.write(packet).map_err(|error| of_file(path, error))?;
        }
        if let Some(progress) = &mut self.progress {
            // Looking at the clock for every packet would cost more than most packets.
            self.seen.packets = packet.number;
            self.seen.bytes += packet.data.len() as u64 + 16;
            if packet.number.is_multiple_of(4096) {
                progress.update(Instant::now(), self.seen)?;
            }
        }
        Ok(())
    }

    fn counters(&mut self, stats: &CaptureStats) -> io::Result<()> {
        let CaptureStats { packets, bytes, kernel_drops, interface_drops, sockets, .. } = stats;
        let SocketLoss { ring_events, ring_bytes, .. } = sockets;
        writeln!(
            io::stderr(),
            "protap: {packets} packets, {bytes} bytes, dropped by the kernel {kernel_drops}, by the interface {interface_drops}; \
             events without room in the ring {ring_events}, bytes in them {ring_bytes}"
        )
    }

    fn idle(&mut self) -> io::Result<()> {
        let Some((path, writer)) = &mut self.writer else { return Ok(()) };
        writer.flush().map_err(|error| of_file(path, error))
    }
}

/// Names the file. It is never the error of a pipe that nobody reads any more, which for the records is no failure.
fn of_file(path: &Path, error: io::Error) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}
