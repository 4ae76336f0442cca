//! Commands and replies put together at random and encoded by the `bson` crate: every field that they have is told, and
//! none that they do not have.

use bson::{Bson, Document, doc};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use protap_plugin::testing::{Completeness, Seen, Value};
use protap_plugin::{Kind, Status};

use crate::wire::{MORE_TO_COME, body, list, msg, number, replay, reply, request, sequence, text};

/// A value that must not be seen anywhere, and its shape.
fn value() -> impl Strategy<Value = (Bson, String)> {
    let secret = prop_oneof![
        Just(Bson::from("SECRET")),
        any::<i64>().prop_map(|n| Bson::Int64(n | 1 << 40)),
        any::<bool>().prop_map(Bson::Boolean),
        Just(Bson::Null),
        Just(Bson::RegularExpression(bson::Regex {
            pattern: "SECRET".try_into().unwrap(),
            options: "i".try_into().unwrap()
        })),
        Just(Bson::DateTime(bson::DateTime::from_millis(1))),
        Just(Bson::Decimal128(bson::Decimal128::from_bytes([7; 16]))),
    ];
    secret.prop_map(|value| (value, r#""?""#.to_owned()))
}

/// A document of operators and names, and its shape.
fn filter() -> impl Strategy<Value = (Document, String)> {
    let key = prop_oneof!["[a-z]{1,6}", Just("$gt".to_owned()), Just("$in".to_owned()), Just("a.b".to_owned())];
    let nested = value().prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            prop::collection::btree_map("[$a-z]{1,5}", inner.clone(), 0..3).prop_map(joined),
            prop::collection::vec(inner, 0..4).prop_map(|items| {
                let mut shapes: Vec<_> = items.iter().map(|item| item.1.clone()).collect();
                shapes.dedup();
                (Bson::Array(items.into_iter().map(|item| item.0).collect()), format!("[{}]", shapes.join(",")))
            }),
        ]
    });
    prop::collection::btree_map(key, nested, 0..3).prop_map(|map| match joined(map) {
        (Bson::Document(document), shape) => (document, shape),
        _ => unreachable!(),
    })
}

fn joined(map: std::collections::BTreeMap<String, (Bson, String)>) -> (Bson, String) {
    let shapes: Vec<_> = map.iter().map(|(key, value)| format!("\"{key}\":{}", value.1)).collect();
    let document: Document = map.into_iter().map(|(key, value)| (key, value.0)).collect();
    (Bson::Document(document), format!("{{{}}}", shapes.join(",")))
}

fn run(replay: &protap_plugin::testing::Replay) -> Vec<Seen> {
    let report = replay.run();
    assert_eq!(report.losses, []);
    report.messages
}

fn shows_secret(seen: &Seen) -> bool {
    format!("{seen:?}").contains("SECRET")
}

/// What follows in a command, in any order.
#[derive(Clone, Debug)]
struct Terms {
    read_concern: Option<String>,
    write_concern: Option<Bson>,
    mode: Option<String>,
    txn_number: Option<i64>,
    batch_size: Option<i32>,
    in_transaction: bool,
}

fn terms() -> impl Strategy<Value = Terms> {
    let w = prop_oneof![Just(Bson::from("majority")), (0..5_i32).prop_map(Bson::Int32)];
    let maybe = |text: &'static str| prop::option::of(text);
    (maybe("[a-z]{3,12}"), prop::option::of(w), maybe("[a-z]{3,12}"), any::<(Option<i64>, Option<i32>, bool)>())
        .prop_map(|(read_concern, write_concern, mode, (txn_number, batch_size, in_transaction))| Terms {
            read_concern,
            write_concern,
            mode,
            txn_number,
            batch_size,
            in_transaction,
        })
}

impl Terms {
    fn elements(&self) -> Vec<(String, Bson)> {
        let mut all = Document::new();
        if let Some(level) = &self.read_concern {
            all.insert("readConcern", doc! { "level": level });
        }
        if let Some(w) = &self.write_concern {
            all.insert("writeConcern", doc! { "w": w.clone(), "wtimeout": 100 });
        }
        if let Some(mode) = &self.mode {
            all.insert("$readPreference", doc! { "mode": mode });
        }
        if let Some(number) = self.txn_number {
            all.insert("txnNumber", number);
        }
        if let Some(size) = self.batch_size {
            all.insert("batchSize", size);
        }
        if self.in_transaction {
            all.insert("autocommit", false);
        }
        all.into_iter().collect()
    }

    fn assert_told(&self, seen: &Seen) {
        assert_eq!(text(seen, "mongodb.read_concern"), self.read_concern.as_deref());
        let w = self.write_concern.as_ref().map(|w| w.as_str().map_or_else(|| w.to_string(), str::to_owned));
        assert_eq!(text(seen, "mongodb.write_concern"), w.as_deref());
        assert_eq!(text(seen, "mongodb.read_preference"), self.mode.as_deref());
        assert_eq!(number(seen, "mongodb.txn_number"), self.txn_number);
        assert_eq!(number(seen, "mongodb.batch_size"), self.batch_size.map(i64::from));
        assert_eq!(seen.attribute("mongodb.transaction"), self.in_transaction.then_some(&Value::Bool(true)));
    }
}

