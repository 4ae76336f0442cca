//! Messages whose end could be read in two ways, and lines that are not as they should be.

use protap_plugin::testing::Completeness;

use crate::wire::{answers, asked, replay, text};

#[test]
fn where_the_rfc_says_which_end_counts_the_message_is_told_to_be_ambiguous() {
    for (fields, what) in [
        ("Content-Length: 2\r\nTransfer-Encoding: chunked", "Transfer-Encoding and Content-Length"),
        ("Transfer-Encoding: chunked\r\nHost: a\r\nHost: b", "several Host"),
        ("Transfer-Encoding: chunked\r\nX : y", "whitespace before a colon"),
    ] {
        let conversation = replay()
            .to_server(format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"))
            .to_client("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".repeat(2));
        let report = conversation.split_sweep();
        assert_eq!(asked(&report), [("POST", "/", Some(0)), ("GET", "/2", None)]);
        assert_eq!(text(&report.messages[0], "http1.ambiguity"), Some(what));
        assert_eq!(text(&report.messages[2], "http1.ambiguity"), None);
        conversation.truncation_sweep();
    }
}

#[test]
fn where_it_says_that_there_is_none_nothing_is_guessed() {
    for fields in [
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2, 3",
        "Content-Length: +2",
        "Content-Length : 2",
        "Content-Length: 2\r\n 3",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Content-Length: x\r\nTransfer-Encoding: chunked",
    ] {
        let request = format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n");
        let refused = replay().to_server(&request).to_client("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n");
        let report = refused.split_sweep();
        assert_eq!(answers(&report), [("POST", 400, Some(0))], "{fields}");
        assert_eq!(report.messages[0].completeness, Completeness::Partial, "{fields}");
        assert!(text(&report.messages[0], "http1.ambiguity").is_some(), "{fields}");
        let smuggled = replay()
            .to_server(format!("{request}0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"))
            .to_client("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")
            .to_server("GET /2 HTTP/1.1\r\n\r\n")
            .to_client("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let report = smuggled.split_sweep();
        assert_eq!(answers(&report)[0], ("POST", 400, Some(0)), "{fields}");
        assert_eq!(report.losses.len(), 1, "{fields}");
    }
}

#[test]
fn old_ways_to_end_and_continue_lines() {
    let conversation = replay()
        .to_server("\r\nGET /1 HTTP/1.1\nHost: a\nUser-Agent: one\n\ttwo\n three\n\n\r\n\nGET /2 HTTP/1.1\r\n\r\n")
        .to_client("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi\r\nHTTP/1.1 200\r\nContent-Length: 0\r\n\r\n");
    let report = conversation.split_sweep();
    assert_eq!(asked(&report), [("GET", "/1", None), ("GET", "/2", None)]);
    assert_eq!(text(&report.messages[0], "user_agent.original"), Some("one two three"));
    assert_eq!(answers(&report), [("GET", 200, Some(2)), ("GET", 200, Some(0))]);
    conversation.truncation_sweep();
}

#[test]
fn what_is_no_head_is_no_message() {
    for bytes in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1x\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\n: no name\r\n\r\n",
        "G\u{1}T / HTTP/1.1\r\n\r\n",
        "\0\0\0\x10\r\n\r\n",
    ] {
        let report = replay().to_server(bytes).run();
        assert!(report.messages.is_empty() && !report.losses.is_empty(), "{bytes:?}: {report:?}");
    }
}

#[test]
fn a_target_with_spaces_is_told_to_be_ambiguous() {
    let report = replay().to_server("GET /a b HTTP/1.1\r\n\r\n").split_sweep();
    assert_eq!(asked(&report), [("GET", "/a b", None)]);
    assert_eq!(text(&report.messages[0], "http1.ambiguity"), Some("a target with spaces"));
}
