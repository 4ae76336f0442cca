//! Records in, lines out: JSON Lines for machines, a table for people. Lines are made by a [`Form`], in the thread that made
//! the record; the sink puts them one after the other. The sink is also where a record's references to facts (a Kafka topic
//! id's name) are looked up, since it alone sees all flows in capture order. It decides nothing about records and knows
//! no protocol; a closed pipe is the caller's to understand.

mod buffer;
mod facts;
pub(crate) mod human;
mod json;
pub(crate) mod outcome;
pub(crate) mod terminal;
mod text;
mod time;

#[cfg(test)]
pub(crate) mod samples;

use std::io;

pub use facts::FactTable;
pub use json::JsonSink;
pub use terminal::{TextStyle, visible};
pub use text::TextSink;

use crate::packet::Timestamp;
use crate::record::Record;

/// Writes records. Lines are collected and written in large pieces; [`Sink::flush`] writes what is left.
pub trait Sink {
    /// Writes one record, with its references looked up in `facts`.
    ///
    /// # Errors
    /// Whatever the output answers, a closed pipe included.
    fn record(&mut self, record: &Record, facts: &mut FactTable) -> io::Result<()>;

    /// What makes the same lines elsewhere, to be handed to [`Sink::line`].
    fn form(&self) -> Box<dyn Form>;

    /// Writes the line of a record that began at `ts`.
    ///
    /// # Errors
    /// Whatever the output answers, a closed pipe included.
    fn line(&mut self, ts: Timestamp, line: &[u8]) -> io::Result<()>;

    /// Writes what was collected. To be called at the end, and whenever someone watches a live capture.
    ///
    /// # Errors
    /// Whatever the output answers, a closed pipe included.
    fn flush(&mut self) -> io::Result<()>;
}

/// What a record looks like as a line.
pub trait Form: Send {
    /// Appends the record's line, without its end, with its references looked up in `facts`.
    fn put(&mut self, out: &mut Vec<u8>, record: &Record, facts: &mut FactTable);
}
