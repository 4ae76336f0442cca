//! An encoder of RESP, and short views of what came out. It shares no code with the plugin.

use protap_plugin::testing::{Completeness, Replay, Report, Seen, Value};
use protap_plugin::{Direction, Status};

pub(crate) type Plugin = redis::Plugin;

pub(crate) fn replay() -> Replay {
    Replay::new::<Plugin>()
}

/// A conversation whose messages depend on what was said before, as the database does: a loss may cost that, and
/// nothing else.
#[derive(Default)]
pub(crate) struct Talk(Vec<(Direction, Vec<u8>)>);

#[expect(clippy::wrong_self_convention, reason = "they are called as those of Replay are")]
impl Talk {
    pub(crate) fn to_server(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.push((Direction::ToServer, bytes.as_ref().to_vec()));
        self
    }

    pub(crate) fn to_client(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.push((Direction::ToClient, bytes.as_ref().to_vec()));
        self
    }

    /// The conversation before its last step.
    pub(crate) fn without_last(mut self) -> Self {
        self.0.pop();
        self
    }

    pub(crate) fn split_sweep(&self) -> Report {
        replay().conversation(&self.0).split_sweep()
    }

    /// Every prefix of every step, once with the end behind it and once with the rest lost.
    pub(crate) fn truncation_sweep(&self) {
        let whole: Vec<Seen> = replay().conversation(&self.0).run().messages.into_iter().map(bare).collect();
        for (index, (direction, bytes)) in self.0.iter().enumerate() {
            for at in 0..bytes.len() {
                let cut = replay().conversation(&self.0[..index]).bytes(*direction, &bytes[..at]);
                let ended = cut.clone().end(*direction).end(direction.opposite());
                let lost = cut.gap(*direction, (bytes.len() - at) as u64).conversation(&self.0[index + 1..]);
                for report in [ended.run(), lost.run()] {
                    let full = report.messages.into_iter().filter(|seen| seen.completeness == Completeness::Full);
                    for seen in full.map(bare) {
                        assert!(whole.contains(&seen), "step {index} cut at {at}: {seen:#?}");
                    }
                }
            }
        }
    }
}

/// A message without what it owes to others.
fn bare(seen: Seen) -> Seen {
    let attributes = seen.attributes.into_iter();
    let is_own = |(name, _): &(String, Value)| name != "db.namespace" && name != "db.operation.batch.size";
    let attributes = attributes.filter(is_own).collect();
    Seen { answers: None, domain: String::new(), context: Vec::new(), is_long_poll: false, attributes, ..seen }
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
