//! A record as the cells of one line. Whatever comes out of a capture passes `push_visible` before it gets in.

use std::fmt::Write;

use crate::emit::terminal::{Paint, push_visible};
use crate::emit::text::row::{COLUMNS, Cell, titles};
use crate::emit::{FactTable, human, outcome, time};
use crate::packet::Endpoint;
use crate::record::{Completeness, Part, Record, Status};

/// A cell's text is not made longer than this; the widest terminal is cut to the same.
const MAX_CELL_WIDTH: usize = 1_000;

/// The cells of one line, kept from line to line so that they need not allocate.
#[derive(Default)]
pub(super) struct Cells {
    pub(super) row: [Cell; COLUMNS],
}

impl Cells {
    pub(super) fn fill_header(&mut self) {
        for (cell, title) in self.row.iter_mut().zip(titles()) {
            cell.start(Paint::Bold).push_str(title);
        }
    }

    pub(super) fn fill(&mut self, record: &Record, facts: &mut FactTable) {
        let [time, client, server, protocol, operation, resource, status, latency, request, response, notes] =
            &mut self.row;
        fill_time(time, record);
        fill_endpoint(client, record.flow.client);
        fill_endpoint(server, record.flow.server);
        push(protocol.start(Paint::Plain), outcome::protocol(record));
        fill_operation(operation, record);
        fill_resource(resource, record, facts);
        fill_status(status, record);
        fill_latency(latency, record);
        fill_size(request, outcome::request(record));
        fill_size(response, outcome::response(record));
        fill_notes(notes, record);
    }
}

impl Cell {
    /// Empties the cell for new text.
    fn start(&mut self, paint: Paint) -> &mut String {
        self.text.clear();
        self.paint = paint;
        self.tail = 0;
        &mut self.text
    }
}

fn fill_time(cell: &mut Cell, record: &Record) {
    let mut digits = Vec::with_capacity(15);
    time::put_time_of_day(&mut digits, record.ts);
    digits.push(b'.');
    time::put_micros(&mut digits, record.ts);
    cell.start(Paint::Dim).extend(digits.into_iter().map(char::from));
}

fn fill_endpoint(cell: &mut Cell, endpoint: Endpoint) {
    put(cell.start(Paint::Plain), format_args!("{endpoint}"));
    cell.tail = cell.text.rfind(':').map_or(0, |colon| cell.text.len() - colon);
}

fn fill_operation(cell: &mut Cell, record: &Record) {
    let text = cell.start(Paint::Plain);
    push(text, outcome::type_name(record).unwrap_or("-"));
    if let Some(version) = outcome::contents(record).find_map(|content| content.said(content.version)) {
        text.push_str(" v");
        push(text, version);
    }
}

fn fill_resource(cell: &mut Cell, record: &Record, facts: &mut FactTable) {
    let text = cell.start(Paint::Plain);
    if let Some((content, resource)) = outcome::contents(record).find_map(|content| Some((content, content.resource?)))
    {
        push(text, facts.resolve(&record.plugin, content, resource));
    }
}

fn fill_status(cell: &mut Cell, record: &Record) {
    let Some(status) = outcome::status(record) else {
        cell.start(Paint::Dim).push('-');
        return;
    };
    let text = cell.start(status_paint(status));
    text.push_str(outcome::status_name(status));
    let Some(Part { content, .. }) = outcome::response(record) else { return };
    if let Some(code) = content.code.filter(|code| *code != 0) {
        put(text, format_args!(" {code}"));
    }
    if let Some(exception) = content.said(content.exception) {
        text.push(' ');
        push(text, exception);
    }
}

fn status_paint(status: Status) -> Paint {
    match status {
        Status::Ok => Paint::Green,
        Status::ClientError => Paint::Yellow,
        Status::ServerError => Paint::Red,
        Status::Timeout => Paint::Magenta,
        Status::Unknown => Paint::Dim,
    }
}

/// A long poll's latency is dim: how long a server waited for news is no sign of its speed.
fn fill_latency(cell: &mut Cell, record: &Record) {
    let text = cell.start(if outcome::is_long_poll(record) { Paint::Dim } else { Paint::Plain });
    if let Some(latency) = record.latency_ns {
        text.push_str(&human::duration(latency));
    }
}

fn fill_size(cell: &mut Cell, part: Option<&Part>) {
    let text = cell.start(Paint::Plain);
    if let Some(part) = part {
        text.push_str(&human::size(part.bytes));
    }
}

fn fill_notes(cell: &mut Cell, record: &Record) {
    let text = cell.start(Paint::Dim);
    // A time-out says so in its status already.
    if let Some(reason) = record.reason.filter(|reason| *reason != "timeout") {
        note(text, reason);
    }
    if record.is_late {
        note(text, "late");
    }
    let (completeness, reason) = outcome::completeness(record);
    if completeness != Completeness::Full {
        note(text, outcome::completeness_name(completeness));
        if let Some(reason) = reason {
            text.push_str(": ");
            push(text, reason);
        }
    }
    if record.is_from_server {
        note(text, "from server");
    }
    if outcome::is_long_poll(record) {
        note(text, "long poll");
    }
    if let Some(response) = outcome::response(record).filter(|response| response.count > 1) {
        note(text, "");
        put(text, format_args!("{} replies", response.count));
    }
}

fn note(text: &mut String, note: &str) {
    if !text.is_empty() {
        text.push_str(", ");
    }
    push(text, note);
}

fn push(text: &mut String, captured: &str) {
    push_visible(text, captured, MAX_CELL_WIDTH);
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(arguments);
}
