//! Flags, sections, every BSON type, and what becomes of messages that are cut, lost or wrong.

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Decimal128, JavaScriptCodeWithScope, Regex, Timestamp, doc};
use protap_plugin::testing::{Completeness, Seen};
use protap_plugin::{Direction, Kind, Status};

use crate::wire::{OP_MSG, answer, ask, body, message, msg, only, replay, reply, request, sequence, with_checksum};

fn ping(id: u32) -> Vec<u8> {
    request(id, &doc! { "ping": 1, "$db": "admin" })
}

/// What the plugin says of a message that it cannot read; the one behind it must be read.
fn faulty(bytes: &[u8]) -> Seen {
    let mut report = replay().to_server(bytes).to_server(ping(2)).run();
    assert_eq!(report.losses, [], "the stream was lost");
    assert_eq!(report.messages.len(), 2, "{report:#?}");
    assert_eq!(report.messages[1].type_name, "ping");
    report.messages.remove(0)
}

#[test]
fn a_checksum_is_verified_and_is_no_section() {
    let sections = [body(&doc! { "insert": "c", "$db": "d" }), sequence("documents", &[doc! {}, doc! {}])];
    let mut bytes = with_checksum(1, &sections);
    let seen = only(replay().to_server(&bytes).split_sweep());
    assert_eq!((seen.type_name.as_str(), seen.completeness), ("insert", Completeness::Full), "{seen:#?}");
    for at in [4, 19, 37, bytes.len() - 1] {
        bytes[at] ^= 0x80;
        let seen = ask(&bytes);
        assert_eq!(
            (seen.completeness, seen.reason.as_str()),
            (Completeness::Partial, "a checksum that does not match")
        );
        bytes[at] ^= 0x80;
    }
    // A message that does not fit into the window is passed over, not kept.
    let long = [sections[0].clone(), sequence("documents", &[doc! { "x": "y".repeat(40_000) }])];
    let mut bytes = with_checksum(1, &long);
    bytes[30_000] ^= 1;
    assert_eq!(ask(&bytes).completeness, Completeness::Full);
}

#[test]
fn a_security_token_is_passed_over_in_both_its_forms() {
    let command = body(&doc! { "ping": 1, "$db": "d" });
    let document = [vec![2], doc! { "token": "SECRET" }.to_vec().unwrap()].concat();
    for token in [document, b"\x02eyJhbGciOiJIUzI1NiJ9.e30.abc\0".to_vec()] {
        for sections in [[token.clone(), command.clone()], [command.clone(), token]] {
            let seen = ask(&msg(1, 0, 0, &sections));
            assert_eq!((seen.type_name.as_str(), seen.completeness), ("ping", Completeness::Full));
            assert!(!format!("{seen:?}").contains("SECRET"));
        }
    }
}

#[test]
fn unknown_optional_flags_are_ignored_and_required_ones_are_told() {
    let command = [body(&doc! { "ping": 1, "$db": "d" })];
    assert_eq!(faulty(&msg(1, 0, 1 << 20, &command)).completeness, Completeness::Full);
    let answered = msg(9, 1, 0, &[body(&doc! { "ok": 1.0 })]);
    for bit in 2..16 {
        let seen = faulty(&msg(1, 0, 1 << bit, &command));
        assert_eq!((seen.completeness, seen.type_name.as_str()), (Completeness::Partial, "ping"), "bit {bit}");
        let mut reply = answered.clone();
        reply[16..20].copy_from_slice(&(1_u32 << bit).to_le_bytes());
        let seen = answer(&ping(1), &reply);
        assert_eq!((seen.status, seen.answers.as_deref()), (Status::Ok, Some("ping")), "bit {bit}");
        assert_eq!((seen.completeness, seen.reason.as_str()), (Completeness::Partial, "unknown flag bits"));
    }
}

