//! Terms of commands, several collections in one, and what else replies say.

use bson::doc;
use protap_plugin::Status;
use protap_plugin::testing::Value;

use crate::wire::{answer, ask, body, list, msg, number, replay, reply, request, sequence, text};

#[test]
fn concerns_preferences_and_transactions_are_told() {
    let seen = ask(&request(
        1,
        &doc! {
            "find": "c", "batchSize": 50, "readConcern": { "level": "snapshot", "atClusterTime": 1 },
            "$readPreference": { "mode": "secondaryPreferred", "tags": [{}] },
            "txnNumber": 7_i64, "startTransaction": true, "autocommit": false, "$db": "d",
        },
    ));
    assert_eq!(text(&seen, "mongodb.read_concern"), Some("snapshot"));
    assert_eq!(text(&seen, "mongodb.read_preference"), Some("secondaryPreferred"));
    assert_eq!((number(&seen, "mongodb.txn_number"), number(&seen, "mongodb.batch_size")), (Some(7), Some(50)));
    assert_eq!(seen.attribute("mongodb.transaction"), Some(&Value::Bool(true)));
    for (w, expected) in [(bson::Bson::from("majority"), "majority"), (2.into(), "2"), (0_i64.into(), "0")] {
        let command = doc! { "insert": "c", "writeConcern": { "j": true, "w": w, "wtimeout": 5 }, "$db": "d" };
        assert_eq!(text(&ask(&request(1, &command)), "mongodb.write_concern"), Some(expected));
    }
    let aggregate = doc! { "aggregate": "c", "pipeline": [], "cursor": { "batchSize": 3 }, "$db": "d" };
    assert_eq!(number(&ask(&request(1, &aggregate)), "mongodb.batch_size"), Some(3));
}

#[test]
fn a_bulk_write_acts_upon_the_collections_that_it_names() {
    let namespaces = [doc! { "ns": "shop.users" }, doc! { "ns": "shop.orders", "collectionUUID": 1 }];
    let ops = [
        doc! { "update": 1, "filter": { "a": "SECRET" }, "updateMods": { "$set": { "b": "SECRET" } } },
        doc! { "insert": 0, "document": { "x": "SECRET" } },
        doc! { "delete": 0, "filter": {} },
    ];
    let whole = doc! { "bulkWrite": 1, "ops": ops.to_vec(), "nsInfo": namespaces.to_vec(), "$db": "admin" };
    let sections =
        [body(&doc! { "bulkWrite": 1, "$db": "admin" }), sequence("ops", &ops), sequence("nsInfo", &namespaces)];
    for bytes in [request(1, &whole), msg(1, 0, 0, &sections)] {
        let seen = ask(&bytes);
        assert_eq!((seen.type_name.as_str(), seen.endpoint.as_str()), ("bulkWrite", "shop.users"));
        assert_eq!(list(&seen, "mongodb.namespaces"), ["shop.users", "shop.orders"]);
        assert_eq!(number(&seen, "db.operation.batch.size"), Some(3));
        let shape = r#"{"bulkWrite":"users","filter":{"a":"?"},"updateMods":{"$set":{"b":"?"}}}"#;
        assert_eq!(text(&seen, "db.query.text"), Some(shape));
        assert!(!format!("{seen:?}").contains("SECRET"));
    }
    let counts =
        doc! { "nErrors": 0, "nInserted": 1, "nMatched": 2, "nModified": 3, "nUpserted": 4, "nDeleted": 5, "ok": 1 };
    let seen = answer(&request(1, &whole), &reply(1, &counts));
    let told =
        ["inserted", "matched", "modified", "upserted", "deleted"].map(|n| number(&seen, &format!("mongodb.n_{n}")));
    assert_eq!(told, [1, 2, 3, 4, 5].map(Some));
    let many: Vec<_> = (0..100).map(|n| doc! { "ns": format!("d.c{n}") }).collect();
    let seen = ask(&request(1, &doc! { "bulkWrite": 1, "ops": [], "nsInfo": many, "$db": "admin" }));
    assert_eq!((list(&seen, "mongodb.namespaces").len(), seen.endpoint.as_str()), (16, "d.c0"));
}

