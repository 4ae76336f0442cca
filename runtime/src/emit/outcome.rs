//! What a record says as a whole: how it ended, how much of it was decoded, what to call it. The sinks and the
//! summary ask here, so that they agree.

use crate::record::{Completeness, Content, Part, Record, RecordKind, Status};

/// Name of the protocol: what the messages say, or the manifest; the plugin's own name, should the index be out of range.
pub(crate) fn protocol(record: &Record) -> &str {
    let said = contents(record).find_map(|content| content.extra.as_deref()?.protocol.as_deref());
    if let Some(protocol) = said {
        return protocol;
    }
    record.plugin.protocols.get(usize::from(record.protocol)).unwrap_or(&record.plugin.name)
}

/// How it ended; `None` for what needs no answer.
pub(crate) fn status(record: &Record) -> Option<Status> {
    match record.kind {
        RecordKind::OneWay => None,
        RecordKind::Request if record.reason == Some("timeout") => Some(Status::Timeout),
        RecordKind::Request => Some(Status::Unknown),
        RecordKind::Session | RecordKind::Response => {
            Some(record.response.as_ref().map_or(Status::Unknown, |response| response.content.status))
        }
    }
}

/// How much was decoded, and why not all: the worse of both parts, the request's on a tie.
pub(crate) fn completeness(record: &Record) -> (Completeness, Option<&str>) {
    let mut worst = (Completeness::Full, None);
    for content in contents(record) {
        if content.completeness > worst.0 {
            worst = (content.completeness, content.said(content.reason));
        }
    }
    worst
}

/// The server may have held the answer back on purpose, so that latency says little.
pub(crate) fn is_long_poll(record: &Record) -> bool {
    contents(record).any(|content| content.is_long_poll)
}

/// Command or API, as the request names it or else the response.
pub(crate) fn type_name(record: &Record) -> Option<&str> {
    contents(record).find_map(|content| content.said(content.type_name))
}

/// The asking side; of a one-way message its only part, whichever it was kept in.
pub(crate) fn request(record: &Record) -> Option<&Part> {
    match record.kind {
        RecordKind::OneWay => record.request.as_ref().or(record.response.as_ref()),
        _ => record.request.as_ref(),
    }
}

/// The answering side, if there was an answer.
pub(crate) fn response(record: &Record) -> Option<&Part> {
    match record.kind {
        RecordKind::Session | RecordKind::Response => record.response.as_ref(),
        RecordKind::Request | RecordKind::OneWay => None,
    }
}

/// The contents of both parts, the request's first.
pub(crate) fn contents(record: &Record) -> impl Iterator<Item = &Content> {
    [&record.request, &record.response].into_iter().flatten().map(|part| &*part.content)
}

/// A record kind's name in the output.
pub(crate) fn kind_name(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Session => "session",
        RecordKind::Request => "request",
        RecordKind::Response => "response",
        RecordKind::OneWay => "oneway",
    }
}

/// A status's name in the output.
pub(crate) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Unknown => "unknown",
        Status::Ok => "ok",
        Status::ClientError => "client_error",
        Status::ServerError => "server_error",
        Status::Timeout => "timeout",
    }
}

/// A degree of completeness's name in the output.
pub(crate) fn completeness_name(completeness: Completeness) -> &'static str {
    match completeness {
        Completeness::Full => "full",
        Completeness::Partial => "partial",
        Completeness::Header => "header",
    }
}
