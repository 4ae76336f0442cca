//! A small table for the report: every column as wide as its widest cell, two spaces between columns.

use std::io::{self, Write};
use std::ops::Range;

use crate::emit::terminal::{Paint, push_visible, text_width};

/// Longest cell: room for a sentence.
const MAX_CELL_WIDTH: usize = 160;

/// Rows of text; the first is the header.
pub(super) struct Table {
    /// The columns that are numbers, and aligned to the right.
    numbers: Range<usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(titles: &[&str], numbers: Range<usize>) -> Self {
        let header = titles.iter().map(ToString::to_string).collect();
        Self { numbers, rows: vec![header] }
    }

    pub(super) fn add(&mut self, row: Vec<String>) {
        let visible = |cell: String| {
            let mut text = String::with_capacity(cell.len());
            push_visible(&mut text, &cell, MAX_CELL_WIDTH);
            text
        };
        self.rows.push(row.into_iter().map(visible).collect());
    }

    pub(super) fn write(&self, out: &mut dyn Write, has_colour: bool) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| text_width(cell)).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let line = self.line(row, &widths);
            let line = line.trim_end();
            if number == 0 && has_colour {
                writeln!(out, "{}{line}{}", Paint::Bold.on(), Paint::OFF)?;
            } else {
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let padding = " ".repeat(width.saturating_sub(text_width(cell)));
            let (before, after) = if self.numbers.contains(&column) { (&*padding, "") } else { ("", &*padding) };
            line.extend([before, cell, after, "  "]);
        }
        line
    }
}