proptest! {
    #[test]
    fn a_read_is_told_in_full(
        (name, part) in prop::sample::select(vec![("find", "filter"), ("count", "query"), ("distinct", "query")]),
        (filter, shape) in filter(),
        terms in terms(),
        (collection, database) in ("[a-z][a-zA-Z0-9_.]{0,20}", "[a-z]{1,12}"),
        seed in any::<prop::sample::Index>(),
    ) {
        let mut rest = terms.elements();
        rest.extend([(part.to_owned(), Bson::Document(filter)), ("$db".to_owned(), database.as_str().into())]);
        let at = seed.index(rest.len());
        rest.rotate_left(at);
        let mut command = doc! { name: &collection };
        command.extend(rest);
        let seen = &run(&replay().to_server(request(3, &command)))[0];
        prop_assert_eq!((seen.type_name.as_str(), seen.id, seen.kind), (name, Some(3), Kind::Request));
        prop_assert_eq!((seen.domain.as_str(), seen.resource.as_str()), (database.as_str(), collection.as_str()));
        prop_assert_eq!(seen.completeness, Completeness::Full);
        terms.assert_told(seen);
        let told = text(seen, "db.query.text").unwrap();
        let expected = format!("{{\"{name}\":\"{collection}\",\"{part}\":{shape}}}");
        // A long one is cut.
        prop_assert!(told == expected || told.contains("...") && expected.len() > 300, "{} is not {}", told, expected);
        prop_assert!(!shows_secret(seen));
    }

    #[test]
    fn a_write_is_told_in_full(
        (name, key) in prop::sample::select(vec![("insert", "documents"), ("update", "updates"), ("delete", "deletes")]),
        (filter, shape) in filter(),
        count in 1..40_usize,
        terms in terms(),
        (is_sequence, is_acknowledged) in any::<(bool, bool)>(),
    ) {
        let item = match name {
            "insert" => doc! { "_id": "SECRET", "f": filter },
            "update" => doc! { "q": filter, "u": { "$set": { "x": "SECRET" } }, "multi": true },
            _ => doc! { "q": filter, "limit": 1 },
        };
        let items = vec![item; count];
        let mut command = doc! { name: "c" };
        command.extend(terms.elements());
        command.insert("$db", "d");
        let sections = if is_sequence {
            vec![body(&command), sequence(key, &items)]
        } else {
            command.insert(key, items);
            vec![body(&command)]
        };
        let flags = if is_acknowledged { 0 } else { MORE_TO_COME };
        let seen = &run(&replay().to_server(msg(3, 0, flags, &sections)))[0];
        prop_assert_eq!(seen.kind, if is_acknowledged { Kind::Request } else { Kind::OneWay });
        prop_assert_eq!((seen.type_name.as_str(), seen.endpoint.as_str()), (name, "d.c"));
        let many = i64::try_from(count).ok().filter(|count| *count > 1);
        prop_assert_eq!(number(seen, "db.operation.batch.size"), many);
        prop_assert_eq!(seen.completeness, Completeness::Full);
        terms.assert_told(seen);
        let told = text(seen, "db.query.text");
        prop_assert_eq!(told.is_some(), name != "insert");
        let expected = format!("\"q\":{shape}");
        prop_assert!(told.is_none_or(|told| told.contains(&expected) || told.contains("...")), "{:?}: {}", told, expected);
        prop_assert!(!shows_secret(seen));
    }

    #[test]
    fn a_reply_is_told_in_full(
        counts in any::<[Option<i32>; 6]>(),
        code in prop::option::of(prop::sample::select(vec![(13, "Unauthorized", Status::ClientError), (91, "ShutdownInProgress", Status::ServerError), (50, "MaxTimeMSExpired", Status::Timeout)])),
        labels in prop::collection::vec("[A-Z][a-zA-Z]{3,20}", 0..4),
        upserted in 0..5_usize,
        batch in prop::option::of((0..50_usize, any::<i64>())),
    ) {
        let names = ["n", "nModified", "nInserted", "nMatched", "nUpserted", "nDeleted"];
        let told_as = ["n", "n_modified", "n_inserted", "n_matched", "n_upserted", "n_deleted"];
        let mut document = Document::new();
        if let Some((len, id)) = batch {
            let documents = vec![doc! { "ok": 0, "code": 1, "x": "SECRET" }; len];
            document.insert("cursor", doc! { "firstBatch": documents, "id": id, "ns": "d.c" });
        }
        for (name, count) in names.iter().zip(counts) {
            document.extend(count.map(|count| ((*name).to_owned(), Bson::Int32(count))));
        }
        if upserted > 0 && counts[4].is_none() {
            document.insert("upserted", vec![doc! { "index": 0, "_id": "SECRET" }; upserted]);
        }
        document.insert("ok", if code.is_some() { 0.0 } else { 1.0 });
        if let Some((code, name, _)) = code {
            document.extend(doc! { "errmsg": "SECRET", "code": code, "codeName": name });
        }
        document.insert("errorLabels", labels.clone());
        let asked = request(9, &doc! { "find": "c", "$db": "d" });
        let seen = &run(&replay().to_server(asked).to_client(reply(9, &document)))[1];
        prop_assert_eq!(seen.answers.as_deref(), Some("find"));
        prop_assert_eq!(seen.status, code.map_or(Status::Ok, |code| code.2));
        prop_assert_eq!(seen.code, Some(code.map_or(0, |code| code.0)));
        prop_assert_eq!(text(seen, "error.type"), code.map(|code| code.1));
        for (name, count) in told_as.iter().zip(counts) {
            let count = count.map(i64::from).or((*name == "n_upserted" && upserted > 0).then_some(upserted as i64));
            prop_assert_eq!(number(seen, &format!("mongodb.{name}")), count, "{}", name);
        }
        prop_assert_eq!(list(seen, "mongodb.error_labels"), labels);
        prop_assert_eq!(number(seen, "db.response.returned_rows"), batch.map(|batch| batch.0 as i64));
        prop_assert_eq!(number(seen, "mongodb.cursor_id"), batch.map(|batch| batch.1).filter(|id| *id != 0));
        prop_assert!(!shows_secret(seen));
    }
}
