//! What is read of commands.

use bson::{Document, doc};
use protap_plugin::Kind;
use protap_plugin::testing::{Completeness, Value};

use crate::wire::{EXHAUST_ALLOWED, MORE_TO_COME, ask, body, msg, number, request, sequence, text};

#[test]
fn a_command_is_named_with_its_collection_and_database() {
    let seen = ask(&request(7, &doc! { "find": "users", "filter": { "ssn": "SECRET" }, "$db": "shop" }));
    assert_eq!((seen.kind, seen.id, seen.type_name.as_str()), (Kind::Request, Some(7), "find"));
    assert_eq!((seen.domain.as_str(), seen.resource.as_str(), seen.endpoint.as_str()), ("shop", "users", "shop.users"));
    assert_eq!(text(&seen, "db.system.name"), Some("mongodb"));
    assert_eq!(text(&seen, "db.namespace"), Some("shop"));
    assert_eq!(text(&seen, "db.collection.name"), Some("users"));
    assert_eq!(text(&seen, "db.operation.name"), Some("find"));
    assert_eq!((seen.completeness, seen.version.as_str()), (Completeness::Full, ""));
}

#[test]
fn ids_are_unsigned() {
    let seen = ask(&request(u32::MAX, &doc! { "ping": 1, "$db": "admin" }));
    assert_eq!(seen.id, Some(u64::from(u32::MAX)));
}

#[test]
fn the_collection_is_where_the_command_has_it() {
    let cases = [
        (doc! { "getMore": 99_i64, "collection": "c", "$db": "d" }, "d", "c"),
        (doc! { "aggregate": "c", "pipeline": [], "$db": "d" }, "d", "c"),
        (doc! { "aggregate": 1, "pipeline": [], "$db": "d" }, "d", ""),
        (doc! { "explain": { "find": "c", "filter": { "a": 1 } }, "verbosity": "x", "$db": "d" }, "d", "c"),
        (doc! { "renameCollection": "d.c.e", "to": "d.f", "$db": "admin" }, "d", "c.e"),
        (doc! { "killCursors": "c", "cursors": [1_i64], "$db": "d" }, "d", "c"),
        (doc! { "dropDatabase": 1, "$db": "d" }, "d", ""),
    ];
    for (command, database, collection) in cases {
        let seen = ask(&request(1, &command));
        assert_eq!((seen.domain.as_str(), seen.resource.as_str()), (database, collection), "{command}");
        assert_eq!(seen.completeness, Completeness::Full, "{command}");
    }
}

#[test]
fn a_get_more_names_its_cursor() {
    let seen = ask(&request(1, &doc! { "getMore": 99_i64, "collection": "c", "$db": "d" }));
    assert_eq!(number(&seen, "mongodb.cursor_id"), Some(99));
    assert!(!seen.is_long_poll);
}

#[test]
fn documents_are_counted_in_the_body_and_in_sequences_before_and_behind_it() {
    let documents = [doc! { "_id": 1, "a": "SECRET" }, doc! {}, doc! { "_id": 3 }];
    let command = |name: &str| doc! { name: "c", "$db": "d" };
    let mut inside = command("insert");
    inside.insert("documents", documents.to_vec());
    let cases = [
        msg(1, 0, 0, &[body(&inside)]),
        msg(1, 0, 0, &[body(&command("insert")), sequence("documents", &documents)]),
        msg(1, 0, 0, &[sequence("updates", &documents), body(&command("update"))]),
        msg(1, 0, 0, &[sequence("deletes", &documents), body(&command("delete")), sequence("other", &documents)]),
        msg(1, 0, 0, &[sequence("ops", &documents), sequence("nsInfo", &documents), body(&command("bulkWrite"))]),
    ];
    for bytes in cases {
        let seen = ask(&bytes);
        assert_eq!(number(&seen, "db.operation.batch.size"), Some(3), "{seen:#?}");
        assert_eq!(seen.completeness, Completeness::Full);
    }
    let one = msg(1, 0, 0, &[body(&command("insert")), sequence("documents", &documents[..1])]);
    assert_eq!(number(&ask(&one), "db.operation.batch.size"), None, "one document is no batch");
}

#[test]
fn a_request_that_wants_no_answer_is_one_way() {
    let seen = ask(&msg(1, 0, MORE_TO_COME, &[body(&doc! { "insert": "c", "$db": "d" })]));
    assert_eq!((seen.kind, seen.type_name.as_str()), (Kind::OneWay, "insert"));
}

#[test]
fn waiting_for_news_is_a_long_poll() {
    let version = doc! { "processId": bson::oid::ObjectId::new(), "counter": 6_i64 };
    let hello = doc! { "hello": 1, "topologyVersion": version, "maxAwaitTimeMS": 10_000, "$db": "admin" };
    assert!(ask(&msg(1, 0, EXHAUST_ALLOWED, &[body(&hello)])).is_long_poll);
    assert!(!ask(&request(1, &doc! { "hello": 1, "$db": "admin" })).is_long_poll);
    let get_more = doc! { "getMore": 1_i64, "collection": "oplog.rs", "maxTimeMS": 1000, "$db": "local" };
    assert!(ask(&request(1, &get_more)).is_long_poll);
    assert!(!ask(&request(1, &doc! { "find": "c", "maxTimeMS": 1000, "$db": "d" })).is_long_poll);
}

#[test]
fn a_handshake_tells_the_application_and_a_transaction_is_marked() {
    let client = doc! { "driver": { "name": "x" }, "application": { "name": "billing" }, "os": { "name": "y" } };
    let seen = ask(&request(1, &doc! { "hello": 1, "client": client, "$db": "admin" }));
    assert_eq!(text(&seen, "mongodb.app_name"), Some("billing"));
    let write = doc! { "insert": "c", "txnNumber": 1_i64, "$db": "d" };
    assert_eq!(ask(&request(1, &write)).attribute("mongodb.transaction"), None, "a retryable write");
    let write = doc! { "insert": "c", "txnNumber": 1_i64, "autocommit": false, "$db": "d" };
    assert_eq!(ask(&request(1, &write)).attribute("mongodb.transaction"), Some(&Value::Bool(true)));
}

#[test]
fn user_data_and_credentials_are_not_emitted() {
    let secret = || "SECRET".to_owned();
    let commands = [
        doc! { "find": "c", "filter": { "name": secret() }, "comment": secret(), "$db": "d" },
        doc! { "saslStart": 1, "mechanism": "PLAIN", "payload": secret(), "$db": "admin" },
        doc! { "createUser": secret(), "pwd": secret(), "roles": [secret()], "$db": "admin" },
        doc! { "$eval": secret(), "$db": "d" },
        doc! { "explain": { "eval": secret() }, "$db": "d" },
        doc! { "hello": 1, "speculativeAuthenticate": { "payload": secret() }, "$db": "d" },
        doc! { "insert": "c", "documents": [{ "SECRET": secret() }], "$db": "d" },
    ];
    for command in commands {
        let seen = ask(&request(1, &command));
        assert_eq!(seen.completeness, Completeness::Full);
        assert!(!format!("{seen:?}").contains("SECRET"), "{seen:#?}");
    }
}

#[test]
fn a_name_that_cannot_be_shown_is_not() {
    for name in ["a\u{1}b", "", &"x".repeat(65), &"x".repeat(300), "ümlaut"] {
        let mut command = Document::new();
        command.insert(name, 1);
        command.insert("$db", "d");
        let seen = ask(&request(1, &command));
        assert_eq!((seen.type_name.as_str(), seen.domain.as_str()), ("OP_MSG", "d"), "{name:?}");
    }
}
