//! Bodies of every kind are passed over.

use protap_plugin::testing::Completeness;
use protap_plugin::{Direction, Status};

use crate::wire::{answers, asked, is_begun, number, replay};

const GET: &str = "GET / HTTP/1.1\r\n\r\n";

#[test]
fn chunks_and_trailers() {
    let body = "5;ext=\"x\"\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: secret\r\n\r\n";
    let conversation = replay()
        .to_server(format!("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n{body}{GET}"))
        .to_client(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"))
        .to_client("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    let report = conversation.split_sweep();
    assert_eq!(asked(&report)[0], ("POST", "/", Some(6)));
    assert_eq!(answers(&report), [("POST", 200, Some(6)), ("GET", 200, Some(1))]);
    let parts: Vec<_> = report.messages.iter().filter(|seen| seen.answers.as_deref() == Some("POST")).collect();
    assert_eq!((parts[0].start, parts[0].end - parts[0].start), (47, body.len() as u64));
    conversation.truncation_sweep();
}

#[test]
fn a_body_up_to_the_end() {
    let conversation = replay()
        .to_server(GET)
        .to_client("HTTP/1.0 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\nno head")
        .end(Direction::ToClient);
    let report = conversation.split_sweep();
    assert_eq!(answers(&report), [("GET", 200, Some(26))]);
    assert_eq!((report.messages.len(), report.messages[2].completeness), (3, Completeness::Full));
}

#[test]
fn bodies_longer_than_a_window() {
    let body = vec![b'z'; 300_000];
    let chunked = [&b"186a0\r\n"[..], &body[..100_000], b"\r\n30d40\r\n", &body[100_000..], b"\r\n0\r\n\r\n"].concat();
    let report = replay()
        .to_server([&b"PUT / HTTP/1.1\r\nContent-Length: 300000\r\n\r\n"[..], &body].concat())
        .to_server([&b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &chunked].concat())
        .to_server(GET)
        .to_client([&b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n"[..], &body].concat())
        .to_client([&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &chunked].concat())
        .to_client([&b"HTTP/1.1 200 OK\r\n\r\n"[..], &body].concat())
        .end(Direction::ToClient)
        .run();
    assert_eq!(asked(&report), [("PUT", "/", Some(300_000)), ("PUT", "/", Some(300_000)), ("GET", "/", None)]);
    assert_eq!(
        answers(&report),
        [("PUT", 200, Some(300_000)), ("PUT", 200, Some(300_000)), ("GET", 200, Some(300_000))]
    );
    assert_eq!((report.losses, report.unread), (vec![], [0, 0]));
}

#[test]
fn a_body_that_ends_early_is_partial() {
    for head in ["Content-Length: 100", "Content-Length: 100000", "Transfer-Encoding: chunked\r\nX: y"] {
        let report = replay()
            .to_server(GET)
            .to_client(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n3\r\nabc"))
            .end(Direction::ToClient)
            .run();
        let response = report.messages.iter().rfind(|seen| !is_begun(seen)).unwrap();
        assert_eq!((response.status, response.completeness), (Status::Ok, Completeness::Partial), "{head}");
    }
}

#[test]
fn long_heads_and_lines_are_read_to_their_end() {
    let cookie = "x".repeat(40_000);
    let fields: String = (0..600).map(|n| format!("X-Field-{n}: {}\r\n", "v".repeat(80))).collect();
    let conversation = replay()
        .to_server(format!("GET /a HTTP/1.1\r\nCookie: {cookie}\r\nHost: h\r\n\r\n"))
        .to_server(format!("GET /b HTTP/1.1\r\n{fields}Host: h\r\nContent-Length: 2\r\n\r\nhi"))
        .to_server(format!("GET /c?{cookie} HTTP/1.1\r\nHost: h\r\n\r\n"))
        .to_client("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".repeat(3));
    let report = conversation.split_sweep();
    assert_eq!(asked(&report), [("GET", "/a", None), ("GET", "/b", Some(2)), ("GET", "/c", None)]);
    assert!(report.messages[..3].iter().all(|seen| seen.domain == "h"));
    assert_eq!(report.messages[2].completeness, Completeness::Partial);
    assert_eq!(answers(&report).len(), 3);
}

#[test]
fn a_head_without_an_end_is_given_up() {
    let report = replay().to_server("GET / HTTP/1.1\r\nX: y\r\n".to_owned() + &"X: y\r\n".repeat(20_000)).run();
    assert_eq!(report.messages, []);
    assert_eq!(report.losses[0].reason, "a head without an end");
}

#[test]
fn a_stream_for_ever_leaves_nothing_behind() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let events = "6\r\ndata:\n\r\n".repeat(50_000);
    let report = replay().to_server(GET).to_client(head).to_client(events).to_client("0\r\n\r\n").run();
    assert_eq!(answers(&report), [("GET", 200, Some(300_000))]);
    assert_eq!((report.messages[2].completeness, report.unread), (Completeness::Full, [0, 0]));
    assert_eq!(number(&report.messages[2], "http.response.body.size"), Some(300_000));
}
