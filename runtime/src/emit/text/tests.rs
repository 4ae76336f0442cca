//! The table as a person sees it, at several widths, and that no record breaks out of its line.

use proptest::prelude::{ProptestConfig, proptest};

use crate::emit::samples::{any_record, endpoint, failed_fetch, plain, produce, unanswered};
use crate::emit::terminal::text_width;
use crate::emit::{FactTable, Sink, TextSink, TextStyle};
use crate::record::{Record, RecordKind, Status};

fn table(records: &[Record], width: usize, has_colour: bool) -> String {
    let (mut out, mut facts) = (Vec::new(), FactTable::default());
    facts.learn(&produce().plugin, 0, "AAAA-1", "refunds");
    let mut sink = TextSink::new(&mut out, TextStyle { width, has_colour });
    for record in records {
        sink.record(record, &mut facts).unwrap();
    }
    sink.flush().unwrap();
    drop(sink);
    String::from_utf8(out).unwrap()
}

fn various() -> Vec<Record> {
    let mut rejected = produce();
    let content = &mut rejected.request.as_mut().unwrap().content;
    content.resource = Some(plain(content, "a-topic-with-a-rather-long-name.v1.internal"));
    let content = &mut rejected.response.as_mut().unwrap().content;
    content.status = Status::ClientError;
    content.code = Some(3);
    content.exception = Some(content.put("UNKNOWN_TOPIC_OR_PARTITION"));
    let one_way =
        Record { kind: RecordKind::OneWay, is_from_server: true, response: None, latency_ns: None, ..produce() };
    let next_day = Record { ts: produce().ts + 86_400_000_000_000, ..unanswered("closed") };
    vec![produce(), rejected, failed_fetch(), unanswered("timeout"), one_way, next_day]
}

#[test]
fn wide_table_shows_all() {
    insta::assert_snapshot!(table(&various(), 200, false), @r#"
    time (UTC)      client                server                protocol   operation            resource                         status                       latency  req B resp B notes
    -- 2026-11-22 --
    12:00:00.123456 10.0.0.1:51514        10.0.0.2:9092         kafka      Produce v9           orders                           ok                             812µs   1.2k     60
    12:00:00.123456 10.0.0.1:51514        10.0.0.2:9092         kafka      Produce v9           a-topic-with-a-rather-long-name.v1.internal client_error 3 UNKNOWN_TOPIC_OR_PARTI… 812µs 1.2k 60
    12:00:00.123456 [2001:db8:85a3::8a2e:370:7334]:51514 [::1]:9092 kafka  Fetch v9             refunds                          server_error 6 NOT_LEADER_OR_F… 500ms  1.2k   1.0M late, partial: truncate…
    12:00:00.123456 10.0.0.1:51514        10.0.0.2:9092         kafka      Produce v9           orders                           timeout                                1.2k
    12:00:00.123456 10.0.0.1:51514        10.0.0.2:9092         kafka      Produce v9           orders                           -                                      1.2k        from server
    -- 2026-11-23 --
    12:00:00.123456 10.0.0.1:51514        10.0.0.2:9092         kafka      Produce v9           orders                           unknown                                1.2k        closed
    "#);
}

#[test]
fn default_width_has_every_column() {
    insta::assert_snapshot!(table(&various(), 120, false), @r#"
    time (UTC)      client         server         protocol operation    resource status        latency req B resp B notes
    -- 2026-11-22 --
    12:00:00.123456 10.0.0.1:51514 10.0.0.2:9092  kafka    Produce v9   orders   ok              812µs  1.2k     60
    12:00:00.123456 10.0.0.1:51514 10.0.0.2:9092  kafka    Produce v9   a-topic-with-a… client_error 3 U… 812µs 1.2k 60
    12:00:00.123456 [2001:db8:85a3:…:51514 [::1]:9092 kafka Fetch v9    refunds  server_error 6… 500ms  1.2k   1.0M late, p…
    12:00:00.123456 10.0.0.1:51514 10.0.0.2:9092  kafka    Produce v9   orders   timeout                1.2k
    12:00:00.123456 10.0.0.1:51514 10.0.0.2:9092  kafka    Produce v9   orders   -                      1.2k        from se…
    -- 2026-11-23 --
    12:00:00.123456 10.0.0.1:51514 10.0.0.2:9092  kafka    Produce v9   orders   unknown                1.2k        closed
    "#);
}

#[test]
fn narrow_table_leaves_columns_out() {
    insta::assert_snapshot!(table(&various(), 80, false), @r#"
    time (UTC)      server         operation    resource       status        latency
    -- 2026-11-22 --
    12:00:00.123456 10.0.0.2:9092  Produce v9   orders         ok              812µs
    12:00:00.123456 10.0.0.2:9092  Produce v9   a-topic-with-a… client_error…  812µs
    12:00:00.123456 [::1]:9092     Fetch v9     refunds        server_error …  500ms
    12:00:00.123456 10.0.0.2:9092  Produce v9   orders         timeout
    12:00:00.123456 10.0.0.2:9092  Produce v9   orders         -
    -- 2026-11-23 --
    12:00:00.123456 10.0.0.2:9092  Produce v9   orders         unknown
    "#);
    insta::assert_snapshot!(table(&various(), 30, false), @r#"
    operation    status
    -- 2026-11-22 --
    Produce v9   ok
    Produce v9   client_error 3 U…
    Fetch v9     server_error 6 N…
    Produce v9   timeout
    Produce v9   -
    -- 2026-11-23 --
    Produce v9   unknown
    "#);
}

#[test]
fn status_is_coloured() {
    let coloured = table(&[produce(), unanswered("timeout")], 120, true);
    assert!(coloured.contains("\x1b[32mok\x1b[0m"));
    assert!(coloured.contains("\x1b[35mtimeout\x1b[0m"));
    assert!(!table(&various(), 120, false).contains('\x1b'));
}

#[test]
fn escape_sequences_in_data_are_shown_not_obeyed() {
    let mut record = produce();
    let content = &mut record.request.as_mut().unwrap().content;
    content.resource = Some(plain(content, "\x1b]0;pwned\x07\r\nfake line"));
    let text = table(&[record], 200, false);
    assert!(text.contains("\\u{1b}]0;pwned\\u{7}\\r\\nfake line"), "{text}");
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn long_address_is_cut_before_its_port() {
    let mut record = various().swap_remove(1);
    record.flow.client = endpoint("2001:db8:85a3:8d3:1319:8a2e:370:7348", 51514);
    record.flow.server = endpoint("2001:db8:85a3:8d3:1319:8a2e:370:7349", 27017);
    let text = table(&[record], 100, false);
    insta::assert_snapshot!(text.lines().last().unwrap(), @r#"12:00:00.123456 [2001:db8:85a…:51514 [2001:db8:…:27017 Produce v9 a-topic-wi… client_error … 812µs"#);
}

#[test]
fn nothing_found_writes_nothing() {
    assert_eq!(table(&[], 120, false), "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_record_exceeds_its_line(record in any_record(), width in 16_usize..260) {
        let text = table(&[record], width, false);
        assert_eq!(text.lines().count(), 3);
        for line in text.split_terminator('\n') {
            assert!(!line.contains(|c: char| c.is_control()));
            assert!(text_width(line) <= width, "{width}: {line}");
        }
    }
}