#[test]
fn every_type_of_bson_is_passed_over() {
    let values = [
        Bson::Double(1.5),
        Bson::String("text".into()),
        Bson::Document(doc! { "a": { "b": [1, { "c": 2 }] } }),
        Bson::Array(vec![Bson::Null, Bson::Int32(1)]),
        Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: vec![0; 300] }),
        Bson::Binary(Binary { subtype: BinarySubtype::BinaryOld, bytes: vec![7; 3] }),
        Bson::Undefined,
        Bson::ObjectId(bson::oid::ObjectId::new()),
        Bson::Boolean(true),
        Bson::DateTime(DateTime::from_millis(0)),
        Bson::Null,
        Bson::RegularExpression(Regex { pattern: "^a.*$".try_into().unwrap(), options: "im".try_into().unwrap() }),
        Bson::RegularExpression(Regex { pattern: "".try_into().unwrap(), options: "".try_into().unwrap() }),
        Bson::JavaScriptCode("f()".into()),
        Bson::Symbol("sym".into()),
        Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code: "f()".into(), scope: doc! { "x": 1 } }),
        Bson::Int32(-1),
        Bson::Timestamp(Timestamp { time: 1, increment: 2 }),
        Bson::Int64(-1),
        Bson::Decimal128(Decimal128::from_bytes([9; 16])),
        Bson::MinKey,
        Bson::MaxKey,
    ];
    let db_pointer = [&b"\x0cp\0\x04\0\0\0d.c\0"[..], &[1; 12]].concat();
    for value in values {
        let name = "x".repeat(300);
        let command =
            doc! { "find": "c", "a": value.clone(), name: value.clone(), "list": [value.clone()], "$db": "d" };
        let seen = only(replay().to_server(request(1, &command)).split_sweep());
        assert_eq!((seen.domain.as_str(), seen.completeness), ("d", Completeness::Full), "{value:?}");
        let batch =
            doc! { "cursor": { "nextBatch": [value.clone(), value.clone()], "x": value.clone(), "id": 0 }, "ok": 1 };
        let seen = answer(&request(1, &command), &reply(1, &batch));
        assert_eq!((seen.status, seen.completeness), (Status::Ok, Completeness::Full), "{value:?}");
    }
    let mut document = doc! { "find": "c" }.to_vec().unwrap();
    document.pop();
    document.extend(&db_pointer);
    document.extend(b"\x02$db\0\x02\0\0\0d\0\0");
    let len = u32::try_from(document.len()).unwrap();
    document[..4].copy_from_slice(&len.to_le_bytes());
    let seen = ask(&msg(1, 0, 0, &[vec![0], document]));
    assert_eq!((seen.domain.as_str(), seen.completeness), ("d", Completeness::Full));
}

#[test]
fn a_malformed_body_costs_the_body_alone() {
    let command = doc! { "find": "c", "filter": { "a": 1 }, "$db": "d" };
    let good = request(1, &command);
    let patched = |at: usize, bytes: &[u8]| {
        let mut message = good.clone();
        message[at..at + bytes.len()].copy_from_slice(bytes);
        message
    };
    let faults = [
        ("no section", msg(1, 0, 0, &[])),
        ("no flags", message(1, 0, OP_MSG, &[0; 2])),
        ("unknown section", msg(1, 0, 0, &[b"\x07abcdefgh".to_vec()])),
        ("two bodies", msg(1, 0, 0, &[body(&command), body(&command)])),
        ("document too short", patched(21, &4_u32.to_le_bytes())),
        ("document too long", patched(21, &500_u32.to_le_bytes())),
        ("negative document", patched(21, &u32::MAX.to_le_bytes())),
        ("unknown type", patched(25, &[0x14])),
        ("string too long", patched(31, &400_u32.to_le_bytes())),
        ("string of no bytes", patched(31, &0_u32.to_le_bytes())),
        ("ends early", patched(25, &[0])),
        ("empty sequence", msg(1, 0, 0, &[b"\x01\0\0\0\0abcdef\0".to_vec()])),
        ("sequence too long", msg(1, 0, 0, &[body(&command), b"\x01\xff\0\0\0documents\0".to_vec()])),
        ("empty document", msg(1, 0, 0, &[body(&doc! {})])),
    ];
    for (fault, bytes) in faults {
        let seen = faulty(&bytes);
        assert_ne!(seen.completeness, Completeness::Full, "{fault}");
        assert_ne!(seen.reason, "", "{fault}");
        assert_eq!((seen.kind, seen.id), (Kind::Request, Some(1)), "{fault}");
    }
}

