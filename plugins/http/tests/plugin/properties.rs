//! Any conversation of any messages, cut anywhere, gives one response per request; any bytes at all break nothing.

use proptest::prelude::*;
use protap_plugin::Direction;

use crate::wire::{answers, replay};

fn fields() -> impl Strategy<Value = String> {
    prop::collection::vec(("[A-Za-z][A-Za-z-]{0,12}", "[ -~]{0,30}"), 0..5).prop_map(|fields| {
        let known = ["content-length", "transfer-encoding", "host", "upgrade"];
        let is_free = |name: &str| !known.contains(&name.to_ascii_lowercase().as_str());
        fields.iter().filter(|(name, _)| is_free(name)).map(|(name, value)| format!("{name}: {value}\r\n")).collect()
    })
}

/// The field that says how long a body is, and the body.
fn body() -> impl Strategy<Value = (String, Vec<u8>, i64)> {
    let chunk = prop::collection::vec(any::<u8>(), 1..40);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80).prop_map(|body| (
            format!("Content-Length: {}\r\n", body.len()),
            body.clone(),
            body.len() as i64
        )),
        prop::collection::vec(chunk, 0..5).prop_map(|chunks| {
            let size = chunks.iter().map(Vec::len).sum::<usize>() as i64;
            let chunk = |chunk: &Vec<u8>| [format!("{:X}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
            let body = [chunks.iter().flat_map(chunk).collect(), b"0\r\n\r\n".to_vec()].concat();
            ("transfer-encoding: chunked\r\n".to_owned(), body, size)
        }),
    ]
}

fn message(first: &str, fields: &str, body: &(String, Vec<u8>, i64)) -> Vec<u8> {
    [first.as_bytes(), b"\r\n", fields.as_bytes(), body.0.as_bytes(), b"\r\n", &body.1].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn each_request_gets_its_response_however_the_bytes_are_cut(
        exchanges in prop::collection::vec((fields(), body(), fields(), body(), 200_u16..600), 1..6),
        piece in 1_usize..50,
    ) {
        let mut expected = Vec::new();
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        for (of_request, sent, of_response, got, code) in &exchanges {
            asked.extend(message("POST /x HTTP/1.1", of_request, sent));
            answered.extend(message(&format!("HTTP/1.1 {code} x"), of_response, got));
            expected.push((i64::from(*code), got.2));
        }
        // Those two have no body.
        prop_assume!(exchanges.iter().all(|exchange| ![204, 304].contains(&exchange.4)));
        let whole = replay().to_server(&asked).to_client(&answered).run();
        prop_assert!(whole.losses.is_empty() && whole.unanswered == 0);
        let seen: Vec<_> = answers(&whole).into_iter().map(|(_, code, size)| (code, size.unwrap_or(-1))).collect();
        prop_assert_eq!(seen, expected);
        let cut = asked.chunks(piece).fold(replay(), |replay, piece| replay.to_server(piece));
        let cut = answered.chunks(piece).fold(cut, |replay, piece| replay.to_client(piece));
        prop_assert_eq!(cut.run().messages, whole.messages);
    }

    #[test]
    fn any_bytes_break_nothing(
        steps in prop::collection::vec((any::<bool>(), prop::collection::vec(prop_oneof![
            Just("GET / HTTP/1.1\r\n"), Just("HTTP/1.1 200 OK\r\n"), Just("\r\n"), Just("Content-Length: 5\r\n"),
            Just("Transfer-Encoding: chunked\r\n"), Just("5\r\n"), Just("0\r\n"), Just(":"), Just("CONNECT x HTTP/1.0\n"),
            Just("\0"), Just("HTTP/1.1 101 x\r\n"), Just("\t"),
        ], 0..12)), 0..12),
        is_mid_stream in any::<bool>(),
    ) {
        let replay = if is_mid_stream { replay().mid_stream() } else { replay() };
        let direction = |to_server| if to_server { Direction::ToServer } else { Direction::ToClient };
        let replay = steps.iter().fold(replay, |replay, (to, words)| replay.bytes(direction(*to), words.concat()));
        prop_assert!(replay.try_run().is_ok());
    }
}
