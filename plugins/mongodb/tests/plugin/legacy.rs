//! The op codes of MongoDB before 3.6.

use bson::{Document, doc};
use protap_plugin::testing::Completeness;
use protap_plugin::{Kind, Status};

use crate::wire::{OP_QUERY, OP_REPLY, answer, ask, message, number, text};

fn c_str(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn query(flags: u32, namespace: &str, document: &Document) -> Vec<u8> {
    let body =
        [&flags.to_le_bytes()[..], &c_str(namespace), &[0; 4], &(-1_i32).to_le_bytes(), &document.to_vec().unwrap()];
    message(9, 0, OP_QUERY, &body.concat())
}

fn op_reply(flags: u32, cursor_id: i64, documents: &[Document]) -> Vec<u8> {
    let number = u32::try_from(documents.len()).unwrap();
    let mut body = [&flags.to_le_bytes()[..], &cursor_id.to_le_bytes(), &[0; 4], &number.to_le_bytes()].concat();
    body.extend(documents.iter().flat_map(|document| document.to_vec().unwrap()));
    message(70, 9, OP_REPLY, &body)
}

#[test]
fn a_query_to_cmd_is_a_command() {
    let hello = query(0, "admin.$cmd", &doc! { "ismaster": 1, "client": { "application": { "name": "x" } } });
    let seen = ask(&hello);
    assert_eq!((seen.kind, seen.type_name.as_str(), seen.domain.as_str()), (Kind::Request, "ismaster", "admin"));
    assert_eq!((seen.resource.as_str(), text(&seen, "mongodb.op_code")), ("", Some("OP_QUERY")));
    assert_eq!(text(&seen, "mongodb.app_name"), Some("x"));
    let seen = answer(&hello, &op_reply(8, 0, &[doc! { "ismaster": true, "ok": 1.0 }]));
    assert_eq!((seen.status, seen.answers.as_deref()), (Status::Ok, Some("ismaster")));
    assert_eq!(seen.completeness, Completeness::Full);
    let seen = answer(&hello, &op_reply(8, 0, &[doc! { "ok": 0.0, "code": 59, "errmsg": "SECRET" }]));
    assert_eq!((seen.status, seen.exception.as_str()), (Status::ClientError, "CommandNotFound"));
}

#[test]
fn a_wrapped_command_is_unwrapped() {
    let wrapped = doc! { "$query": { "count": "users", "query": {} }, "$readPreference": { "mode": "secondary" } };
    let seen = ask(&query(4, "shop.$cmd", &wrapped));
    assert_eq!((seen.type_name.as_str(), seen.endpoint.as_str()), ("count", "shop.users"));
}

#[test]
fn a_query_is_answered_by_documents_that_are_not_looked_into() {
    let find = query(0, "shop.users", &doc! { "$query": { "name": "SECRET" } });
    let seen = ask(&find);
    assert_eq!((seen.type_name.as_str(), seen.endpoint.as_str()), ("query", "shop.users"));
    assert!(!format!("{seen:?}").contains("SECRET"));
    let seen = answer(&find, &op_reply(8, 33, &[doc! { "ok": 0, "code": 59 }, doc! { "ok": 0 }]));
    assert_eq!((seen.status, number(&seen, "db.response.returned_rows")), (Status::Ok, Some(2)));
    assert_eq!(number(&seen, "mongodb.cursor_id"), Some(33));
}

#[test]
fn a_failed_query_says_so_by_its_flags() {
    let find = query(0, "shop.users", &doc! {});
    let seen = answer(&find, &op_reply(2, 0, &[doc! { "$err": "SECRET", "code": 13435 }]));
    assert_eq!((seen.status, seen.exception.as_str()), (Status::ServerError, "NotPrimaryNoSecondaryOk"));
    assert!(!format!("{seen:?}").contains("SECRET"));
    let seen = answer(&find, &op_reply(1, 0, &[]));
    assert_eq!((seen.status, seen.exception.as_str()), (Status::ClientError, "CursorNotFound"));
}

#[test]
fn an_exhausting_query_is_answered_until_its_cursor_ends() {
    let find = query(1 << 6, "shop.users", &doc! {});
    let seen = answer(&find, &op_reply(8, 33, &[doc! {}]));
    assert_eq!((seen.has_more_replies, seen.next_id), (true, Some(70)));
    assert!(!answer(&find, &op_reply(8, 0, &[doc! {}])).has_more_replies);
}

#[test]
fn writes_and_kill_cursors_are_one_way() {
    let document = doc! { "a": 1 }.to_vec().unwrap();
    let namespace = c_str("shop.users");
    let cases = [
        (2001, [&[0; 4], &namespace[..], &[0; 4], &document, &document].concat(), "update", "shop.users"),
        (2002, [&[0; 4], &namespace[..], &document, &document].concat(), "insert", "shop.users"),
        (2006, [&[0; 4], &namespace[..], &[0; 4], &document].concat(), "delete", "shop.users"),
        (2007, [&[0; 4], &2_i32.to_le_bytes()[..], &[1; 16]].concat(), "killCursors", ""),
    ];
    for (op_code, body, name, endpoint) in cases {
        let seen = ask(&message(9, 0, op_code, &body));
        assert_eq!((seen.kind, seen.type_name.as_str(), seen.endpoint.as_str()), (Kind::OneWay, name, endpoint));
        assert_eq!(seen.completeness, Completeness::Full, "{name}");
        let batch = number(&seen, "db.operation.batch.size");
        assert_eq!(batch, matches!(op_code, 2002 | 2007).then_some(2), "{name}");
    }
}

#[test]
fn a_get_more_is_answered_by_documents() {
    let body = [&[0; 4], &c_str("shop.users")[..], &[0; 4], &33_i64.to_le_bytes()].concat();
    let get_more = message(9, 0, 2005, &body);
    let seen = ask(&get_more);
    assert_eq!((seen.type_name.as_str(), number(&seen, "mongodb.cursor_id")), ("getMore", Some(33)));
    let seen = answer(&get_more, &op_reply(8, 33, &[doc! {}, doc! {}]));
    assert_eq!((seen.status, number(&seen, "db.response.returned_rows")), (Status::Ok, Some(2)));
}

#[test]
fn a_command_of_version_3_2_is_read_whichever_comes_first() {
    let (command, metadata) = (doc! { "count": "users", "query": { "a": "SECRET" } }, doc! { "$ssm": { "x": 1 } });
    let (reply, nothing) = (doc! { "ok": 0.0, "code": 59 }, doc! {});
    let join = |documents: [&Document; 2]| documents.map(|document| document.to_vec().unwrap()).concat();
    let head = [c_str("shop"), c_str("count")].concat();
    for (ask_with, answer_with) in [
        (join([&command, &metadata]), join([&reply, &nothing])),
        (join([&metadata, &command]), join([&nothing, &reply])),
    ] {
        let request = message(9, 0, 2010, &[head.clone(), ask_with].concat());
        let seen = ask(&request);
        assert_eq!((seen.type_name.as_str(), seen.endpoint.as_str()), ("count", "shop.users"));
        assert_eq!((seen.completeness, text(&seen, "mongodb.op_code")), (Completeness::Full, Some("OP_COMMAND")));
        assert!(!format!("{seen:?}").contains("SECRET"));
        let seen = answer(&request, &message(70, 9, 2011, &answer_with));
        assert_eq!((seen.status, seen.answers.as_deref()), (Status::ClientError, Some("count")));
        assert_eq!((seen.completeness, seen.exception.as_str()), (Completeness::Full, "CommandNotFound"));
    }
    let seen = ask(&message(9, 0, 2010, b"whatever"));
    assert_eq!((seen.kind, seen.id, seen.completeness), (Kind::Request, Some(9), Completeness::Header));
}

#[test]
fn a_text_of_old_is_nobodys_business() {
    let seen = ask(&message(9, 0, 1000, b"SECRET\0"));
    assert_eq!((seen.kind, seen.type_name.as_str(), seen.completeness), (Kind::Request, "msg", Completeness::Full));
    assert!(!format!("{seen:?}").contains("SECRET"));
}

#[test]
fn queries_and_writes_have_shapes() {
    let find = query(0, "shop.users", &doc! { "$query": { "age": { "$gt": 3 } }, "$orderby": { "age": 1 } });
    let expected = r#"{"query":"users","query":{"$query":{"age":{"$gt":"?"}},"$orderby":{"age":"?"}}}"#;
    assert_eq!(text(&ask(&find), "db.query.text"), Some(expected));
    let documents = [doc! { "a": 1 }, doc! { "$set": { "b": 2 } }].map(|document| document.to_vec().unwrap()).concat();
    let update = message(9, 0, 2001, &[&[0; 4], &c_str("shop.users")[..], &[0; 4], &documents].concat());
    let expected = r#"{"update":"users","q":{"a":"?"},"u":{"$set":{"b":"?"}}}"#;
    assert_eq!(text(&ask(&update), "db.query.text"), Some(expected));
}
