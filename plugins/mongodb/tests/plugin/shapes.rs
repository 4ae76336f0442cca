//! The shape of queries: keys and operators, but no value unless the user asks for it, and never a credential.

use bson::{Bson, Document, doc};
use protap_plugin::testing::{Completeness, Seen};

use crate::wire::{OP_QUERY, ask, body, message, msg, number, only, replay, request, sequence, text};

fn shape(command: &Document) -> String {
    let seen = ask(&request(1, command));
    assert_eq!(seen.completeness, Completeness::Full, "{command}");
    text(&seen, "db.query.text").unwrap_or_default().to_owned()
}

fn shown(command: &Document) -> Seen {
    only(replay().option("values", "on").to_server(request(1, command)).run())
}

#[test]
fn a_query_is_shown_with_its_values_replaced() {
    let cases = [
        (
            doc! { "find": "users", "filter": { "age": { "$gt": 30, "$lt": 60 }, "name": "SECRET" }, "sort": { "age": -1 }, "$db": "d" },
            r#"{"find":"users","filter":{"age":{"$gt":"?","$lt":"?"},"name":"?"},"sort":{"age":"?"}}"#,
        ),
        (
            doc! { "aggregate": "users", "pipeline": [{ "$match": { "a": 1 } }, { "$group": { "_id": "$b", "n": { "$sum": 1 } } }], "cursor": {}, "$db": "d" },
            r#"{"aggregate":"users","pipeline":[{"$match":{"a":"?"}},{"$group":{"_id":"?","n":{"$sum":"?"}}}]}"#,
        ),
        (doc! { "count": "c", "query": {}, "$db": "d" }, r#"{"count":"c","query":{}}"#),
        (
            doc! { "findAndModify": "c", "query": { "_id": 1 }, "update": { "$inc": { "n": 1 } }, "$db": "d" },
            r#"{"findAndModify":"c","query":{"_id":"?"},"update":{"$inc":{"n":"?"}}}"#,
        ),
        (
            doc! { "explain": { "find": "c", "filter": { "a": 1 } }, "$db": "d" },
            r#"{"explain":"c","filter":{"a":"?"}}"#,
        ),
        (doc! { "ping": 1, "filter": { "a": 1 }, "$db": "d" }, ""),
        (doc! { "insert": "c", "documents": [{ "a": 1 }], "$db": "d" }, ""),
    ];
    for (command, expected) in cases {
        assert_eq!(shape(&command), expected);
    }
}

#[test]
fn the_first_operation_of_a_write_is_shown() {
    let updates = vec![doc! { "q": { "a": 1 }, "u": { "$set": { "b": 1 } } }, doc! { "q": { "z": 1 }, "u": [] }];
    let expected = r#"{"update":"c","q":{"a":"?"},"u":{"$set":{"b":"?"}}}"#;
    assert_eq!(shape(&doc! { "update": "c", "updates": updates.clone(), "$db": "d" }), expected);
    let command = body(&doc! { "update": "c", "$db": "d" });
    for sections in [[command.clone(), sequence("updates", &updates)], [sequence("updates", &updates), command]] {
        let seen = ask(&msg(1, 0, 0, &sections));
        assert_eq!((text(&seen, "db.query.text"), number(&seen, "db.operation.batch.size")), (Some(expected), Some(2)));
    }
    let deletes = vec![doc! { "q": { "a": { "$in": [1, 2, 3] } }, "limit": 0 }];
    let expected = r#"{"delete":"c","q":{"a":{"$in":["?"]}}}"#;
    assert_eq!(shape(&doc! { "delete": "c", "deletes": deletes, "$db": "d" }), expected);
}

#[test]
fn queries_that_differ_in_values_alone_have_one_shape() {
    let find = |filter: Document| shape(&doc! { "find": "c", "filter": filter, "$db": "d" });
    let any_of = |values: Vec<Bson>| find(doc! { "a": { "$in": values } });
    assert_eq!(any_of(vec![1.into()]), any_of(vec![Bson::Null, "x".into(), 3.5.into()]));
    let or = |values: &[i32]| find(doc! { "$or": values.iter().map(|n| doc! { "a": n }).collect::<Vec<_>>() });
    assert_eq!(or(&[1]), or(&[1, 2, 3, 4]));
    assert_ne!(find(doc! { "a": 1 }), find(doc! { "a": { "$gt": 1 } }));
    assert_ne!(find(doc! { "a": [] }), find(doc! { "a": {} }));
}

#[test]
fn depth_keys_and_bytes_are_bounded() {
    let mut deep = doc! { "x": 1 };
    for _ in 0..100 {
        deep = doc! { "d": deep };
    }
    let wide: Document = (0..500).map(|n| (format!("k{n}"), Bson::Int32(n))).collect();
    let long: Document = (0..100).map(|n| (format!("{n}{}", "k".repeat(300)), Bson::Int32(n))).collect();
    let large = doc! { "a": { "$in": (0..5000).collect::<Vec<i32>>() }, "b": 1 };
    for (filter, what) in [(deep, "depth"), (wide, "keys"), (long, "bytes"), (large, "look")] {
        let shape = shape(&doc! { "find": "c", "filter": filter, "$db": "d" });
        assert!(shape.contains("..."), "{what}: {shape}");
        assert!(shape.len() < 600, "{what}: {} bytes", shape.len());
        let count = |bracket: char| shape.matches(bracket).count();
        assert_eq!((count('{'), count('[')), (count('}'), count(']')), "{what}: {shape}");
    }
}

#[test]
fn keys_that_would_break_the_text_are_mended() {
    let shape = shape(&doc! { "find": "c", "filter": { "a\"b\\c\nd": 1, "": 2, "ü": 3 }, "$db": "d" });
    assert_eq!(shape, r#"{"find":"c","filter":{"a?b?c?d":"?","":"?","ü":"?"}}"#);
}

#[test]
fn values_are_shown_when_asked_for_and_credentials_never() {
    let id = bson::oid::ObjectId::parse_str("0123456789abcdef01234567").unwrap();
    let filter = doc! { "s": "x\"y", "i": 1, "l": -2_i64, "d": 1.5, "b": true, "n": null, "o": id, "r": [1, 1, 2] };
    let seen = shown(&doc! { "find": "c", "filter": filter, "$db": "d" });
    let expected = r#"{"find":"c","filter":{"s":"x?y","i":1,"l":-2,"d":1.5,"b":true,"n":null,"o":{"$oid":"0123456789abcdef01234567"},"r":[1,1,2]}}"#;
    assert_eq!(text(&seen, "db.query.text"), Some(expected));
    let secret = || "SECRET".to_owned();
    let commands = [
        doc! { "find": "c", "filter": { "pwd": secret(), "apiToken": { "x": secret() }, "Password": [secret()] }, "$db": "d" },
        doc! { "find": "system.users", "filter": { "a": secret() }, "$db": "admin" },
        doc! { "explain": { "find": "system.keys", "filter": { "a": secret() } }, "$db": "admin" },
        doc! { "bulkWrite": 1, "ops": [{ "delete": 0, "filter": { "a": secret() } }], "nsInfo": [{ "ns": "admin.system.users" }], "$db": "admin" },
        doc! { "saslStart": 1, "mechanism": "PLAIN", "payload": secret(), "filter": { "a": secret() }, "$db": "admin" },
        doc! { "saslContinue": 1, "payload": secret(), "$db": "admin" },
        doc! { "authenticate": 1, "user": "u", "key": secret(), "$db": "admin" },
        doc! { "createUser": "u", "pwd": secret(), "roles": [], "$db": "admin" },
        doc! { "updateUser": "u", "pwd": secret(), "$db": "admin" },
        doc! { "copydb": 1, "key": secret(), "$db": "admin" },
        doc! { "hello": 1, "speculativeAuthenticate": { "payload": secret() }, "$db": "d" },
    ];
    for command in commands {
        let seen = shown(&command);
        assert_eq!(seen.completeness, Completeness::Full);
        assert!(!format!("{seen:?}").contains("SECRET"), "{seen:#?}");
    }
}

#[test]
fn values_of_the_servers_own_collections_are_hidden_in_old_queries_too() {
    let query = |namespace: &str| {
        let document = doc! { "a": "SECRET" }.to_vec().unwrap();
        message(1, 0, OP_QUERY, &[&[0; 4], namespace.as_bytes(), &[0; 9], &document].concat())
    };
    let shown = |bytes: Vec<u8>| format!("{:?}", only(replay().option("values", "on").to_server(bytes).run()));
    assert!(shown(query("admin.users")).contains("SECRET"));
    assert!(!shown(query("admin.system.users")).contains("SECRET"));
}

#[test]
fn ids_of_sessions_are_shown_when_asked_for() {
    let id = bson::Uuid::from_bytes([0xab; 16]);
    let command = doc! { "find": "c", "lsid": { "id": id }, "$db": "d" };
    assert_eq!(text(&shown(&command), "mongodb.session"), Some("ab".repeat(16).as_str()));
    assert_eq!(text(&ask(&request(1, &command)), "mongodb.session"), None);
    assert_eq!(shown(&doc! { "find": "c", "lsid": { "id": "x" }, "$db": "d" }).completeness, Completeness::Full);
}

#[test]
fn shapes_can_be_turned_off() {
    let command = request(1, &doc! { "find": "c", "filter": { "a": 1 }, "$db": "d" });
    let seen = only(replay().option("shape", "off").to_server(&command).run());
    assert_eq!(text(&seen, "db.query.text"), None);
    assert!(replay().option("values", "maybe").to_server(&command).try_run().is_err());
}
