//! Any conversation of any values, cut anywhere, gives one response per request; any bytes at all break nothing.

use proptest::prelude::*;
use protap_plugin::{Direction, Kind};

use crate::wire::{array_of, bulk, replay};

/// A value of any type, as a server encodes it.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let text = "[a-zA-Z0-9 ]{0,12}";
    let leaf = prop_oneof![
        text.prop_map(|text| format!("+{text}\r\n").into_bytes()),
        text.prop_map(|text| format!("-ERR {text}\r\n").into_bytes()),
        any::<i64>().prop_map(|number| format!(":{number}\r\n").into_bytes()),
        any::<f64>().prop_map(|number| format!(",{number:e}\r\n").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(|text| bulk(&text)),
        Just(b"$-1\r\n".to_vec()),
        Just(b"_\r\n".to_vec()),
        Just(b"#t\r\n".to_vec()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let items = |mark: char, inner: BoxedStrategy<Vec<u8>>| {
            prop::collection::vec(inner, 0..4)
                .prop_map(move |items| [format!("{mark}{}\r\n", items.len()).as_bytes(), &items.concat()].concat())
        };
        let pairs = prop::collection::vec((inner.clone(), inner.clone()), 0..3).prop_map(|pairs| {
            let all: Vec<u8> = pairs.iter().flat_map(|(a, b)| [a.clone(), b.clone()].concat()).collect();
            [format!("%{}\r\n", pairs.len()).as_bytes(), &all].concat()
        });
        prop_oneof![items('*', inner.clone().boxed()), items('~', inner.boxed()), pairs]
    })
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let names = prop::sample::select(vec!["GET", "EVAL", "HGETALL", "FT.SEARCH", "OBJECT", "XREAD"]);
    let arguments = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..5);
    (names, arguments).prop_map(|(name, arguments)| {
        let words: Vec<&[u8]> = core::iter::once(name.as_bytes()).chain(arguments.iter().map(Vec::as_slice)).collect();
        array_of(&words)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn each_request_gets_its_reply_however_the_bytes_are_cut(
        exchanges in prop::collection::vec((request(), value()), 1..8),
        piece in 1_usize..50,
    ) {
        let asked: Vec<u8> = exchanges.iter().flat_map(|(request, _)| request.clone()).collect();
        let answered: Vec<u8> = exchanges.iter().flat_map(|(_, value)| value.clone()).collect();
        let whole = replay().to_server(&asked).to_client(&answered).run();
        prop_assert_eq!(whole.messages.len(), 2 * exchanges.len());
        prop_assert!(whole.losses.is_empty() && whole.unanswered == 0);
        let ends = |kind| whole.messages.iter().filter(move |seen| seen.kind == kind).map(|seen| seen.end);
        let sums = exchanges.iter().scan(0, |sum, (_, value)| { *sum += value.len() as u64; Some(*sum) });
        prop_assert!(ends(Kind::Response).eq(sums));
        let cut = asked.chunks(piece).fold(replay(), |replay, piece| replay.to_server(piece));
        let cut = answered.chunks(piece).fold(cut, |replay, piece| replay.to_client(piece));
        prop_assert_eq!(cut.run().messages, whole.messages);
    }

    #[test]
    fn any_bytes_break_nothing(
        steps in prop::collection::vec((any::<bool>(), prop::collection::vec(prop_oneof![
            Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'>'), any::<u8>(),
        ], 0..80)), 0..12),
        is_mid_stream in any::<bool>(),
    ) {
        let replay = if is_mid_stream { replay().mid_stream() } else { replay() };
        let direction = |to_server| if to_server { Direction::ToServer } else { Direction::ToClient };
        let replay = steps.iter().fold(replay, |replay, (to, bytes)| replay.bytes(direction(*to), bytes));
        prop_assert!(replay.try_run().is_ok());
    }
}
