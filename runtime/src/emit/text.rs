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
use crate::emit::{FactTable, Form, Sink, time};
use crate::packet::Timestamp;
use crate::record::Record;

/// Writes records as a table.
pub struct TextSink<W> {
    out: LineBuffer<W>,
    form: TextForm,
    style: TextStyle,
    /// Day of the last line; `None` before the first.
    day: Option<u64>,
}

/// Records as rows of the table.
struct TextForm {
    layout: Layout,
    cells: Cells,
    has_colour: bool,
}

impl TextForm {
    fn new(style: TextStyle) -> Self {
        Self { layout: Layout::choose(style.width), cells: Cells::default(), has_colour: style.has_colour }
    }

    fn put_cells(&self, out: &mut Vec<u8>) {
        self.layout.put_row(out, &self.cells.row, self.has_colour);
    }
}

impl Form for TextForm {
    fn put(&mut self, out: &mut Vec<u8>, record: &Record, facts: &mut FactTable) {
        self.cells.fill(record, facts);
        self.put_cells(out);
    }
}

impl<W: Write> TextSink<W> {
    /// A sink that writes to `out`. The header comes before the first record, so that nothing found shows nothing.
    pub fn new(out: W, style: TextStyle) -> Self {
        Self { out: LineBuffer::new(out), form: TextForm::new(style), style, day: None }
    }

    /// Writes what comes before the line of a record that began at `ts`: a header, its date.
    fn start_line(&mut self, ts: Timestamp) -> io::Result<()> {
        if self.day.is_none() {
            self.form.cells.fill_header();
            self.form.put_cells(&mut self.out.bytes);
            self.out.end_line()?;
        }
        let day = time::day_of(ts);
        if self.day.replace(day) == Some(day) {
            return Ok(());
        }
        let (on, off) = if self.style.has_colour { (Paint::Dim.on(), Paint::OFF) } else { ("", "") };
        self.out.bytes.extend_from_slice(on.as_bytes());
        self.out.bytes.extend_from_slice(b"-- ");
        time::put_date(&mut self.out.bytes, ts);
        self.out.bytes.extend_from_slice(b" --");
        self.out.bytes.extend_from_slice(off.as_bytes());
        self.out.end_line()
    }
}

impl<W: Write> Sink for TextSink<W> {
    fn record(&mut self, record: &Record, facts: &mut FactTable) -> io::Result<()> {
        self.start_line(record.ts)?;
        self.form.put(&mut self.out.bytes, record, facts);
        self.out.end_line()
    }

    fn form(&self) -> Box<dyn Form> {
        Box::new(TextForm::new(self.style))
    }

    fn line(&mut self, ts: Timestamp, line: &[u8]) -> io::Result<()> {
        self.start_line(ts)?;
        self.out.bytes.extend_from_slice(line);
        self.out.end_line()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
