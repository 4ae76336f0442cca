//! Sweeps: the same conversation cut in every way, so that no test has to think of the cut that breaks a parser.

use super::{Replay, Step};
use crate::testing::{Completeness, Report, Seen};

/// Steps up to that length are cut at every byte, longer ones at every byte near their ends and at so many places
/// between.
const THOROUGH: usize = 2048;
/// Bytes at either end of a long step where every cut is tried.
const ENDS: usize = 256;
/// Cuts tried in the middle of a long step.
const SAMPLES: usize = 256;

/// Says which replay a panic of the plugin belongs to.
struct Witness(String);

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("protap_plugin::testing: while replaying {}", self.0);
        }
    }
}

fn cuts(len: usize) -> impl Iterator<Item = usize> {
    let stride = if len <= THOROUGH { 1 } else { len.div_ceil(SAMPLES) };
    (1..len).filter(move |at| *at <= ENDS || len - at <= ENDS || at % stride == 0)
}

fn run(replay: &Replay, steps: &[Step], what: String) -> Report {
    let witness = Witness(what);
    let report = replay.replay(steps);
    report.unwrap_or_else(|violation| panic!("the plugin breaks the contract, {}: {violation}", witness.0))
}

fn differs(whole: &[Seen], other: &[Seen], what: &str) {
    if whole == other {
        return;
    }
    let at = whole.iter().zip(other).take_while(|(a, b)| a == b).count();
    panic!(
        "{what}: {} messages instead of {}; the first that differs is {at}:\n{:#?}\ninstead of\n{:#?}",
        other.len(),
        whole.len(),
        other.get(at),
        whole.get(at)
    );
}

/// See [`Replay::split_sweep`].
pub(super) fn split(replay: &Replay) -> Report {
    let steps = &replay.steps;
    let whole = run(replay, steps, "the whole".to_owned());
    let check = |steps: &[Step], what: String| {
        let report = run(replay, steps, what.clone());
        differs(&whole.messages, &report.messages, &what);
        assert_eq!(report.facts, whole.facts, "{what}: facts");
        assert_eq!(report.ending, whole.ending, "{what}: ending");
    };
    for (index, step) in steps.iter().enumerate() {
        let Step::Bytes(direction, bytes) = step else { continue };
        for at in cuts(bytes.len()) {
            let (head, tail) = bytes.split_at(at);
            let mut split = steps.clone();
            let parts = [head, tail].map(|part| Step::Bytes(*direction, part.to_vec()));
            split.splice(index..=index, parts);
            check(&split, format!("step {index} split at {at}"));
        }
    }
    let single = steps.iter().flat_map(|step| match step {
        Step::Bytes(direction, bytes) => bytes.iter().map(|byte| Step::Bytes(*direction, vec![*byte])).collect(),
        step => vec![step.clone()],
    });
    check(&single.collect::<Vec<_>>(), "byte by byte".to_owned());
    whole
}

/// What of a message does not depend on what was lost before it: whether its request was, and, as a datagram that was
/// cut moves those behind it, where it lies.
fn comparable(seen: &Seen, forget: impl Fn(&mut Seen)) -> Seen {
    let mut seen = Seen { answers: None, start: 0, end: seen.end.saturating_sub(seen.start), ..seen.clone() };
    forget(&mut seen);
    seen
}

/// See [`Replay::truncation_sweep`].
pub(super) fn truncation(replay: &Replay, forget: impl Fn(&mut Seen)) {
    let whole = run(replay, &replay.steps, "the whole".to_owned()).messages;
    let whole: Vec<Seen> = whole.iter().map(|seen| comparable(seen, &forget)).collect();
    let check = |steps: &[Step], what: String| {
        let report = run(replay, steps, what.clone());
        for seen in report.messages.iter().filter(|seen| seen.completeness == Completeness::Full) {
            let is_there = whole.contains(&comparable(seen, &forget));
            assert!(is_there, "{what}: a message that the whole does not have: {seen:#?}");
        }
    };
    for (index, step) in replay.steps.iter().enumerate() {
        let before = || replay.steps.iter().take(index).cloned();
        let after = || replay.steps.iter().skip(index + 1).cloned();
        let (direction, bytes, is_datagram) = match step {
            Step::Bytes(direction, bytes) => (*direction, bytes, false),
            Step::Datagram(direction, bytes) => (*direction, bytes, true),
            Step::Gap(..) | Step::End(_) => continue,
        };
        for at in core::iter::once(0).chain(cuts(bytes.len())) {
            let head = bytes.get(..at).unwrap_or_default().to_vec();
            if is_datagram {
                let cut = before().chain([Step::Datagram(direction, head)]).chain(after());
                check(&cut.collect::<Vec<_>>(), format!("datagram {index} cut at {at}"));
                continue;
            }
            let head = Step::Bytes(direction, head);
            let end = [head.clone(), Step::End(direction), Step::End(direction.opposite())];
            check(&before().chain(end).collect::<Vec<_>>(), format!("step {index} ended at {at}"));
            let gap = [head, Step::Gap(direction, (bytes.len() - at) as u64)];
            let steps = before().chain(gap).chain(after());
            check(&steps.collect::<Vec<_>>(), format!("step {index} lost from {at} on"));
        }
    }
}
