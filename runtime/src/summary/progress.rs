//! One line on a terminal that says how far a long file was read. The only place that looks at the wall clock, which
//! the caller passes in. Whether stderr is a terminal, and whether records go to the same one, is the caller's to ask.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::emit::human::{count, size};

/// At most ten lines a second: more cannot be read.
const REDRAW_AFTER: Duration = Duration::from_millis(100);

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes of the file that were read.
    pub bytes: u64,
    /// Packets read.
    pub packets: u64,
    /// Records written.
    pub records: u64,
}

/// A line that is rewritten in place.
pub struct Progress<W> {
    out: W,
    /// Size of all files together, if known.
    total: Option<u64>,
    width: usize,
    started: Instant,
    drawn: Instant,
    is_shown: bool,
}

impl<W: Write> Progress<W> {
    /// A line of at most `width` columns. Nothing is drawn during the first tenth of a second: short runs show none.
    pub fn new(out: W, total: Option<u64>, width: usize, now: Instant) -> Self {
        Self { out, total, width, started: now, drawn: now, is_shown: false }
    }

    /// Draws the line anew, if it is old enough. Cheap if not, but meant to be called per batch, not per packet.
    ///
    /// # Errors
    /// Whatever the output answers.
    pub fn update(&mut self, now: Instant, counters: Counters) -> io::Result<()> {
        if now.saturating_duration_since(self.drawn) < REDRAW_AFTER {
            return Ok(());
        }
        self.drawn = now;
        self.is_shown = true;
        // A full line would scroll.
        let line: String = self.line(now, counters).chars().take(self.width.saturating_sub(1)).collect();
        write!(self.out, "\r{line}\x1b[K")?;
        self.out.flush()
    }

    /// Takes the line away: at the end, and before anything else is written to the terminal.
    ///
    /// # Errors
    /// Whatever the output answers.
    pub fn clear(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.is_shown) {
            return Ok(());
        }
        write!(self.out, "\r\x1b[K")?;
        self.out.flush()
    }

    fn line(&self, now: Instant, counters: Counters) -> String {
        let nanoseconds = now.saturating_duration_since(self.started).as_nanos().max(1);
        let rate = u128::from(counters.bytes) * 1_000_000_000 / nanoseconds;
        let rate = size(u64::try_from(rate).unwrap_or(u64::MAX));
        let read = size(counters.bytes);
        let read = match self.total.filter(|total| *total > 0) {
            // The file may grow while it is read.
            Some(total) => {
                let percent = u128::from(counters.bytes.min(total)) * 100 / u128::from(total);
                format!("{percent:>3} %  {read}B of {}B", size(total))
            }
            None => format!("{read}B"),
        };
        format!("{read}, {rate}B/s, {} packets, {} records", count(counters.packets), count(counters.records))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Counters, Progress};

    const HALF: Counters = Counters { bytes: 1_500_000_000, packets: 12_345_678, records: 9_876 };

    /// What is written when updates come at these milliseconds.
    fn drawn(total: Option<u64>, width: usize, milliseconds: &[u64]) -> String {
        let (mut out, start) = (Vec::new(), Instant::now());
        let mut progress = Progress::new(&mut out, total, width, start);
        for at in milliseconds {
            progress.update(start + Duration::from_millis(*at), HALF).unwrap();
        }
        progress.clear().unwrap();
        progress.clear().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn line_says_how_far_it_is_and_goes_away() {
        assert_eq!(
            drawn(Some(3_000_000_000), 120, &[1_000]),
            "\r 50 %  1.5GB of 3.0GB, 1.5GB/s, 12,345,678 packets, 9,876 records\x1b[K\r\x1b[K"
        );
        assert_eq!(drawn(None, 14, &[1_000]), "\r1.5GB, 1.5GB/\x1b[K\r\x1b[K");
    }

    #[test]
    fn line_is_drawn_ten_times_a_second_at_most() {
        assert_eq!(drawn(None, 80, &(0..=1_000).collect::<Vec<_>>()).matches("packets").count(), 10);
    }

    #[test]
    fn short_run_draws_nothing() {
        assert_eq!(drawn(None, 80, &[0, 50, 99]), "");
    }
}