#[test]
fn gridfs_and_views_are_named() {
    for (collection, bucket) in [("fs.files", Some("fs")), ("my.photos.chunks", Some("my.photos")), ("files", None)] {
        let seen = ask(&request(1, &doc! { "find": collection, "$db": "d" }));
        assert_eq!((text(&seen, "mongodb.gridfs_bucket"), seen.resource.as_str()), (bucket, collection));
    }
    let view = doc! { "create": "adults", "viewOn": "users", "pipeline": [{ "$match": { "age": 18 } }], "$db": "d" };
    let seen = ask(&request(1, &view));
    assert_eq!((seen.endpoint.as_str(), text(&seen, "mongodb.view_on")), ("d.adults", Some("users")));
}

#[test]
fn a_change_stream_is_a_long_poll_even_if_it_does_not_say_for_how_long() {
    let watch = doc! { "aggregate": 1, "pipeline": [{ "$changeStream": {} }], "cursor": {}, "$db": "d" };
    let tail = doc! { "find": "capped", "tailable": true, "awaitData": true, "$db": "d" };
    let tail_without = doc! { "find": "capped", "tailable": true, "$db": "d" };
    for (open, waits) in [(watch, true), (tail, true), (tail_without, false)] {
        let cursor =
            |batch: &str, id: i64| doc! { "cursor": { batch: [], "id": id, "ns": "d.$cmd.aggregate" }, "ok": 1 };
        let more = doc! { "getMore": 99_i64, "collection": "$cmd.aggregate", "$db": "d" };
        let other = doc! { "getMore": 98_i64, "collection": "c", "$db": "d" };
        let report = replay()
            .to_server(request(1, &open))
            .to_client(reply(1, &cursor("firstBatch", 99)))
            .to_server(request(2, &more))
            .to_client(reply(2, &cursor("nextBatch", 99)))
            .to_server(request(3, &other))
            .split_sweep();
        let polls: Vec<_> = report.messages.iter().map(|seen| seen.is_long_poll).collect();
        assert_eq!(polls, [false, false, waits, false, false], "{open}");
        let is_stream = open.contains_key("aggregate").then_some(&Value::Bool(true));
        assert_eq!(report.messages[0].attribute("mongodb.change_stream"), is_stream);
    }
}

#[test]
fn labels_upserts_and_documents_found_are_told() {
    let to = |command: &str, answered: &bson::Document| {
        answer(&request(5, &doc! { command: "c", "$db": "d" }), &reply(5, answered))
    };
    let labels = ["TransientTransactionError", "RetryableWriteError"];
    let seen = to("insert", &doc! { "ok": 0.0, "code": 112, "errorLabels": labels.to_vec() });
    assert_eq!(
        (list(&seen, "mongodb.error_labels"), seen.status),
        (labels.map(String::from).to_vec(), Status::ServerError)
    );
    let upserted = vec![doc! { "index": 0, "_id": "SECRET" }, doc! { "index": 2, "_id": 1 }];
    let seen = to("update", &doc! { "n": 3, "nModified": 1, "upserted": upserted, "ok": 1 });
    assert_eq!((number(&seen, "mongodb.n_upserted"), number(&seen, "mongodb.n")), (Some(2), Some(3)));
    assert!(!format!("{seen:?}").contains("SECRET"));
    let found =
        doc! { "value": { "ok": 0, "code": 5 }, "lastErrorObject": { "updatedExisting": true, "n": 1 }, "ok": 1 };
    let seen = to("findAndModify", &found);
    assert_eq!((seen.status, number(&seen, "db.response.returned_rows")), (Status::Ok, Some(1)));
    assert_eq!(number(&seen, "mongodb.n"), Some(1));
    let seen = to("findAndModify", &doc! { "value": null, "ok": 1 });
    assert_eq!(number(&seen, "db.response.returned_rows"), Some(0));
}
