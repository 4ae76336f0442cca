//! A growing window onto a file: records are parsed in place, and no packet costs an allocation. It grows only when a
//! caller needs more than fits; callers check a length against [`MAX_RECORD`] before they ask for it. Others may keep the
//! block that it lies in: then it goes on in another one, and takes up the first again when they have done with it.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;

use super::Block;

/// Size of the window to begin with: large enough that a read call costs little per packet, small enough that what was
/// read is still in the cache when it is looked at.
const WINDOW: usize = 128 << 10;

/// Largest record in bytes. The largest snaplen in use is 256 KiB; 16 MiB leaves room for pcapng blocks with names and
/// keys, and bounds what a damaged length can make us allocate.
pub(super) const MAX_RECORD: usize = 16 << 20;

/// The part of a file that is in memory.
pub(super) struct ReadBuffer {
    input: Box<dyn Read + Send>,
    block: Block,
    start: usize,
    end: usize,
    offset: u64,
    /// Blocks that others may still keep, the oldest first: as many as were ever kept at a time.
    lent: VecDeque<Block>,
    /// The block was filled anew since it was last asked for.
    is_new: bool,
}

impl ReadBuffer {
    pub(super) fn new(input: Box<dyn Read + Send>) -> Self {
        let block = vec![0; WINDOW].into();
        Self { input, block, start: 0, end: 0, offset: 0, lent: VecDeque::new(), is_new: false }
    }

    /// Reads until `len` bytes are in the window; false if the file ends before.
    #[inline]
    pub(super) fn fill(&mut self, len: usize) -> io::Result<bool> {
        if self.end - self.start >= len { Ok(true) } else { self.read_until(len) }
    }

    /// What is in the window.
    #[inline]
    pub(super) fn window(&self) -> &[u8] {
        self.block.get(self.start..self.end).unwrap_or(&[])
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

    /// Whether the window lies in a block that was not asked about before, and is worth to be kept: a pipe gives a
    /// little at a time.
    #[inline]
    pub(super) fn is_in_new_block(&mut self) -> bool {
        std::mem::take(&mut self.is_new) && self.end == self.block.len()
    }

    /// The block that the window lies in.
    pub(super) fn block(&self) -> &Block {
        &self.block
    }

    #[cold]
    fn read_until(&mut self, len: usize) -> io::Result<bool> {
        self.make_room(len);
        self.is_new = true;
        let bytes = Arc::get_mut(&mut self.block).unwrap_or_default();
        while self.end - self.start < len {
            let room = bytes.get_mut(self.end..).unwrap_or(&mut []);
            match self.input.read(room) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end += read.min(room.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Makes the window begin its block, one of at least `len` bytes that nobody else keeps.
    fn make_room(&mut self, len: usize) {
        let window = self.start..self.end;
        (self.start, self.end) = (0, window.len());
        if self.block.len() >= len
            && let Some(bytes) = Arc::get_mut(&mut self.block)
        {
            bytes.copy_within(window, 0);
            return;
        }
        let mut next = self.spare(len);
        if let (Some(bytes), Some(window)) = (Arc::get_mut(&mut next), self.block.get(window))
            && let Some(start) = bytes.get_mut(..window.len())
        {
            start.copy_from_slice(window);
        }
        self.lent.push_back(std::mem::replace(&mut self.block, next));
    }

    /// A block of at least `len` bytes that nobody else keeps: the one used last, which the processor's cache may still hold.
    fn spare(&mut self, len: usize) -> Block {
        let is_free = |block: &mut Block| block.len() >= len && Arc::get_mut(block).is_some();
        let free = self.lent.iter_mut().rposition(is_free);
        free.and_then(|at| self.lent.remove(at)).unwrap_or_else(|| vec![0; len.next_power_of_two().max(WINDOW)].into())
    }
}

#[cfg(test)]
mod tests {
    use super::{ReadBuffer, WINDOW};

    /// The window moves over `count` blocks' worth of bytes, a record of `len` at a time; how many blocks it took.
    fn blocks(len: usize, count: usize, keeps: bool) -> usize {
        let bytes: Vec<u8> = (0..count * WINDOW).map(|at| (at / 5 % 251) as u8).collect();
        let mut buffer = ReadBuffer::new(Box::new(std::io::Cursor::new(bytes.clone())));
        let (mut at, mut kept) = (0, Vec::new());
        let mut known = std::collections::HashSet::new();
        while buffer.fill(len).unwrap() {
            assert_eq!(buffer.window()[..len], bytes[at..at + len]);
            if buffer.is_in_new_block() {
                let block = buffer.block();
                known.insert(block.as_ptr().addr());
                if keeps {
                    kept.push((block.clone(), block.to_vec()));
                }
            }
            if kept.len() > 3 {
                kept.remove(0);
            }
            buffer.consume(len);
            at += len;
        }
        assert!(kept.iter().all(|(block, was)| block[..] == was[..]), "a block changed while it was kept");
        known.len()
    }

    #[test]
    fn blocks_that_are_kept_stay_as_they_are_and_come_back() {
        assert_eq!(blocks(1000, 20, false), 1);
        let taken = blocks(1000, 20, true);
        assert!((4..=6).contains(&taken), "{taken}");
    }

    #[test]
    fn a_record_longer_than_a_block_gets_a_longer_one() {
        assert_eq!(blocks(2 * WINDOW + 1, 9, false), 1);
        assert!(blocks(2 * WINDOW + 1, 9, true) > 1);
    }

    #[test]
    fn what_a_pipe_gives_is_not_to_be_kept() {
        let pieces = std::io::Read::chain(&[1; 100][..], &[2; 100][..]);
        let mut buffer = ReadBuffer::new(Box::new(pieces));
        assert!(buffer.fill(50).unwrap() && !buffer.is_in_new_block());
        assert!(buffer.fill(200).unwrap() && !buffer.is_in_new_block());
        assert!(!buffer.fill(201).unwrap());
    }
}
