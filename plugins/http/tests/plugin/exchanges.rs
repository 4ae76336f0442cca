//! Requests and responses: what is told of them, and which belong together.

use protap_plugin::testing::{Completeness, Ending};
use protap_plugin::{Kind, Status};

use crate::wire::{answers, asked, number, replay, text};

const GET: &str = "GET /a/b?secret=1 HTTP/1.1\r\nHost: example.com:8080\r\nUser-Agent: curl/8\r\nReferer: http://x/?secret\r\n\
    Authorization: Basic secret\r\nCookie: secret\r\n\r\n";

#[test]
fn a_request_is_told_under_the_names_of_the_conventions() {
    let conversation = replay()
        .to_server(GET)
        .to_client("HTTP/1.1 404 secret\r\nContent-Length: 6\r\nSet-Cookie: secret\r\n\r\nsecret");
    let report = conversation.split_sweep();
    let (request, response) = (&report.messages[0], &report.messages[1]);
    assert_eq!((request.type_name.as_str(), request.version.as_str()), ("GET", "1.1"));
    assert_eq!((request.resource.as_str(), request.domain.as_str()), ("/a/b", "example.com"));
    for (name, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/a/b"),
        ("server.address", "example.com"),
        ("user_agent.original", "curl/8"),
        ("network.protocol.version", "1.1"),
    ] {
        assert_eq!(text(request, name), Some(value), "{name}");
    }
    assert_eq!(number(request, "server.port"), Some(8080));
    assert_eq!((response.status, response.code, response.exception.as_str()), (Status::ClientError, Some(404), "404"));
    assert_eq!(number(response, "http.response.status_code"), Some(404));
    assert_eq!(text(response, "error.type"), Some("404"));
    assert!(!format!("{:?}", report.messages).contains("secret"));
    conversation.truncation_sweep();
}

