//! Conversations as memcached 1.6 has them, cut and truncated in every way.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

use memcached::Plugin;
use protap_plugin::prelude::*;
use protap_plugin::testing::{Completeness, Ending, Replay, Report, Seen, Value, probe, probe_heads};

fn number(report: &Report, index: usize, name: &str) -> Option<i64> {
    match report.messages[index].attribute(name) {
        Some(Value::I64(value)) => Some(*value),
        _ => None,
    }
}

/// What each response answers, what it says, and how it went.
fn outcomes(report: &Report) -> Vec<(&str, &str, Status)> {
    let responses = report.messages.iter().filter(|seen| seen.kind == Kind::Response);
    responses.map(|seen| (asked(seen), said(seen), seen.status)).collect()
}

fn asked(seen: &Seen) -> &str {
    seen.answers.as_deref().unwrap_or("?")
}

fn said(seen: &Seen) -> &str {
    if seen.result.is_empty() { &seen.exception } else { &seen.result }
}

#[test]
fn a_get_of_several_keys_counts_hits_and_misses() {
    let get = Replay::new::<Plugin>()
        .to_server("get a b c\r\n")
        .to_client("VALUE a 0 3\r\n1\r\n\r\nVALUE c 0 0 77\r\n\r\nEND\r\n");
    let report = get.split_sweep();
    assert_eq!(report.messages[0].type_name, "get");
    assert_eq!(number(&report, 0, "memcached.key.count"), Some(3));
    assert_eq!(number(&report, 1, "memcached.hit.count"), Some(2));
    assert_eq!(number(&report, 1, "memcached.miss.count"), Some(1));
    assert_eq!(number(&report, 1, "memcached.value.bytes"), Some(3));
    assert_eq!((report.messages[1].start, report.messages[1].end), (0, 41));
    get.truncation_sweep();
}

#[test]
fn pipelined_commands_are_answered_in_order() {
    let conversation = Replay::new::<Plugin>()
        .to_server("set k 0 0 2\r\nhi\r\nadd k 0 0 1\r\nx\r\nincr k 1\r\ndelete zz\r\nincr n 1\r\nversion\r\nbogus\r\n")
        .to_client("STORED\r\nNOT_STORED\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n")
        .to_client("NOT_FOUND\r\n12\r\nVERSION 1.6.18\r\nERROR\r\n");
    let report = conversation.split_sweep();
    assert_eq!(
        outcomes(&report),
        [
            ("set", "STORED", Status::Ok),
            ("add", "NOT_STORED", Status::Ok),
            ("incr", "CLIENT_ERROR", Status::ClientError),
            ("delete", "NOT_FOUND", Status::Ok),
            ("incr", "NUMBER", Status::Ok),
            ("version", "VERSION", Status::Ok),
            ("unknown", "ERROR", Status::ClientError),
        ]
    );
    conversation.truncation_sweep();
}

#[test]
fn what_is_not_answered_is_one_way() {
    let conversation = Replay::new::<Plugin>()
        .to_server("set k 0 0 2 noreply\r\nhi\r\nget k\r\nquit\r\n")
        .to_client("VALUE k 0 2\r\nhi\r\nEND\r\n")
        .end(Direction::ToServer);
    let report = conversation.split_sweep();
    let kinds: Vec<_> = report.messages.iter().map(|seen| (seen.kind, seen.type_name.as_str())).collect();
    let expected = [(Kind::OneWay, "set"), (Kind::Request, "get"), (Kind::OneWay, "quit"), (Kind::Response, "")];
    assert_eq!(kinds, expected);
    assert_eq!(report.unanswered, 0);
    conversation.truncation_sweep();
}

#[test]
fn a_value_longer_than_a_window_is_passed_over() {
    let value = "z".repeat(100_000);
    let report = Replay::new::<Plugin>()
        .to_server(format!("set big 0 0 100000\r\n{value}\r\nget big\r\n"))
        .to_client("STORED\r\n")
        .to_client(format!("VALUE big 0 100000\r\n{value}\r\nEND\r\n"))
        .run();
    assert_eq!(outcomes(&report), [("set", "STORED", Status::Ok), ("get", "END", Status::Ok)]);
    assert_eq!(report.messages[0].end, 20 + 100_000 + 2);
    assert_eq!(number(&report, 3, "memcached.value.bytes"), Some(100_000));
}

#[test]
fn a_gap_in_a_value_costs_nothing_and_another_one_only_its_command() {
    let value = "z".repeat(100_000);
    let stored = format!("set big 0 0 100000\r\n{value}\r\nget a\r\n");
    let bridged = Replay::new::<Plugin>()
        .to_server(&stored[..500])
        .gap(Direction::ToServer, 50_000)
        .to_server(&stored[50_500..])
        .to_client("STORED\r\nEND\r\n");
    assert_eq!(outcomes(&bridged.run()), [("set", "STORED", Status::Ok), ("get", "END", Status::Ok)]);
    let lost = Replay::new::<Plugin>()
        .to_server("get a\r\nge")
        .gap(Direction::ToServer, 20)
        .to_client("END\r\n")
        .to_server("get b\r\n")
        .to_client("END\r\n")
        .run();
    assert_eq!(outcomes(&lost), [("?", "END", Status::Ok), ("get", "END", Status::Ok)]);
    assert_eq!(lost.messages[1].completeness, Completeness::Partial);
}