#[test]
fn a_header_that_cannot_be_leads_to_a_resync() {
    let report = replay().to_server(ping(1)).to_server([0xff; 40]).to_server(ping(2)).run();
    assert_eq!(report.losses.len(), 1);
    let ids: Vec<_> = report.messages.iter().map(|seen| seen.id).collect();
    assert_eq!(ids, [Some(1), Some(2)]);
}

#[test]
fn every_cut_of_a_conversation_gives_the_same_messages() {
    let documents: Vec<_> = (0..40).map(|n| doc! { "_id": n, "text": "x".repeat(40) }).collect();
    let insert = msg(1, 0, 0, &[body(&doc! { "insert": "c", "$db": "d" }), sequence("documents", &documents)]);
    let find = request(2, &doc! { "find": "c", "filter": { "$or": [{ "a": 1 }, { "b": 2 }] }, "$db": "d" });
    let batch = doc! { "cursor": { "firstBatch": documents, "id": 0_i64, "ns": "d.c" }, "ok": 1.0 };
    let replay = replay()
        .to_server(insert)
        .to_client(reply(1, &doc! { "n": 40, "ok": 1.0 }))
        .to_server([find, ping(3)].concat())
        .to_client([reply(2, &batch), reply(3, &doc! { "ok": 1.0 })].concat());
    let report = replay.split_sweep();
    assert_eq!((report.messages.len(), report.unanswered), (6, 0));
    assert!(report.messages.iter().all(|seen| seen.completeness == Completeness::Full));
    replay.truncation_sweep();
}

#[test]
fn a_gap_inside_a_large_document_is_absorbed() {
    let insert = msg(
        1,
        0,
        0,
        &[body(&doc! { "insert": "c", "$db": "d" }), sequence("documents", &[doc! { "x": "y".repeat(100_000) }])],
    );
    let (head, tail) = (&insert[..5_000], &insert[90_000..]);
    let report = replay()
        .to_server(head)
        .gap(Direction::ToServer, 85_000)
        .to_server(tail)
        .to_client(reply(1, &doc! { "ok": 1 }))
        .run();
    assert_eq!((report.losses.as_slice(), report.messages.len()), (&[][..], 2));
    assert_eq!(report.messages[1].answers.as_deref(), Some("insert"));
}

#[test]
fn a_gap_where_it_hurts_costs_one_message() {
    let insert = msg(1, 0, 0, &[body(&doc! { "insert": "c", "$db": "d" }), sequence("documents", &vec![doc! {}; 50])]);
    let report = replay()
        .to_server(&insert[..100])
        .gap(Direction::ToServer, insert.len() as u64 - 110)
        .to_server(&insert[insert.len() - 10..])
        .to_server(ping(2))
        .to_client(reply(1, &doc! { "ok": 1 }))
        .run();
    assert_eq!(report.losses, []);
    assert_eq!(report.messages[0].completeness, Completeness::Partial);
    assert_eq!((report.messages[0].type_name.as_str(), report.messages[1].type_name.as_str()), ("insert", "ping"));
    assert_eq!(report.messages[2].answers.as_deref(), Some("insert"));
}

#[test]
fn a_large_message_is_emitted_when_its_last_byte_is_there() {
    let documents = [doc! { "x": "y".repeat(2_000_000) }];
    let insert = msg(1, 0, 0, &[body(&doc! { "insert": "c", "$db": "d" }), sequence("documents", &documents)]);
    assert_eq!(ask(&insert).end, insert.len() as u64);
    let report = replay().to_server(&insert[..insert.len() - 1]).run();
    assert_eq!(report.messages, []);
}

#[test]
fn a_name_that_runs_beyond_its_document_is_not_read_there() {
    let elements = [&doc! { "insert": "c" }.to_vec().unwrap()[4..18], b"\x55name"].concat();
    let len = u32::try_from(4 + elements.len()).unwrap();
    let document = [&[0][..], &len.to_le_bytes(), &elements].concat();
    let bytes = msg(1, 0, 0, &[document, sequence("documents", &[doc! {}])]);
    let seen = only(replay().to_server(bytes).split_sweep());
    assert_eq!((seen.type_name.as_str(), seen.completeness), ("insert", Completeness::Partial));
    assert_eq!(seen.reason, "an element beyond its document's end");
}
