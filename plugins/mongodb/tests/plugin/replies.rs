//! What is read of replies.

use bson::{Bson, Document, doc};
use protap_plugin::testing::Completeness;
use protap_plugin::{Direction, Status};

use crate::wire::{MORE_TO_COME, answer, body, msg, number, only, replay, reply, request, text};

fn to(command: &str, document: &Document) -> protap_plugin::testing::Seen {
    answer(&request(5, &doc! { command: "c", "$db": "d" }), &reply(5, document))
}

#[test]
fn ok_comes_in_many_types() {
    let yes = [Bson::Double(1.0), Bson::Int32(1), Bson::Int64(1), Bson::Boolean(true), Bson::Double(0.5)];
    for ok in yes {
        let seen = to("ping", &doc! { "ok": ok.clone() });
        assert_eq!((seen.status, seen.code, seen.id), (Status::Ok, Some(0), Some(5)), "{ok}");
        assert_eq!(seen.answers.as_deref(), Some("ping"));
        assert_eq!(seen.completeness, Completeness::Full);
    }
    for ok in [Bson::Double(0.0), Bson::Int32(0), Bson::Int64(0), Bson::Boolean(false)] {
        assert_eq!(to("ping", &doc! { "ok": ok.clone(), "code": 1 }).status, Status::ServerError, "{ok}");
    }
    let seen = to("ping", &doc! { "n": 1 });
    assert_eq!((seen.status, seen.completeness), (Status::Unknown, Completeness::Header));
}

#[test]
fn an_error_is_named_and_blamed() {
    let cases = [
        (59, "CommandNotFound", Status::ClientError),
        (13, "Unauthorized", Status::ClientError),
        (50, "MaxTimeMSExpired", Status::Timeout),
        (91, "ShutdownInProgress", Status::ServerError),
        (10107, "NotWritablePrimary", Status::ServerError),
        (112, "WriteConflict", Status::ServerError),
        (51024, "Location51024", Status::ClientError),
    ];
    for (code, name, status) in cases {
        let seen = to("find", &doc! { "ok": 0.0, "errmsg": "SECRET", "code": code });
        assert_eq!((seen.status, seen.code, seen.exception.as_str()), (status, Some(i64::from(code)), name));
        assert_eq!(text(&seen, "error.type"), Some(name));
        assert_eq!(text(&seen, "db.response.status_code"), Some(code.to_string().as_str()));
        assert!(!format!("{seen:?}").contains("SECRET"));
    }
    let seen = to("find", &doc! { "ok": 0, "code": 999, "codeName": "BrandNew" });
    assert_eq!((seen.exception.as_str(), seen.status), ("BrandNew", Status::ServerError));
    let seen = to("find", &doc! { "ok": 0, "code": 2, "codeName": "not a name: SECRET" });
    assert_eq!(seen.exception, "BadValue");
}

#[test]
fn a_write_that_failed_in_part_is_an_error() {
    let duplicate = doc! { "index": 0, "code": 11000, "errmsg": "E11000 dup key: { a: SECRET }" };
    let errors = vec![duplicate, doc! { "index": 1, "code": 121, "errmsg": "SECRET" }];
    let seen = to("insert", &doc! { "n": 3, "writeErrors": errors, "ok": 1.0 });
    assert_eq!((seen.status, seen.code), (Status::ClientError, Some(11000)));
    assert_eq!(seen.exception, "DuplicateKey");
    assert_eq!((number(&seen, "mongodb.write_errors"), number(&seen, "mongodb.n")), (Some(2), Some(3)));
    assert!(!format!("{seen:?}").contains("SECRET"));
}

#[test]
fn a_success_counts_only_if_no_error_can_stand_behind_it() {
    let errors = vec![doc! { "index": 0, "code": 11000, "errmsg": "SECRET".repeat(100) }];
    let whole = reply(5, &doc! { "ok": 1.0, "n": 0, "writeErrors": errors });
    let asked = replay().to_server(request(5, &doc! { "insert": "c", "$db": "d" }));
    assert_eq!(asked.clone().to_client(&whole).run().messages[1].code, Some(11000));
    for seen in 60..whole.len() {
        let cut = asked.clone().to_client(&whole[..seen]);
        let lost = cut.clone().gap(Direction::ToClient, (whole.len() - seen) as u64).run();
        for report in [lost, cut.end(Direction::ToClient).run()] {
            let status = report.messages.get(1).map(|seen| seen.status);
            assert_ne!(status, Some(Status::Ok), "{seen} bytes of {}", whole.len());
            assert!(status.is_some(), "{seen} bytes of {}", whole.len());
        }
    }
}

#[test]
fn a_write_concern_that_was_not_met_is_an_error() {
    let error = doc! { "code": 64, "codeName": "WriteConcernFailed", "errmsg": "x", "errInfo": { "wtimeout": true } };
    let seen = to("update", &doc! { "n": 1, "nModified": 1, "writeConcernError": error, "ok": 1 });
    assert_eq!((seen.status, seen.exception.as_str()), (Status::Timeout, "WriteConcernFailed"));
    assert_eq!(text(&seen, "mongodb.write_concern_error"), Some("WriteConcernFailed"));
    assert_eq!(number(&seen, "mongodb.n_modified"), Some(1));
    let error = doc! { "code": 100, "errmsg": "x" };
    let seen = to("update", &doc! { "n": 1, "writeConcernError": error, "ok": 1 });
    assert_eq!((seen.status, seen.exception.as_str()), (Status::ServerError, "UnsatisfiableWriteConcern"));
}

