//! Records as an aligned table for people: one line each, as they come. Widths are chosen from the terminal's when the
//! table begins; nothing waits for later records. Times are UTC; a line in between says the date when it changes.

mod cells;
mod row;

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use crate::emit::buffer::LineBuffer;
use crate::emit::terminal::{Paint, TextStyle};
use crate::emit::text::cells::Cells;
use crate::emit::text::row::Layout;
use crate::emit::{FactTable, Sink, time};
use crate::record::Record;

/// Writes records as a table.
pub struct TextSink<W> {
    out: LineBuffer<W>,
    layout: Layout,
    cells: Cells,
    has_colour: bool,
    /// Day of the last line; `None` before the first.
    day: Option<u64>,
}

impl<W: Write> TextSink<W> {
    /// A sink that writes to `out`. The header comes before the first record, so that nothing found shows nothing.
    pub fn new(out: W, style: TextStyle) -> Self {
        let layout = Layout::choose(style.width);
        Self { out: LineBuffer::new(out), layout, cells: Cells::default(), has_colour: style.has_colour, day: None }
    }

    fn start_day(&mut self, record: &Record) -> io::Result<()> {
        let day = time::day_of(record.ts);
        if self.day.replace(day) == Some(day) {
            return Ok(());
        }
        let (on, off) = if self.has_colour { (Paint::Dim.on(), Paint::OFF) } else { ("", "") };
        self.out.bytes.extend_from_slice(on.as_bytes());
        self.out.bytes.extend_from_slice(b"-- ");
        time::put_date(&mut self.out.bytes, record.ts);
        self.out.bytes.extend_from_slice(b" --");
        self.out.bytes.extend_from_slice(off.as_bytes());
        self.out.end_line()
    }

    fn write_cells(&mut self) -> io::Result<()> {
        self.layout.put_row(&mut self.out.bytes, &self.cells.row, self.has_colour);
        self.out.end_line()
    }
}

impl<W: Write> Sink for TextSink<W> {
    fn record(&mut self, record: &Record, facts: &mut FactTable) -> io::Result<()> {
        if self.day.is_none() {
            self.cells.fill_header();
            self.write_cells()?;
        }
        self.start_day(record)?;
        self.cells.fill(record, facts);
        self.write_cells()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
