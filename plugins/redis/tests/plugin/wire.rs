//! An encoder of RESP, and short views of what came out. It shares no code with the plugin.

use protap_plugin::Status;
use protap_plugin::testing::{Replay, Report, Seen, Value};

pub(crate) type Plugin = redis::Plugin;

pub(crate) fn replay() -> Replay {
    Replay::new::<Plugin>()
}

/// Messages depend on what was said before, as the database does: a loss may cost that, and nothing else.
pub(crate) fn truncation_sweep(conversation: &Replay) {
    conversation.truncation_sweep_but_for(|seen| {
        seen.attributes.retain(|(name, _)| name != "db.namespace" && name != "db.operation.batch.size");
        seen.domain.clear();
        seen.context.clear();
        seen.is_long_poll = false;
    });
}

/// A command as clients send it; its words are separated by spaces.
pub(crate) fn command(words: &str) -> Vec<u8> {
    array_of(&words.split(' ').map(str::as_bytes).collect::<Vec<_>>())
}

pub(crate) fn array_of(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    words.iter().for_each(|word| out.extend(bulk(word)));
    out
}

pub(crate) fn bulk(text: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat()
}

pub(crate) fn commands(all: &[&str]) -> Vec<u8> {
    all.iter().flat_map(|words| command(words)).collect()
}

/// What each response answers, how it went, and the error.
pub(crate) fn outcomes(report: &Report) -> Vec<(&str, Status, &str)> {
    let responses = report.messages.iter().filter(|seen| seen.kind == protap_plugin::Kind::Response);
    responses.map(|seen| (seen.answers.as_deref().unwrap_or("?"), seen.status, seen.exception.as_str())).collect()
}

/// Names of what needs no answer.
pub(crate) fn one_way(report: &Report) -> Vec<&str> {
    let one_way = report.messages.iter().filter(|seen| seen.kind == protap_plugin::Kind::OneWay);
    one_way.map(|seen| seen.type_name.as_str()).collect()
}

pub(crate) fn number(seen: &Seen, name: &str) -> Option<i64> {
    match seen.attribute(name) {
        Some(Value::I64(value)) => Some(*value),
        _ => None,
    }
}

/// The databases that responses say, and those that requests say.
pub(crate) fn databases(report: &Report) -> Vec<&str> {
    report.messages.iter().map(|seen| seen.domain.as_str()).collect()
}
