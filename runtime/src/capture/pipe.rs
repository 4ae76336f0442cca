//! A capture that comes through a pipe, as it is captured perhaps: where nothing comes for a while, the reader is told,
//! so that what is known can be handed on.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::time::Timespec;

/// How long a reader that does not want to wait for ever waits.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A pipe, a terminal or a socket.
pub(super) struct Pipe {
    input: File,
    is_impatient: Arc<AtomicBool>,
}

impl Pipe {
    /// Once `is_impatient`, reading ends with [`io::ErrorKind::WouldBlock`] where nothing comes within 100 ms.
    pub(super) fn new(input: File, is_impatient: Arc<AtomicBool>) -> Self {
        Self { input, is_impatient }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_impatient.load(Ordering::Relaxed) {
            match poll(&mut [PollFd::new(&self.input, PollFlags::IN)], Some(&PATIENCE)) {
                Ok(0) | Err(Errno::INTR) => return Err(io::ErrorKind::WouldBlock.into()),
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.input.read(buffer)
    }
}