#[test]
fn query_and_referer_are_told_if_asked_for() {
    let report = replay().option("query", "on").option("referer", "on").to_server(GET).run();
    assert_eq!(text(&report.messages[0], "url.query"), Some("secret=1"));
    assert_eq!(text(&report.messages[0], "http.request.header.referer"), Some("http://x/?secret"));
    let report = replay().option("referer", "on").to_server(GET).run();
    assert_eq!(text(&report.messages[0], "http.request.header.referer"), Some("http://x/"));
    assert!(replay().option("query", "maybe").try_run().is_err());
    assert!(replay().option("headers", "on").try_run().is_err());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let conversation = replay()
        .to_server("GET /1 HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.1\r\n\r\nPUT /3 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")
        .to_server("DELETE /4 HTTP/1.1\r\n\r\nGET /5 HTTP/1.0\r\n\r\n")
        .to_client("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        .to_client("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
        .to_client("HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let report = conversation.split_sweep();
    let requests = [("GET", "/1", None), ("HEAD", "/2", None), ("PUT", "/3", Some(3)), ("DELETE", "/4", None)];
    assert_eq!(asked(&report)[..4], requests);
    let expected =
        [("GET", 200, Some(2)), ("HEAD", 200, None), ("PUT", 304, None), ("DELETE", 204, None), ("GET", 503, Some(3))];
    assert_eq!(answers(&report), expected);
    assert_eq!(report.unanswered, 0);
    conversation.truncation_sweep();
}

#[test]
fn interim_responses_answer_nothing() {
    let conversation = replay()
        .to_server("PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .to_client("HTTP/1.1 100 Continue\r\n\r\n")
        .to_server("hello")
        .to_client("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    let report = conversation.split_sweep();
    assert_eq!(answers(&report), [("PUT", 201, Some(0))]);
    assert_eq!(number(&report.messages[1], "http1.interim_responses"), Some(2));
}

#[test]
fn a_response_before_the_body_is_paired() {
    let conversation = replay()
        .to_server("PUT / HTTP/1.1\r\nContent-Length: 50000\r\n\r\nabc")
        .to_client("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(answers(&conversation.split_sweep()), [("PUT", 413, Some(0))]);
}

#[test]
fn a_response_before_the_end_of_chunks_is_not_mistaken_for_another_ones() {
    let conversation = replay()
        .to_server("PUT /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .to_client("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        .to_server("0\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
        .to_client("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let report = conversation.split_sweep();
    assert_eq!(answers(&report), [("PUT", 413, Some(0)), ("GET", 200, Some(0))]);
    assert!(report.messages.iter().all(|seen| seen.completeness == Completeness::Full));
}

#[test]
fn behind_an_upgrade_another_protocol_begins() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let conversation = replay()
        .to_server("GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        .to_client([answer.as_bytes(), b"\x81\x05hello"].concat());
    let report = conversation.split_sweep();
    assert_eq!(answers(&report), [("GET", 101, None)]);
    assert_eq!(text(&report.messages[1], "http.response.header.upgrade"), Some("websocket"));
    assert!(matches!(report.ending, Ending::Handover(at, _) if at == answer.len() as u64));
    conversation.truncation_sweep();
}

#[test]
fn behind_connect_another_protocol_begins_if_the_server_agrees() {
    let connect = "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n";
    let agreed = replay()
        .to_server([connect.as_bytes(), b"\x16\x03\x01\x02\x00"].concat())
        .to_client("HTTP/1.1 200 Connection established\r\n\r\n\x16\x03\x03");
    let report = agreed.split_sweep();
    assert_eq!(answers(&report), [("CONNECT", 200, None)]);
    assert_eq!(asked(&report), [("CONNECT", "example.com:443", None)]);
    assert!(matches!(report.ending, Ending::Handover(..)));
    let refused = replay()
        .to_server(connect)
        .to_client("HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno")
        .to_server("GET / HTTP/1.1\r\n\r\n")
        .to_client("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(answers(&refused.split_sweep()), [("CONNECT", 407, Some(2)), ("GET", 200, Some(0))]);
    refused.truncation_sweep();
}

#[test]
fn targets_of_every_form() {
    let report = replay()
        .to_server(
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nGET http://user:secret@b:81/x;jsessionid=secret?secret HTTP/1.1\r\n",
        )
        .to_server("Host: c\r\n\r\nPROPFIND /dav HTTP/1.1\r\n\r\n")
        .split_sweep();
    assert_eq!(asked(&report), [("OPTIONS", "*", None), ("GET", "/x", None), ("PROPFIND", "/dav", None)]);
    let domains: Vec<_> = report.messages.iter().map(|seen| seen.domain.as_str()).collect();
    assert_eq!(domains, ["a", "b", ""]);
    assert_eq!(number(&report.messages[1], "server.port"), Some(81));
    assert_eq!(text(&report.messages[2], "http.request.method"), Some("_OTHER"));
    assert_eq!(text(&report.messages[2], "http.request.method_original"), Some("PROPFIND"));
    assert!(!format!("{:?}", report.messages).contains("secret"));
}

#[test]
fn trace_context_is_told_if_it_is_one() {
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let sw8 = "1-MQ==-Mg==-3-bWVzaA==-aW5zdGFuY2U=-L2FwaQ==-MTI3LjAuMC4xOjgw";
    let report = replay()
        .to_server(format!("GET / HTTP/1.1\r\nTraceparent: {traceparent}\r\nsw8: {sw8}\r\n\r\n"))
        .to_server("GET / HTTP/1.1\r\ntraceparent: my secret\r\nsw8: secret\r\n\r\n")
        .split_sweep();
    assert_eq!(text(&report.messages[0], "http.request.header.traceparent"), Some(traceparent));
    assert_eq!(text(&report.messages[0], "http.request.header.sw8"), Some(sw8));
    assert!(!format!("{:?}", report.messages[1]).contains("secret"));
}

#[test]
fn a_stream_of_events_is_a_long_poll() {
    let report = replay()
        .to_server("GET /events HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n")
        .to_client("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        .run();
    assert!(report.messages[0].is_long_poll);
    // Its response has begun, and is told of.
    assert_eq!((report.messages[1].status, report.unanswered), (Status::Ok, 1));
}

#[test]
fn an_answer_whose_request_was_not_seen_says_so() {
    let report = replay().to_client("HTTP/1.0 408 Request Time-out\r\nContent-Length: 0\r\n\r\n").run();
    assert_eq!((report.messages[0].kind, report.messages[0].completeness), (Kind::Response, Completeness::Partial));
}

#[test]
fn a_server_that_speaks_no_http_is_given_back() {
    let report = replay().to_server("GET / HTTP/1.0\r\n\r\n").to_client("ICY 200 OK\r\nicy-name: x\r\n\r\n").run();
    assert!(matches!(report.ending, Ending::Rejected(_)));
}
