//! Short views of what came out.

use protap_plugin::Kind;
use protap_plugin::testing::{Part, Replay, Report, Seen, Value};

pub(crate) type Plugin = http::Plugin;

pub(crate) fn replay() -> Replay {
    Replay::new::<Plugin>()
}

/// What each response answers, its code, and the size of its body.
pub(crate) fn answers(report: &Report) -> Vec<(&str, i64, Option<i64>)> {
    let responses = report.messages.iter().filter(|seen| seen.kind == Kind::Response && !is_begun(seen));
    let answer = |seen: &'_ Seen| (seen.code.unwrap_or(0), number(seen, "http.response.body.size"));
    responses
        .map(|seen| {
            let (code, size) = answer(seen);
            (seen.answers.as_deref().unwrap_or("?"), code, size)
        })
        .collect()
}

/// Method, resource and size of the body of each request.
pub(crate) fn asked(report: &Report) -> Vec<(&str, &str, Option<i64>)> {
    let mut asked: Vec<(&str, &str, Option<i64>)> = Vec::new();
    for seen in report.messages.iter().filter(|seen| seen.kind == Kind::Request) {
        let size = number(seen, "http.request.body.size");
        match (seen.part, asked.last_mut()) {
            (Part::Finish(_), Some(begun)) => begun.2 = size,
            _ => asked.push((&seen.type_name, &seen.resource, size)),
        }
    }
    asked
}

pub(crate) fn is_begun(seen: &Seen) -> bool {
    matches!(seen.part, Part::Begin(_))
}

pub(crate) fn number(seen: &Seen, name: &str) -> Option<i64> {
    match seen.attribute(name) {
        Some(Value::I64(value)) => Some(*value),
        _ => None,
    }
}

pub(crate) fn text<'a>(seen: &'a Seen, name: &str) -> Option<&'a str> {
    match seen.attribute(name) {
        Some(Value::Str(value)) => Some(value),
        Some(Value::List(values)) => values.first().map(String::as_str),
        _ => None,
    }
}
