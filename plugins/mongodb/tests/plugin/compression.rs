//! OP_COMPRESSED.

use bson::doc;
use protap_plugin::testing::Completeness;
use protap_plugin::{Kind, Status};

use crate::wire::{
    MORE_TO_COME, OP_COMPRESSED, OP_MSG, answer, ask, body, message, msg, number, only, replay, reply, request,
    sequence, text,
};

const NOOP: u8 = 0;
const SNAPPY: u8 = 1;
const ZLIB: u8 = 2;
const ZSTD: u8 = 3;

fn compressed(whole: &[u8], compressor: u8, size: usize) -> Vec<u8> {
    let data = &whole[16..];
    let data = match compressor {
        SNAPPY => snap::raw::Encoder::new().compress_vec(data).unwrap(),
        ZLIB => miniz_oxide::deflate::compress_to_vec_zlib(data, 6),
        ZSTD => ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest),
        _ => data.to_vec(),
    };
    let id = |at: usize| u32::from_le_bytes(whole[at..at + 4].try_into().unwrap());
    let size = u32::try_from(size).unwrap();
    let head = [&OP_MSG.to_le_bytes()[..], &size.to_le_bytes(), &[compressor]].concat();
    message(id(4), id(8), OP_COMPRESSED, &[head, data].concat())
}

fn compress(whole: &[u8], compressor: u8) -> Vec<u8> {
    compressed(whole, compressor, whole.len() - 16)
}

#[test]
fn a_compressed_conversation_is_read_like_any_other() {
    let documents = vec![doc! { "text": "some text ".repeat(100) }; 60];
    let find = msg(1, 0, 0, &[body(&doc! { "find": "c", "$db": "d" })]);
    let batch = reply(1, &doc! { "cursor": { "firstBatch": documents, "id": 0_i64, "ns": "d.c" }, "ok": 1.0 });
    for (compressor, name) in [(NOOP, "noop"), (SNAPPY, "snappy"), (ZLIB, "zlib"), (ZSTD, "zstd")] {
        let replay = replay().to_server(compress(&find, compressor)).to_client(compress(&batch, compressor));
        let report = replay.split_sweep();
        let [find, reply] = report.messages.as_slice() else { panic!("{report:#?}") };
        assert_eq!((find.type_name.as_str(), find.endpoint.as_str()), ("find", "d.c"));
        assert_eq!(text(find, "mongodb.compressor"), Some(name));
        assert_eq!((reply.status, reply.answers.as_deref()), (Status::Ok, Some("find")));
        assert_eq!(number(reply, "db.response.returned_rows"), Some(60));
        assert_eq!((find.completeness, reply.completeness), (Completeness::Full, Completeness::Full));
    }
}

#[test]
fn a_compressed_message_may_want_no_answer() {
    let insert = msg(1, 0, MORE_TO_COME, &[body(&doc! { "insert": "c", "$db": "d" })]);
    assert_eq!(ask(&compress(&insert, SNAPPY)).kind, Kind::OneWay);
}

#[test]
fn of_a_long_message_the_beginning_is_read() {
    let find = doc! { "find": "c", "$db": "d", "filter": { "a": 1 }, "x": "y".repeat(300_000) };
    let insert = [body(&doc! { "insert": "c", "$db": "d" }), sequence("documents", &vec![doc! { "x": "y" }; 30_000])];
    for (compressor, name) in [(SNAPPY, "snappy"), (ZLIB, "zlib"), (ZSTD, "zstd")] {
        for (whole, command) in [(request(1, &find), "find"), (msg(1, 0, 0, &insert), "insert")] {
            let bytes = compress(&whole, compressor);
            let report = replay().to_server(&bytes).to_client(reply(1, &doc! { "ok": 1 })).split_sweep();
            let [seen, reply] = report.messages.as_slice() else { panic!("{report:#?}") };
            assert_eq!((seen.type_name.as_str(), seen.endpoint.as_str()), (command, "d.c"), "{name}");
            assert_eq!(seen.completeness, Completeness::Partial, "{name}");
            assert_eq!(seen.reason, "compressed, too long to be decompressed in full");
            assert_eq!(number(seen, "db.operation.batch.size"), None, "not all were seen");
            assert_eq!((reply.status, reply.completeness), (Status::Ok, Completeness::Full));
            let whole = only(replay().option("inflate", "512").to_server(&bytes).run());
            assert_eq!((whole.completeness, whole.type_name.as_str()), (Completeness::Full, command), "{name}");
        }
    }
    // What is not compressed costs nothing, however long.
    let seen = ask(&compress(&msg(1, 0, 0, &insert), NOOP));
    assert_eq!((seen.completeness, number(&seen, "db.operation.batch.size")), (Completeness::Full, Some(30_000)));
}

#[test]
fn what_follows_a_long_batch_is_not_known() {
    let find = request(1, &doc! { "find": "c", "$db": "d" });
    let batch = vec![doc! { "x": "y".repeat(1000) }; 600];
    let long = reply(1, &doc! { "cursor": { "id": 5_i64, "ns": "d.c", "firstBatch": batch }, "ok": 1.0 });
    let seen = answer(&find, &compress(&long, ZLIB));
    assert_eq!((seen.status, seen.answers.as_deref()), (Status::Unknown, Some("find")));
    assert_eq!(number(&seen, "db.response.returned_rows"), None);
}

#[test]
fn an_option_out_of_bounds_is_refused() {
    for value in ["0", "513", "many", ""] {
        assert!(replay().option("inflate", value).to_server([0]).try_run().is_err(), "{value}");
    }
}

#[test]
fn what_cannot_be_decompressed_is_known_by_its_header() {
    let find = msg(1, 0, 0, &[body(&doc! { "find": "c", "$db": "d" })]);
    let zeros = msg(1, 0, 0, &[body(&doc! { "find": "c", "x": "0".repeat(1_000_000), "$db": "d" })]);
    let cases = [
        ("a bomb", compressed(&find, SNAPPY, 50_000_000)),
        ("a bomb", compressed(&zeros, ZLIB, 1000)),
        ("a bomb", compressed(&zeros, ZSTD, 1000)),
        ("not as it says", compressed(&zeros, SNAPPY, 1000)),
        ("not as it says", compressed(&find, SNAPPY, 20)),
        ("not as it says", compressed(&find, ZLIB, 200_000)),
        ("not as it says", compressed(&find, ZSTD, 200_000)),
        ("not as it says", compressed(&find, NOOP, 20)),
        ("unknown compressor", compress(&find, 9)),
    ];
    for (reason, bytes) in cases {
        let seen = ask(&bytes);
        assert_eq!((seen.kind, seen.id, seen.completeness), (Kind::Request, Some(1), Completeness::Header), "{reason}");
        assert!(seen.reason.contains(reason), "{} is not {reason}", seen.reason);
        let seen = answer(&bytes, &reply(1, &doc! { "ok": 1 }));
        assert!(seen.answers.is_some(), "{reason}");
    }
}

#[test]
fn data_that_are_not_compressed_harm_nobody() {
    let find = msg(1, 0, 0, &[body(&doc! { "find": "c", "$db": "d" })]);
    for compressor in [SNAPPY, ZLIB, ZSTD] {
        let good = compress(&find, compressor);
        for at in 16..good.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                assert_eq!(ask(&bad).id, Some(1), "{compressor}: {value} at {at}");
            }
        }
    }
}
