//! A growing window onto a file: records are parsed in place, and no packet costs an allocation. It grows only when a
//! caller needs more than fits; callers check a length against [`MAX_RECORD`] before they ask for it.

use std::io::{self, Read};

/// Size of the window to begin with: large enough that a read call costs little per packet, small enough that what was
/// read is still in the cache when it is looked at.
const WINDOW: usize = 256 << 10;

/// Largest record in bytes. The largest snaplen in use is 256 KiB; 16 MiB leaves room for pcapng blocks with names and
/// keys, and bounds what a damaged length can make us allocate.
pub(super) const MAX_RECORD: usize = 16 << 20;

/// The part of a file that is in memory.
pub(super) struct ReadBuffer {
    input: Box<dyn Read + Send>,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
}

impl ReadBuffer {
    pub(super) fn new(input: Box<dyn Read + Send>) -> Self {
        Self { input, bytes: vec![0; WINDOW], start: 0, end: 0, offset: 0 }
    }

    /// Reads until `len` bytes are in the window; false if the file ends before.
    #[inline]
    pub(super) fn fill(&mut self, len: usize) -> io::Result<bool> {
        if self.end - self.start >= len { Ok(true) } else { self.read_until(len) }
    }

    /// What is in the window.
    #[inline]
    pub(super) fn window(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or(&[])
    }

    /// Drops the first `len` bytes of the window.
    #[inline]
    pub(super) fn consume(&mut self, len: usize) {
        let len = len.min(self.end - self.start);
        self.start += len;
        self.offset += len as u64;
    }

    /// Where the window begins, in bytes from the start of the (decompressed) file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    #[cold]
    fn read_until(&mut self, len: usize) -> io::Result<bool> {
        self.make_room(len);
        while self.end - self.start < len {
            let room = self.bytes.get_mut(self.end..).unwrap_or(&mut []);
            match self.input.read(room) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end += read.min(room.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn make_room(&mut self, len: usize) {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.bytes.len() < len {
            self.bytes.resize(len.next_power_of_two(), 0);
        }
    }
}
