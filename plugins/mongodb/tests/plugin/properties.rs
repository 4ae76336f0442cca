//! Random documents around what is looked for, and random bytes instead of messages.

use bson::oid::ObjectId;
use bson::{Bson, Document, doc};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};
use protap_plugin::testing::{Completeness, Replay};
use protap_plugin::{Direction, Status};

use crate::wire::{body, message, msg, number, replay, reply, request, sequence, with_checksum};

fn value() -> impl Strategy<Value = Bson> {
    let leaf = prop_oneof![
        any::<f64>().prop_map(Bson::Double),
        ".{0,40}".prop_map(Bson::String),
        any::<i32>().prop_map(Bson::Int32),
        any::<i64>().prop_map(Bson::Int64),
        any::<bool>().prop_map(Bson::Boolean),
        any::<[u8; 12]>().prop_map(|bytes| Bson::ObjectId(ObjectId::from_bytes(bytes))),
        prop::collection::vec(any::<u8>(), 0..600)
            .prop_map(|bytes| { Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes }) }),
        Just(Bson::Null),
        Just(Bson::MaxKey),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Bson::Array),
            prop::collection::vec((name(), inner), 0..6).prop_map(|pairs| Bson::Document(pairs.into_iter().collect())),
        ]
    })
}

/// A name that is none of those that are looked for.
fn name() -> impl Strategy<Value = String> {
    "[a-z]{0,12}".prop_map(|name| format!("_{name}"))
}

fn document() -> impl Strategy<Value = Document> {
    prop::collection::vec((name(), value()), 0..6).prop_map(|pairs| pairs.into_iter().collect())
}

/// `parts` put together into one document.
fn join(parts: [Document; 5]) -> Document {
    parts.into_iter().flatten().collect()
}

/// A step cut at these places, in permille of it.
fn cut(replay: Replay, direction: Direction, bytes: &[u8], cuts: &[usize]) -> Replay {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut * bytes.len() / 1000).chain([0, bytes.len()]).collect();
    places.sort_unstable();
    places.windows(2).fold(replay, |replay, place| replay.bytes(direction, &bytes[place[0]..place[1]]))
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..1000_usize, 0..6)
}

proptest! {
    #[test]
    fn a_command_is_read_whatever_stands_around(
        noise in [document(), document(), document()],
        documents in prop::collection::vec(document(), 0..20),
        (is_first, has_checksum) in any::<(bool, bool)>(),
        cuts in cuts(),
    ) {
        let [a, b, _] = noise;
        let command = join([doc! { "insert": "c" }, a, doc! { "$db": "d" }, b, doc! {}]);
        let mut sections = vec![body(&command), sequence("documents", &documents)];
        if is_first {
            sections.reverse();
        }
        let bytes = if has_checksum { with_checksum(1, &sections) } else { msg(1, 0, 0, &sections) };
        let report = cut(replay(), Direction::ToServer, &bytes, &cuts).run();
        prop_assert_eq!(report.messages.len(), 1);
        let seen = &report.messages[0];
        prop_assert_eq!((seen.type_name.as_str(), seen.endpoint.as_str()), ("insert", "d.c"));
        let batch = i64::try_from(documents.len()).unwrap();
        prop_assert_eq!(number(seen, "db.operation.batch.size"), (batch > 1).then_some(batch));
        prop_assert_eq!(seen.completeness, Completeness::Full);
    }

    #[test]
    fn a_reply_is_read_whatever_stands_around(
        noise in [document(), document(), document()],
        batch in prop::collection::vec(value(), 0..40),
        (is_ok, id) in any::<(bool, i64)>(),
        cuts in cuts(),
    ) {
        let [a, b, c] = noise;
        let cursor = join([a, doc! { "firstBatch": batch.clone() }, c, doc! { "id": id }, doc! {}]);
        let end = if is_ok { doc! { "ok": 1.0 } } else { doc! { "ok": 0.0, "code": 43 } };
        let document = join([doc! { "cursor": cursor }, b, end, doc! {}, doc! {}]);
        let asked = replay().to_server(request(1, &doc! { "find": "c", "$db": "d" }));
        let report = cut(asked, Direction::ToClient, &reply(1, &document), &cuts).run();
        prop_assert_eq!(report.messages.len(), 2);
        let seen = &report.messages[1];
        prop_assert_eq!(seen.status, if is_ok { Status::Ok } else { Status::ClientError });
        prop_assert_eq!(number(seen, "db.response.returned_rows"), i64::try_from(batch.len()).ok());
        prop_assert_eq!(number(seen, "mongodb.cursor_id"), (id != 0).then_some(id));
        prop_assert_eq!(seen.completeness, Completeness::Full);
    }

    #[test]
    fn noise_behind_a_header_breaks_nothing(
        op_code in prop::sample::select(vec![1, 1000, 2001, 2002, 2004, 2005, 2006, 2007, 2010, 2011, 2012, 2013]),
        noise in prop::collection::vec(any::<u8>(), 0..400),
        is_reply in any::<bool>(),
        cuts in cuts(),
    ) {
        let direction = if is_reply { Direction::ToClient } else { Direction::ToServer };
        let bytes = message(1, u32::from(is_reply), op_code, &noise);
        let report = cut(replay(), direction, &bytes, &cuts).run();
        prop_assert_eq!(report.messages.len(), 1);
        prop_assert_eq!(report.losses.len(), 0);
    }

    #[test]
    fn a_flipped_byte_breaks_nothing(at in any::<prop::sample::Index>(), flip in 1..=255_u8, command in document()) {
        let command = join([doc! { "find": "c" }, command, doc! { "$db": "d" }, doc! {}, doc! {}]);
        let mut bytes = [request(1, &command), request(2, &command)].concat();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let _ = replay().to_server(&bytes).end(Direction::ToServer).run();
        let _ = replay().to_client(&bytes).end(Direction::ToClient).run();
    }

    #[test]
    fn noise_breaks_nothing(noise in prop::collection::vec(any::<u8>(), 0..3000)) {
        let _ = replay().to_server(&noise).to_client(&noise).to_server(&noise).run();
    }
}