#[test]
fn keys_are_emitted_only_if_asked_for() {
    let get = Replay::new::<Plugin>().to_server("gat 60 secret-1 secret-2\r\nnonsense secret-3\r\n");
    assert!(!format!("{:?}", get.run()).contains("secret"));
    let report = get.option("keys", "on").run();
    assert_eq!(report.messages[0].attribute("memcached.keys"), Some(&Value::from(&["secret-1", "secret-2"][..])));
    assert!(Replay::new::<Plugin>().option("keys", "maybe").try_run().is_err());
}

#[test]
fn meta_commands_are_understood_unless_they_are_quiet() {
    let meta = Replay::new::<Plugin>()
        .to_server("ms k 2 T0\r\nhi\r\nmg k v\r\nmg zz v\r\nmd k\r\nmn\r\n")
        .to_client("HD\r\nVA 2\r\nhi\r\nEN\r\nHD\r\nMN\r\n");
    let results: Vec<_> =
        outcomes(&meta.split_sweep()).iter().map(|(asked, result, _)| format!("{asked} {result}")).collect();
    assert_eq!(results, ["ms HD", "mg VA", "mg EN", "md HD", "mn MN"]);
    meta.truncation_sweep();
    let quiet = Replay::new::<Plugin>().to_server("mg k v q\r\nmn\r\n").run();
    assert_eq!(quiet.ending, Ending::Opaque("quiet meta commands".to_owned()));
}

#[test]
fn stats_are_one_reply() {
    let report = Replay::new::<Plugin>()
        .to_server("stats\r\nget a\r\n")
        .to_client("STAT pid 1\r\nSTAT uptime 22\r\nEND\r\nEND\r\n")
        .split_sweep();
    assert_eq!(outcomes(&report), [("stats", "END", Status::Ok), ("get", "END", Status::Ok)]);
}

#[test]
fn only_memcached_is_recognised() {
    assert_eq!(probe::<Plugin>(b"set k 0 0 2\r\nhi\r\n", b""), Verdict::Likely(Client::A));
    assert_eq!(probe::<Plugin>(b"", b"VALUE k 0 2\r\nhi\r\nEND\r\n"), Verdict::Likely(Client::A));
    assert_eq!(probe::<Plugin>(b"get", b""), Verdict::More(4));
    for other in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"*1\r\n$4\r\nPING\r\n",
        b"EHLO x\r\n",
        b"\x80\0\0\x01",
        b"get\r\n",
        b"set k 0\r\n",
    ] {
        assert_eq!(probe::<Plugin>(other, b""), Verdict::No, "{other:?}");
    }
}

/// A flow of which the beginning was not captured.
fn middle(a: &str, b: &str) -> Verdict {
    probe_heads::<Plugin>(&Heads {
        a: a.as_bytes(),
        b: b.as_bytes(),
        a_port: 50_000,
        b_port: 50_001,
        transport: Transport::Tcp,
        a_opened: false,
        a_is_mid_stream: true,
        b_is_mid_stream: true,
        is_complete: true,
    })
}

#[test]
fn in_the_middle_of_a_connection_a_line_counts_if_those_behind_it_are_ours() {
    assert_eq!(middle("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n"), Verdict::Likely(Client::A));
    assert_eq!(middle("rest of a value\r\nget a\r\n", "STORED\r\n"), Verdict::Likely(Client::A));
    assert_eq!(middle("STORED\r\n7\r\nEND\r\n", "get b\r\nget c\r\n"), Verdict::Likely(Client::B));
    // Redis with inline commands, SMTP, a web page.
    assert_eq!(middle("get a\r\n", "$2\r\n10\r\n"), Verdict::No);
    assert_eq!(middle("get a\r\nnonsense\r\n", "+OK\r\n"), Verdict::No);
    assert_eq!(middle("get in touch\r\nquit\r\nyours\r\n.\r\n", ""), Verdict::No);
    assert_eq!(middle("<p>END of it\r\nEND of it\r\n", ""), Verdict::No);
}

#[test]
fn long_lines_of_other_text_are_probed_in_no_time() {
    let lines = "the quick brown fox jumps over the lazy dog ".repeat(300);
    let started = std::time::Instant::now();
    assert_eq!(middle(&lines, &lines), Verdict::No);
    assert!(started.elapsed().as_millis() < 500, "{:?}", started.elapsed());
}
