//! Servers that lie about lengths, and documents of absurd depth, length and count.

use bson::{Bson, Document, doc};
use protap_plugin::testing::{Completeness, Report};
use protap_plugin::{Direction, Status};

use crate::wire::{OP_REPLY, ask, body, message, msg, number, replay, reply, request};

fn ping(id: u32) -> Vec<u8> {
    request(id, &doc! { "ping": 1, "$db": "admin" })
}

/// A conversation of three requests, of which the second one's reply says that it has `len` bytes.
fn lie(second: &[u8], len: u32) -> Report {
    let mut second = second.to_vec();
    second[..4].copy_from_slice(&len.to_le_bytes());
    let ok = doc! { "ok": 1.0 };
    replay()
        .to_server(ping(1))
        .to_client(reply(1, &ok))
        .to_server(ping(2))
        .to_client(second)
        .to_server(ping(3))
        .to_client(reply(3, &ok))
        .to_server(ping(4))
        .to_client(reply(4, &ok))
        .run()
}

#[test]
fn a_server_that_lies_about_a_length_costs_that_length() {
    let truth = reply(2, &doc! { "n": 7, "ok": 1.0 });
    let len = u32::try_from(truth.len()).unwrap();
    for said in [0, 15, 16, 20, 25, len - 20, len - 4, len + 1, len + 4, len + 30, len + 200, 50_000_000, u32::MAX] {
        let report = lie(&truth, said);
        let replies: Vec<_> = report.messages.iter().filter(|seen| seen.answers.is_some()).collect();
        let ids: Vec<_> = replies.iter().map(|seen| seen.id.unwrap()).collect();
        assert_eq!(ids, [1, 2, 3, 4], "said {said}, is {len}: {report:#?}");
        assert_eq!(replies[1].completeness, Completeness::Partial, "said {said}, is {len}");
        let others = [replies[0], replies[2], replies[3]];
        assert!(others.iter().all(|seen| seen.completeness == Completeness::Full), "said {said}, is {len}");
        assert_eq!((replies[1].status, number(replies[1], "mongodb.n")), (Status::Ok, Some(7)));
        assert_eq!((replies[1].reason.as_str(), &*report.losses), ("a message length that lies", &[][..]));
        assert_eq!(report.unanswered, 0);
    }
}

#[test]
fn an_op_reply_that_lies_is_paired_too() {
    let documents = doc! { "n": 7, "ok": 1.0 }.to_vec().unwrap();
    let content = [&[0; 16][..], &1_u32.to_le_bytes(), &documents].concat();
    let report = lie(&message(70, 2, OP_REPLY, &content), u32::MAX);
    let replies: Vec<_> = report.messages.iter().filter_map(|seen| seen.answers.as_ref()).collect();
    assert_eq!((replies.len(), report.losses.len(), report.unanswered), (4, 0, 0), "{report:#?}");
}

#[test]
fn a_lie_that_is_the_last_word_is_told_at_the_end() {
    let mut truth = reply(1, &doc! { "ok": 1.0 });
    let len = u32::try_from(truth.len() + 100).unwrap();
    truth[..4].copy_from_slice(&len.to_le_bytes());
    let report = replay().to_server(ping(1)).to_client(truth).end(Direction::ToClient).run();
    let seen = report.messages.last().unwrap();
    assert_eq!((seen.answers.as_deref(), seen.status), (Some("ping"), Status::Ok));
    assert_eq!(seen.completeness, Completeness::Partial);
}

#[test]
fn nobodys_reply_of_an_absurd_length_is_not_believed() {
    let mut lies = reply(77, &doc! { "ok": 1.0 });
    lies[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let report = replay().to_server(ping(1)).to_client(lies).to_client(reply(1, &doc! { "ok": 1.0 })).run();
    assert_eq!((report.messages.len(), report.losses.len(), report.unanswered), (2, 1, 0), "{report:#?}");
}

#[test]
fn a_document_of_any_depth_is_passed_over() {
    let mut deep = vec![5, 0, 0, 0, 0];
    for _ in 0..100_000 {
        let len = u32::try_from(deep.len() + 8).unwrap();
        deep = [&len.to_le_bytes()[..], b"\x03d\0", &deep, &[0]].concat();
        if deep.len() > 300_000 {
            break;
        }
    }
    let elements = [&b"\x02find\0\x02\0\0\0c\0\x03filter\0"[..], &deep, b"\x02$db\0\x02\0\0\0d\0\0"].concat();
    let len = u32::try_from(4 + elements.len()).unwrap();
    let seen = ask(&msg(1, 0, 0, &[vec![0], len.to_le_bytes().to_vec(), elements]));
    assert_eq!((seen.endpoint.as_str(), seen.completeness), ("d.c", Completeness::Full));
}

#[test]
fn any_number_of_elements_is_counted_or_passed_over() {
    let many: Document = (0..200_000).map(|n| (format!("{n}"), Bson::Null)).collect();
    let command = doc! { "insert": "c", "documents": vec![doc! {}; 200_000], "x": many, "$db": "d" };
    let seen = ask(&request(1, &command));
    assert_eq!((seen.endpoint.as_str(), number(&seen, "db.operation.batch.size")), ("d.c", Some(200_000)));
    let cursors: Vec<i64> = (1..=100_000).collect();
    let seen = ask(&request(1, &doc! { "killCursors": "c", "cursors": cursors, "$db": "d" }));
    assert_eq!(number(&seen, "mongodb.cursor_id"), Some(1));
    assert_eq!(number(&seen, "db.operation.batch.size"), Some(100_000));
}

#[test]
fn a_length_inside_that_lies_costs_its_message() {
    let good = request(1, &doc! { "find": "c", "filter": { "a": { "b": [1, 2] } }, "$db": "d" });
    for at in 16..good.len() - 4 {
        for len in [0, 3, 4, 1000, i32::MAX, -1] {
            let mut bad = good.clone();
            bad[at..at + 4].copy_from_slice(&len.to_le_bytes());
            let report = replay().to_server(bad).to_server(ping(2)).run();
            assert_eq!(report.messages.len(), 2, "{len} at {at}: {report:#?}");
            assert_eq!(report.losses, []);
        }
    }
}

#[test]
fn a_body_that_is_no_document_is_flagged() {
    let bytes = msg(1, 0, 0, &[body(&doc! {})]);
    assert_eq!(ask(&bytes).completeness, Completeness::Header);
}
