//! Loss: what is behind it is found where the host says that a message begins, or by messages chained to each other.

use protap_plugin::Direction;
use protap_plugin::testing::{Completeness, Part};

use crate::wire::{answers, asked, replay};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn a_gap_inside_a_body_costs_nothing() {
    let body = "z".repeat(100_000);
    let put = format!("PUT / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n{body}");
    let ok = format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{body}");
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n{body}\r\n0\r\n\r\n");
    let report = replay()
        .to_server(&put[..500])
        .gap(Direction::ToServer, 50_000)
        .to_server(&put[50_500..])
        .to_server(GET)
        .to_client(&ok[..500])
        .gap(Direction::ToClient, 50_000)
        .to_client(&ok[50_500..])
        .to_client(&chunked[..500])
        .gap(Direction::ToClient, 50_000)
        .to_client(&chunked[50_500..])
        .run();
    assert_eq!(answers(&report), [("PUT", 200, Some(100_000)), ("GET", 200, Some(100_000))]);
    assert_eq!(report.losses, []);
}

#[test]
fn behind_a_lost_head_messages_are_paired_from_the_next_turn_on() {
    let report = replay()
        .to_server(GET)
        .to_client("HTTP/1.1 200 OK\r\nConte")
        .gap(Direction::ToClient, 100)
        .to_client("the rest of a body, and HTTP/1.1 200 OK\r\nin it")
        .to_server(GET)
        .to_client(OK)
        .run();
    assert_eq!(answers(&report), [("GET", 200, None), ("GET", 200, Some(2))]);
    assert_eq!(report.messages[1].completeness, Completeness::Partial);
}

#[test]
fn behind_a_lost_chunk_the_response_is_partial_and_the_next_one_is_found() {
    let report = replay()
        .to_server(GET)
        .to_client("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .gap(Direction::ToClient, 100)
        .to_client("c\r\n0\r\n\r\n")
        .to_server(GET)
        .to_client(OK)
        .run();
    assert_eq!(answers(&report), [("GET", 200, None), ("GET", 200, Some(2))]);
    let finished = report.messages.iter().find(|seen| matches!(seen.part, Part::Finish(_))).unwrap();
    assert_eq!(finished.completeness, Completeness::Partial);
}

#[test]
fn a_lone_head_in_a_body_is_no_message() {
    let report = replay()
        .to_server("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        .gap(Direction::ToServer, 100)
        .to_server(format!("POST /batch HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc--boundary{GET}--boundary\r\n"))
        .run();
    assert!(asked(&report).iter().all(|(_, path, _)| *path == "/"), "{report:?}");
}

#[test]
fn a_search_in_a_large_body_ends() {
    // Anything could be the beginning of a message, and nothing is one.
    for body in
        ["GET /", "GETGETGET", "GET / HTTP/1.1\r\nA: b\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n", "AAAAAAAA", "HTTP/1."]
    {
        let body = body.repeat(60_000 / body.len());
        let search = |direction| replay().mid_stream().bytes(direction, &body).to_server("GET /2 HTTP/1.1\r\n\r\n");
        for direction in [Direction::ToServer, Direction::ToClient] {
            let report = search(direction).to_client(OK).to_server(GET).to_client(OK).run();
            assert_eq!(answers(&report).last(), Some(&("GET", 200, Some(2))), "{body:.20}");
        }
    }
}

#[test]
fn a_flow_is_understood_from_its_middle() {
    let report = replay()
        .mid_stream()
        .to_client("rest of a body")
        .to_server(GET)
        .to_client(OK)
        .to_server("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        .to_client("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        .run();
    assert_eq!(answers(&report), [("GET", 200, Some(2)), ("PUT", 200, Some(0))]);
}

#[test]
fn a_response_to_an_unseen_head_has_no_body() {
    let report = replay()
        .to_client("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
        .to_client("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nHI")
        .to_server(GET)
        .to_client(OK)
        .split_sweep();
    assert_eq!(answers(&report), [("?", 200, None), ("?", 200, Some(2)), ("GET", 200, Some(2))]);
}