#[test]
fn documents_of_a_batch_are_counted_and_not_looked_into() {
    let batch: Vec<_> =
        (0..300).map(|n| doc! { "_id": n, "ok": 0, "code": 1, "secret": "SECRET".repeat(20) }).collect();
    let cursor = doc! { "firstBatch": batch.clone(), "id": 77_i64, "ns": "d.c" };
    let seen = to("find", &doc! { "cursor": cursor, "ok": 1.0 });
    assert_eq!((seen.status, number(&seen, "db.response.returned_rows")), (Status::Ok, Some(300)));
    assert_eq!(number(&seen, "mongodb.cursor_id"), Some(77));
    let cursor = doc! { "id": 0_i64, "ns": "d.c", "nextBatch": [] };
    let seen = to("getMore", &doc! { "cursor": cursor, "ok": 1.0 });
    assert_eq!((number(&seen, "db.response.returned_rows"), number(&seen, "mongodb.cursor_id")), (Some(0), None));
    let seen = to("distinct", &doc! { "values": [1, "a", null], "ok": 1.0 });
    assert_eq!(number(&seen, "db.response.returned_rows"), Some(3));
}

#[test]
fn a_bulk_write_fails_with_its_first_failed_operation() {
    let results = vec![doc! { "ok": 1.0, "idx": 0, "n": 1 }, doc! { "ok": 0.0, "idx": 1, "code": 11000 }];
    let document = doc! { "cursor": { "id": 0_i64, "firstBatch": results, "ns": "admin.$cmd.bulkWrite" }, "nErrors": 1, "ok": 1.0 };
    let bulk = request(5, &doc! { "bulkWrite": 1, "ops": [{ "insert": 0 }, { "insert": 0 }], "$db": "admin" });
    let seen = answer(&bulk, &reply(5, &document));
    assert_eq!((seen.status, seen.code), (Status::ClientError, Some(11000)));
    assert_eq!((number(&seen, "mongodb.write_errors"), number(&seen, "db.response.returned_rows")), (Some(1), None));
}

#[test]
fn get_last_error_fails_without_failing() {
    let seen = to("getLastError", &doc! { "n": 0, "err": "E11000 SECRET", "code": 11000, "ok": 1.0 });
    assert_eq!((seen.status, seen.exception.as_str()), (Status::ClientError, "DuplicateKey"));
    assert_eq!(to("getLastError", &doc! { "n": 0, "err": null, "ok": 1.0 }).status, Status::Ok);
}

#[test]
fn exhaust_replies_are_paired_with_their_request_both_ways() {
    let ask = request(5, &doc! { "getMore": 1_i64, "collection": "c", "$db": "d" });
    let batch = body(&doc! { "cursor": { "id": 1_i64, "ns": "d.c", "nextBatch": [{}] }, "ok": 1.0 });
    // A mongod answers its own last reply, other servers the request.
    for chain in [[5, 11, 12], [5, 5, 5]] {
        let mut replay = replay().to_server(&ask);
        for (n, to) in chain.into_iter().enumerate() {
            let flags = if n < 2 { MORE_TO_COME } else { 0 };
            replay = replay.to_client(msg(11 + n as u32, to, flags, std::slice::from_ref(&batch)));
        }
        let report = replay.split_sweep();
        let answers: Vec<_> = report.messages[1..].iter().map(|seen| seen.answers.as_deref()).collect();
        assert_eq!(answers, [Some("getMore"); 3], "{chain:?}");
        assert_eq!(report.messages[1].next_id, Some(11));
        assert_eq!((report.messages[3].has_more_replies, report.unanswered), (false, 0));
    }
}

#[test]
fn replies_that_come_at_once_are_those_that_come_one_by_one() {
    let ask = request(5, &doc! { "getMore": 1_i64, "collection": "c", "$db": "d" });
    let batch = body(&doc! { "cursor": { "id": 1_i64, "ns": "d.c", "nextBatch": [{}] }, "ok": 1.0 });
    let to = |n, to, flags| msg(n, to, flags, std::slice::from_ref(&batch));
    let extents = |replies: [Vec<u8>; 3]| {
        let report = replay().to_server(&ask).to_client(replies.concat()).split_sweep();
        report.messages[1..].iter().map(|seen| seen.completeness).collect::<Vec<_>>()
    };
    let chained = [to(11, 5, MORE_TO_COME), to(12, 11, MORE_TO_COME), to(13, 12, 0)];
    assert_eq!(extents(chained), [Completeness::Full; 3]);
    // The request is answered by the first one.
    let repeated = [to(11, 5, 0), to(12, 5, 0), to(13, 5, 0)];
    assert_eq!(extents(repeated), [Completeness::Full, Completeness::Partial, Completeness::Partial]);
}

#[test]
fn a_reply_without_its_request_says_where_it_belongs() {
    let cursor = doc! { "firstBatch": [{}], "id": 0_i64, "ns": "d.c.e" };
    let seen = only(replay().to_client(reply(5, &doc! { "cursor": cursor, "ok": 1.0 })).run());
    assert_eq!((seen.answers, seen.status, seen.completeness), (None, Status::Ok, Completeness::Partial));
    assert_eq!((seen.domain.as_str(), seen.endpoint.as_str()), ("d", "d.c.e"));
}

#[test]
fn the_first_request_of_a_driver_that_counts_from_0_is_answered() {
    let seen = answer(&request(0, &doc! { "hello": 1, "$db": "admin" }), &reply(0, &doc! { "ok": 1 }));
    assert_eq!((seen.answers.as_deref(), seen.id), (Some("hello"), Some(0)));
}
