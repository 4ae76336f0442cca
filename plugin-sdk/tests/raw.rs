//! The `Raw` level, driven by the miniature host: messages built over several calls, and plugins that lie.

#![allow(missing_docs, reason = "tests")]

use protap_plugin::prelude::*;
use protap_plugin::testing::{Ending, Part, Replay, Seen, Value};

attributes! {
    SCHEMA;
    CHUNKS: i64 = "chunks",
    NAME: str = "name",
}

/// Interleaved exchanges of three-byte chunks: handle, then one of `b`egin, `a`mend, `f`inish, then a digit.
#[derive(Default)]
struct Chunks;

impl Raw for Chunks {
    const MANIFEST: Manifest = Manifest::new("chunks", "0.1.0").attributes(SCHEMA).facts(&["names"]);
    type Flow = ();

    fn probe(&self, _heads: &Heads<'_>) -> Verdict {
        Verdict::No
    }

    fn parse(&mut self, _flow: &mut (), input: &Input<'_>, output: &mut Output) -> Progress {
        let Some([handle, part, digit]) = input.bytes.first_chunk().copied() else {
            return if input.gap.is_some() { Progress::Lost } else { Progress::Need { consumed: 0, amount: 3 } };
        };
        let message = match input.direction {
            Direction::ToServer => output.request("ASK"),
            Direction::ToClient => output.response(Status::Ok),
        };
        // Its id may be unknown to begin with.
        let message = if part == b'o' { message } else { message.id(u64::from(handle)) };
        let handle = u32::from(handle);
        match part {
            b'b' | b'o' => message.begin(handle).emit(),
            b'a' => message.amend(handle).emit(),
            b'f' => message.finish(handle).i64(CHUNKS, digit - b'0').fact(NAME, Facts(0), [digit]).emit(),
            b'w' => message.emit(),
            b'c' => message.cancel().emit(),
            _ => return lie(digit, input.bytes.len()),
        }
        output.fact(Facts(0), "1", "one");
        Progress::More(3)
    }

    fn resync(&mut self, _flow: &mut (), input: &Input<'_>) -> Resync {
        match input.bytes.iter().position(|byte| *byte == b'!') {
            Some(at) => Resync::Found(at),
            None => Resync::Need { consumed: 0, amount: 1 },
        }
    }
}

fn lie(which: u8, len: usize) -> Progress {
    match which {
        b'0' => Progress::More(0),
        b'1' => Progress::More(len + 1),
        b'2' => Progress::Need { consumed: 0, amount: len as u64 },
        b'3' => Progress::Need { consumed: 0, amount: 1 << 20 },
        b'4' => Progress::Skip { consumed: 0, amount: 0 },
        b'5' => Progress::Lost,
        b'6' => Progress::Invalid { consumed: 0, reason: "lie" },
        _ => Progress::Invalid { consumed: 3, reason: "lie" },
    }
}

export!(Chunks as Raw);

fn parts(messages: &[Seen]) -> Vec<(Part, u64, u64)> {
    messages.iter().map(|seen| (seen.part, seen.start, seen.end)).collect()
}

#[test]
fn a_message_is_paired_when_it_is_finished() {
    let replay = Replay::new::<Plugin>().to_server("1b.2b.1a.2f11f2").to_client("2b.1w.2a.2f3");
    let report = replay.split_sweep();
    let (asks, replies) = report.messages.split_at(5);
    let [one, two] = [u32::from(b'1'), u32::from(b'2')];
    assert_eq!(
        parts(asks),
        [
            (Part::Begin(one), 0, 3),
            (Part::Begin(two), 3, 6),
            (Part::Amend(one), 6, 9),
            (Part::Finish(two), 9, 12),
            (Part::Finish(one), 12, 15)
        ]
    );
    let answers: Vec<_> = replies.iter().map(|seen| seen.answers.as_deref()).collect();
    assert_eq!(answers, [None, Some("ASK"), None, Some("ASK")]);
    assert_eq!(report.messages[4].attribute("name"), Some(&Value::Ref("names".to_owned(), "2".to_owned())));
    assert_eq!((report.unanswered, report.facts.len()), (0, 9));
}

