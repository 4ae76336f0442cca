//! Lines are built in one reused buffer and written to the output in large pieces.

use std::io::{self, Write};

/// Enough that the system call's cost disappears, little enough that a reader of the pipe sees progress.
const WRITE_AT: usize = 64 * 1024;

/// A growing piece of output in front of a writer.
pub(super) struct LineBuffer<W> {
    pub(super) bytes: Vec<u8>,
    out: W,
}

impl<W: Write> LineBuffer<W> {
    pub(super) fn new(out: W) -> Self {
        Self { bytes: Vec::with_capacity(2 * WRITE_AT), out }
    }

    /// Ends the line, and writes the piece if it is large enough.
    pub(super) fn end_line(&mut self) -> io::Result<()> {
        self.bytes.push(b'\n');
        if self.bytes.len() < WRITE_AT { Ok(()) } else { self.write_out() }
    }

    /// Writes all, and has the output flush too.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.write_out()?;
        self.out.flush()
    }

    /// After an error the piece is gone: how much of it was written is not known, and a line written twice is worse.
    fn write_out(&mut self) -> io::Result<()> {
        let result = self.out.write_all(&self.bytes);
        self.bytes.clear();
        result
    }
}
