//! Conversations, cut and truncated in every way. The bytes are built from the protocol's description.

#![expect(clippy::unwrap_used, reason = "tests")]

use mysql::Plugin;
use protap_plugin::testing::{Ending, Replay, Value, probe, probe_heads};
use protap_plugin::{Client, Direction, Heads, Kind, Status, Transport, Verdict};

const PROTOCOL_41: u32 = 1 << 9;
const SSL: u32 = 1 << 11;
const SECURE_CONNECTION: u32 = 1 << 15;
const DEPRECATE_EOF: u32 = 1 << 24;

fn packet(number: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let [a, b, c, _] = u32::try_from(payload.len()).unwrap().to_le_bytes();
    [&[a, b, c, number], payload].concat()
}

fn greeting(capabilities: u32) -> Vec<u8> {
    let [a, b, c, d] = capabilities.to_le_bytes();
    let mut payload = b"\x0a8.4.1\0\x01\0\0\0nonce678\0".to_vec();
    payload.extend([a, b, 0xff, 2, 0, c, d, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    payload.extend(b"rest of nonce\0caching_sha2_password\0");
    packet(0, payload)
}

fn login(capabilities: u32) -> Vec<u8> {
    let mut payload = capabilities.to_le_bytes().to_vec();
    payload.extend([0, 0, 0, 1, 45]);
    payload.extend([0; 23]);
    payload.extend(b"alice\0\x08password");
    packet(1, payload)
}

fn command(code: u8, arguments: &[u8]) -> Vec<u8> {
    packet(0, [&[code], arguments].concat())
}

fn query(sql: &str) -> Vec<u8> {
    command(3, sql.as_bytes())
}

fn ok(number: u8, status: u8) -> Vec<u8> {
    packet(number, [0, 1, 0, status, 0, 0, 0])
}

fn eof(number: u8, status: u8) -> Vec<u8> {
    packet(number, [0xfe, 0, 0, status, 0])
}

fn end_of_rows(number: u8, status: u8) -> Vec<u8> {
    packet(number, [0xfe, 0, 0, status, 0, 0, 0])
}

fn error(number: u8, code: u16, state: &str) -> Vec<u8> {
    packet(number, [&[0xff], &code.to_le_bytes()[..], b"#", state.as_bytes(), b"secret text"].concat())
}

fn column(number: u8) -> Vec<u8> {
    packet(number, b"\x03def\x01s\x01t\x01t\x01c\x01c\x0c\x3f\0\x0b\0\0\0\x03\0\0\0\0\0")
}

fn logged_in(capabilities: u32) -> Replay {
    Replay::new::<Plugin>().to_client(greeting(u32::MAX)).to_server(login(capabilities)).to_client(ok(2, 2))
}

fn plain() -> Replay {
    logged_in(PROTOCOL_41 | SECURE_CONNECTION)
}

fn statuses(replay: &Replay) -> Vec<(String, Status)> {
    let report = replay.split_sweep();
    let responses = report.messages.iter().filter(|message| message.kind == Kind::Response);
    responses.map(|message| (message.answers.clone().unwrap_or_default(), message.status)).collect()
}

#[test]
fn a_session_survives_every_cut() {
    let rows = [packet(1, [2]), column(2), column(3), eof(4, 2), packet(5, b"\x011\x011"), eof(6, 2)].concat();
    let replay = plain()
        .to_server(query("select secret from t"))
        .to_client(rows)
        .to_server(query("INSERT INTO t VALUES ('secret')"))
        .to_client(error(1, 1062, "23000"))
        .to_server([command(0x19, &[1, 0, 0, 0]), command(0x0e, &[])].concat())
        .to_client(ok(1, 2))
        .to_server(command(1, &[]));
    replay.truncation_sweep();
    let report = replay.split_sweep();
    let types: Vec<&str> = report.messages.iter().map(|message| message.type_name.as_str()).collect();
    let answered = ["LOGIN", "", "COM_QUERY SELECT", "", "COM_QUERY INSERT", "", "COM_STMT_CLOSE", "COM_PING", ""];
    assert_eq!(types, [&["GREETING"][..], &answered, &["COM_QUIT"]].concat());
    assert_eq!(report.messages[4].attribute("db.response.returned_rows"), Some(&1.into()));
    assert_eq!((report.messages[6].code, report.messages[6].exception.as_str()), (Some(1062), "23000"));
    assert_eq!((report.unread, report.unanswered), ([0, 0], 0));
    assert!(!format!("{:?}", report.messages).contains("secret"));
}

#[test]
fn result_sets_end_with_ok_where_eof_is_deprecated() {
    let first = [packet(1, [1]), column(2), packet(3, b"\x011"), packet(4, b"\x012"), end_of_rows(5, 8)].concat();
    let second = [packet(6, [1]), column(7), end_of_rows(8, 2)].concat();
    let replay = logged_in(PROTOCOL_41 | SECURE_CONNECTION | DEPRECATE_EOF)
        .to_server(query("SELECT 1; SELECT 2"))
        .to_client([first, second].concat())
        .to_server(command(0x0e, &[]))
        .to_client(ok(1, 2));
    replay.truncation_sweep();
    assert_eq!(
        statuses(&replay).split_off(1),
        [("COM_QUERY SELECT".to_owned(), Status::Ok), ("COM_PING".to_owned(), Status::Ok)]
    );
}

#[test]
fn statements_end_as_was_agreed_or_as_the_next_reply_shows() {
    let front = packet(1, [0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
    let with_eof = [front.clone(), column(2), eof(3, 2), column(4), eof(5, 2)].concat();
    let without = [front, column(2), column(3)].concat();
    let tail = |replay: Replay, reply: Vec<u8>| {
        let prepare = command(0x16, b"SELECT ?");
        replay.to_server(prepare).to_client(reply).to_server(command(0x0e, &[])).to_client(ok(1, 2))
    };
    let expected = [("COM_STMT_PREPARE SELECT".to_owned(), Status::Ok), ("COM_PING".to_owned(), Status::Ok)];
    assert_eq!(statuses(&tail(plain(), with_eof)).split_off(1), expected);
    let deprecated = logged_in(PROTOCOL_41 | SECURE_CONNECTION | DEPRECATE_EOF);
    assert_eq!(statuses(&tail(deprecated, without.clone())).split_off(1), expected);
    // Where the login was not seen.
    assert_eq!(statuses(&tail(Replay::new::<Plugin>(), without)), expected);
    let late_eof = [packet(1, [0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]), column(2), eof(3, 2)].concat();
    assert_eq!(statuses(&tail(Replay::new::<Plugin>(), late_eof)), expected);
}

#[test]
fn a_login_may_take_several_turns_and_tells_no_password() {
    let replay = Replay::new::<Plugin>()
        .to_client(greeting(u32::MAX))
        .to_server(login(PROTOCOL_41 | SECURE_CONNECTION))
        .to_client(packet(2, b"\xfecaching_sha2_password\0nonce\0"))
        .to_server(packet(3, b"scrambled password"))
        .to_client(packet(4, b"\x01\x04"))
        .to_server(packet(5, b"\x02"))
        .to_client(packet(6, b"\x01-----BEGIN PUBLIC KEY-----"))
        .to_server(packet(7, b"encrypted password"))
        .to_client(ok(8, 2));
    replay.truncation_sweep();
    let report = replay.split_sweep();
    assert_eq!(report.messages.len(), 3);
    let login = &report.messages[2];
    assert_eq!((login.status, login.answers.as_deref()), (Status::Ok, Some("LOGIN")));
    assert_eq!(login.attribute("mysql.auth_method"), Some(&"caching_sha2_password".into()));
    let text = format!("{:?}", report.messages);
    assert!(!text.contains("password\"") || !text.contains("alice"), "{text}");
    assert!(!text.contains("alice") && !text.contains("scrambled") && !text.contains("encrypted"));
}

#[test]
fn a_flow_that_turns_to_tls_is_handed_over_where_tls_begins() {
    let mut request = (PROTOCOL_41 | SSL).to_le_bytes().to_vec();
    request.extend([0, 0, 0, 1, 45]);
    request.extend([0; 23]);
    let request = packet(1, request);
    let replay = Replay::new::<Plugin>()
        .to_client(greeting(u32::MAX))
        .to_server([&request[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"].concat());
    let report = replay.split_sweep();
    assert_eq!(report.ending, Ending::Handover(request.len() as u64, "TLS".to_owned()));
    assert_eq!(report.messages.len(), 2);
    replay.truncation_sweep();
}

#[test]
fn a_file_that_the_client_sends_is_no_command() {
    let replay = plain()
        .to_server(query("LOAD DATA LOCAL INFILE 'x' INTO TABLE t"))
        .to_client(packet(1, b"\xfbx"))
        .to_server([packet(2, b"1\n2\n"), packet(3, b"\x03SELECT 3\n"), packet(4, b"")].concat())
        .to_client(ok(5, 2))
        .to_server(command(0x0e, &[]))
        .to_client(ok(1, 2));
    let expected = [("COM_QUERY LOAD".to_owned(), Status::Ok), ("COM_PING".to_owned(), Status::Ok)];
    assert_eq!(statuses(&replay).split_off(1), expected);
    // Numbers start again; where the end of the file is lost, the next command is none of it.
    let file: Vec<u8> = (2..=258_u16).flat_map(|number| packet(number as u8, b"\x03SELECT 1\n")).collect();
    let replay = plain()
        .to_server(query("LOAD DATA LOCAL INFILE 'x' INTO TABLE t"))
        .to_client(packet(1, b"\xfbx"))
        .to_server(file)
        .gap(Direction::ToServer, 4)
        .to_client(ok(4, 2))
        .to_server(command(0x0e, &[]))
        .to_client(ok(1, 2));
    let types = replay.run().messages.into_iter().map(|message| message.type_name).collect::<Vec<_>>();
    assert_eq!(types, ["GREETING", "LOGIN", "", "COM_QUERY LOAD", "", "COM_PING", ""]);
}

#[test]
fn a_payload_of_16_mb_is_one_command() {
    const FULL: usize = 0xff_ffff;
    let text = [b"\x03INSERT INTO t VALUES ('".to_vec(), vec![b'x'; FULL]].concat();
    let (first, rest) = text.split_at(FULL);
    let row = [&[0xfd, 0xff, 0xff, 0xff][..], &vec![b'y'; FULL][..]].concat();
    let (row, end_of_row) = row.split_at(FULL);
    let rows = [packet(1, [1]), column(2), eof(3, 2), packet(4, row), packet(5, end_of_row), eof(6, 2)].concat();
    let report = plain()
        .to_server([packet(0, first), packet(1, rest)].concat())
        .to_client(ok(2, 2))
        .to_server(query("SELECT x FROM t"))
        .to_client(rows)
        .run();
    let messages = report.messages.iter().skip(3);
    let seen: Vec<_> = messages.map(|message| (message.type_name.as_str(), message.end - message.start)).collect();
    let [insert, inserted, select, selected] = seen[..] else { panic!("{seen:?}") };
    assert_eq!(insert, ("COM_QUERY INSERT", text.len() as u64 + 8));
    assert_eq!((inserted.1, select.0), (11, "COM_QUERY SELECT"));
    assert!(selected.1 > FULL as u64);
    assert_eq!(report.messages[6].attribute("db.response.returned_rows"), Some(&Value::I64(1)));
    assert_eq!((report.unread, report.losses.len()), ([0, 0], 0));
}

#[test]
fn a_refusal_instead_of_a_greeting_is_told() {
    let refusal = packet(0, b"\xff\x10\x04Too many connections");
    let report = Replay::new::<Plugin>().to_client(&refusal).split_sweep();
    assert_eq!((report.messages[0].type_name.as_str(), report.messages[0].code), ("REFUSAL", Some(1040)));
    assert_eq!(probe::<Plugin>(b"", &refusal), Verdict::Certain(Client::A));
}

#[test]
fn lost_bytes_cost_the_reply_that_they_were_in() {
    let rows = [packet(1, [1]), column(2), eof(3, 2), packet(4, b"\x011")].concat();
    let replay = plain()
        .to_server(query("SELECT 1"))
        .to_client(rows)
        .gap(Direction::ToClient, 40)
        .to_client(b"rest of a row")
        .to_server(query("SELECT 2"))
        .to_client([packet(1, [1]), column(2), eof(3, 2), packet(4, b"\x011"), eof(5, 2)].concat());
    let report = replay.run();
    let last = report.messages.last().unwrap();
    assert_eq!((last.answers.as_deref(), last.status), (Some("COM_QUERY SELECT"), Status::Ok));
    assert_eq!(report.unanswered, 0);
}

#[test]
fn the_server_is_who_greets() {
    let greeting = greeting(u32::MAX);
    assert_eq!(probe::<Plugin>(b"", &greeting), Verdict::Certain(Client::A));
    let mut heads = Heads {
        a: &greeting,
        b: b"",
        a_port: 3306,
        b_port: 50_000,
        transport: Transport::Tcp,
        a_opened: false,
        a_is_mid_stream: true,
        b_is_mid_stream: true,
        is_complete: false,
    };
    assert_eq!(probe_heads::<Plugin>(&heads), Verdict::Certain(Client::B));
    heads.a = &greeting[..20];
    assert!(matches!(probe_heads::<Plugin>(&heads), Verdict::More(_)));
    // Who opened the connection does not greet.
    heads = Heads { a: &greeting, a_opened: true, a_is_mid_stream: false, b_is_mid_stream: false, ..heads };
    assert_eq!(probe_heads::<Plugin>(&heads), Verdict::No);
}

#[test]
fn what_others_say_is_not_claimed() {
    let others: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail ESMTP\r\n",
        b"\x00\x00\x00\x14\x00\x12\x00\x03\x00\x00\x00\x01\x00\x04test",
        b"\x3a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00",
    ];
    for a in others {
        for b in others {
            assert_eq!(probe::<Plugin>(a, b), Verdict::No, "{a:?} {b:?}");
        }
        assert_eq!(probe::<Plugin>(b"", a), Verdict::No, "{a:?}");
    }
}

#[test]
fn random_bytes_are_not_claimed() {
    let mut state = 7_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    for round in 0..20_000_usize {
        let mut bytes = || -> Vec<u8> { (0..round % 90).map(|_| random()).collect() };
        let (a, b) = (bytes(), bytes());
        let heads = Heads {
            a: &a,
            b: &b,
            a_port: 50_000,
            b_port: 3306,
            transport: Transport::Tcp,
            a_opened: false,
            a_is_mid_stream: true,
            b_is_mid_stream: true,
            is_complete: true,
        };
        assert_eq!(probe_heads::<Plugin>(&heads), Verdict::No, "{a:?} {b:?}");
    }
}