#[test]
fn a_request_is_pending_from_its_first_part_on() {
    let report = Replay::new::<Plugin>().to_server("1b.2b.").to_client("2b.1w.").to_server("1f1").split_sweep();
    let answers: Vec<_> = report.messages.iter().map(|seen| seen.answers.as_deref()).collect();
    assert_eq!(answers, [None, None, None, Some("ASK"), None]);
    // Finishing a request that was answered does not ask once more.
    assert_eq!(report.unanswered, 1);
}

#[test]
fn a_request_waits_under_the_id_that_a_later_part_bears() {
    for later in ["1a.", "1f1"] {
        let report = Replay::new::<Plugin>().to_server("1o.").to_server(later).to_client("2w.1w.").split_sweep();
        let answers: Vec<_> = report.messages.iter().map(|seen| seen.answers.as_deref()).collect();
        assert_eq!((answers, report.unanswered), (vec![None, None, None, Some("ASK")], 0), "{later}");
    }
    // The earlier request of that id is closed.
    let report = Replay::new::<Plugin>().to_server("1w.2o.1o.1f1").to_client("1w.").split_sweep();
    assert_eq!((report.messages[4].answers.as_deref(), report.unanswered), (Some("ASK"), 1));
}

#[test]
fn a_cancel_closes_the_request_and_what_is_begun_of_its_response() {
    let report = Replay::new::<Plugin>().to_server("1w.2w.").to_client("1b.").to_server("1c.2c.").split_sweep();
    assert_eq!((report.messages.len(), report.unanswered), (5, 0));
    assert!(report.messages[3].is_cancel);
}

#[test]
fn what_is_open_ends_with_its_direction() {
    let replay = Replay::new::<Plugin>().to_server("1w.2w.").to_client("1b.2b.");
    assert_eq!(replay.clone().end(Direction::ToClient).run().unanswered, 0);
    assert_eq!(replay.clone().end(Direction::ToServer).run().unanswered, 2);
    assert_eq!(replay.gap(Direction::ToClient, 1).run().unanswered, 0);
}

#[test]
fn breaches_of_the_contract_are_reported() {
    let breach = |bytes: &str| Replay::new::<Plugin>().to_server(bytes).try_run().map(drop).map_err(|found| found.what);
    let is = |what: &str| Err(what.to_owned());
    assert_eq!(breach("..0"), is("neither bytes consumed nor more wanted"));
    assert_eq!(breach("..1"), is("4 bytes consumed of 3"));
    assert_eq!(breach("..2"), is("needs 3 bytes, 3 are there"));
    assert_eq!(breach("..3"), is("needs 1048576 bytes, more than a window"));
    assert_eq!(breach("..4"), is("skips nothing"));
    assert_eq!(breach("..5"), is("lost without a gap"));
    assert_eq!(breach("..7xyz"), is("needs 1 bytes, 3 are there, the window is 16384"));
    assert_eq!(breach("1a."), is("message 49 was not begun"));
    assert_eq!(breach("1b.1b."), is("message 49 is begun twice"));
    assert_eq!(breach("..7"), Ok(()));
}

#[test]
fn a_plugin_that_finds_only_malformed_bytes_loses_the_flow() {
    let report = Replay::new::<Plugin>().to_server("!.6".repeat(100)).run();
    assert_eq!((report.losses.len(), report.ending), (17, Ending::Rejected("lie".to_owned())));
}

#[test]
fn an_option_that_the_plugin_does_not_know_is_refused() {
    let refused = Replay::new::<Plugin>().option("colour", "red").try_run();
    assert_eq!(refused.map(drop).map_err(|found| found.what), Err("option 1 is refused".to_owned()));
}
