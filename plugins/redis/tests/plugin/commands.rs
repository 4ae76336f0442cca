//! Single commands and their replies.

use protap_plugin::testing::Value;
use protap_plugin::{Direction, Kind, Status};

use crate::wire::{array_of, command, commands, number, outcomes, replay};

#[test]
fn pipelined_commands_are_answered_in_order() {
    let conversation = replay()
        .to_server(commands(&["SET k v", "get k", "GET nope", "LPUSH k x", "CONFIG GET maxmemory", "json.get k"]))
        .to_client(
            "+OK\r\n$1\r\nv\r\n$-1\r\n-WRONGTYPE Operation against a key\r\n*2\r\n$1\r\na\r\n$1\r\n0\r\n-OOM x\r\n",
        );
    let report = conversation.split_sweep();
    assert_eq!(
        outcomes(&report),
        [
            ("SET", Status::Ok, ""),
            ("GET", Status::Ok, ""),
            ("GET", Status::Ok, ""),
            ("LPUSH", Status::ClientError, "WRONGTYPE"),
            ("CONFIG GET", Status::Ok, ""),
            ("JSON.GET", Status::ServerError, "OOM"),
        ]
    );
    let results: Vec<&str> = report.messages[6..].iter().map(|seen| seen.result.as_str()).collect();
    assert_eq!(results, ["OK", "", "nil", "", "", ""]);
    conversation.truncation_sweep();
}

#[test]
fn inline_commands_may_be_quoted_and_empty_lines_say_nothing() {
    let conversation = replay()
        .to_server("PING\r\n\r\nset k \"a b\\\" c\"\n  get   k \r\n*0\r\n*-1\r\nECHO 'x y'\r\n")
        .to_client("+PONG\r\n+OK\r\n$6\r\na b\" c\r\n$3\r\nx y\r\n");
    let report = conversation.split_sweep();
    let names: Vec<_> = outcomes(&report).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["PING", "SET", "GET", "ECHO"]);
    assert_eq!(number(&report.messages[1], "redis.argument.count"), Some(2));
    conversation.truncation_sweep();
}

#[test]
fn every_type_of_reply_is_read_to_its_end() {
    for (reply, kind, elements) in [
        ("+fine\r\n", "simple_string", None),
        (":12\r\n", "integer", None),
        ("$0\r\n\r\n", "bulk_string", None),
        ("$-1\r\n", "null", None),
        ("*-1\r\n", "null", None),
        ("_\r\n", "null", None),
        ("*0\r\n", "array", Some(0)),
        ("*2\r\n*1\r\n*1\r\n:1\r\n+x\r\n", "array", Some(2)),
        ("%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n", "map", Some(2)),
        ("~1\r\n#t\r\n", "set", Some(1)),
        ("#f\r\n", "boolean", None),
        (",3.25\r\n", "double", None),
        ("(123456789012345678901234567890\r\n", "big_number", None),
        ("=7\r\ntxt:abc\r\n", "verbatim_string", None),
        ("|1\r\n+ttl\r\n:1\r\n*1\r\n:5\r\n", "array", Some(1)),
        ("$?\r\n;3\r\nabc\r\n;0\r\n", "bulk_string", None),
        ("*?\r\n:1\r\n%?\r\n+a\r\n:1\r\n.\r\n.\r\n", "array", None),
    ] {
        let conversation = replay().to_server(commands(&["EVAL x 0", "PING"])).to_client(format!("{reply}+PONG\r\n"));
        let report = conversation.split_sweep();
        assert_eq!(outcomes(&report), [("EVAL", Status::Ok, ""), ("PING", Status::Ok, "")], "{reply:?}");
        assert_eq!(report.messages[2].attribute("redis.reply.type"), Some(&kind.into()));
        assert_eq!(number(&report.messages[2], "redis.reply.elements"), elements, "{reply:?}");
        conversation.truncation_sweep();
    }
}

#[test]
fn a_bulk_error_is_an_error() {
    let conversation = replay().to_server(command("GET k")).to_client("!21\r\nSYNTAX invalid syntax\r\n");
    assert_eq!(outcomes(&conversation.split_sweep()), [("GET", Status::ClientError, "SYNTAX")]);
    conversation.truncation_sweep();
}

#[test]
fn an_error_without_a_name_says_nothing_of_its_text() {
    let report = replay().to_server(command("EVAL x 0")).to_client("-user 4711 is locked\r\n").run();
    assert_eq!(outcomes(&report), [("EVAL", Status::ClientError, "")]);
    assert_eq!(report.messages[1].attribute("error.type"), Some(&"_OTHER".into()));
    assert!(!format!("{report:?}").contains("4711"));
}

#[test]
fn a_redirection_says_where_to() {
    let report = replay().to_server(command("GET k")).to_client("-MOVED 3999 127.0.0.1:6381\r\n").run();
    assert_eq!(outcomes(&report), [("GET", Status::ClientError, "MOVED")]);
    assert_eq!(report.messages[1].attribute("redis.redirection"), Some(&"127.0.0.1:6381".into()));
}

#[test]
fn strings_longer_than_a_window_are_passed_over() {
    let value = vec![b'z'; 300_000];
    let report = replay()
        .to_server(array_of(&[b"SET", b"big", &value, b"EX", b"10"]))
        .to_server(command("GET big"))
        .to_client("+OK\r\n")
        .to_client([&b"$300000\r\n"[..], &value, b"\r\n"].concat())
        .run();
    assert_eq!(outcomes(&report), [("SET", Status::Ok, ""), ("GET", Status::Ok, "")]);
    assert_eq!(number(&report.messages[3], "redis.reply.bytes"), Some(300_000));
}

#[test]
fn lines_longer_than_a_window_are_passed_over() {
    let text = "x".repeat(40_000);
    let report = replay()
        .to_server(commands(&["EVAL a 0", "EVAL b 0", "PING"]))
        .to_client(format!("+{text}\r\n*1\r\n-ERR {text}\r\n+PONG\r\n"))
        .split_sweep();
    assert_eq!(outcomes(&report).len(), 3);
    assert_eq!(number(&report.messages[4], "redis.reply.errors"), Some(1));
}

#[test]
fn keys_are_counted_and_named_only_if_asked_for() {
    let all = [
        ("GET secret-a", 1, vec!["secret-a"]),
        ("MSET secret-a 1 secret-b 2", 2, vec!["secret-a", "secret-b"]),
        ("EVAL script 2 secret-a secret-b arg", 2, vec!["secret-a", "secret-b"]),
        ("EVAL script 99 secret-a", 1, vec!["secret-a"]),
        ("ZUNIONSTORE secret-d 2 secret-a secret-b", 3, vec!["secret-d", "secret-a", "secret-b"]),
        ("XREADGROUP GROUP STREAMS c COUNT 1 STREAMS secret-a secret-b > >", 2, vec!["secret-a", "secret-b"]),
        ("BLPOP secret-a secret-b 0", 2, vec!["secret-a", "secret-b"]),
        ("XINFO STREAM secret-a FULL", 1, vec!["secret-a"]),
        ("OBJECT HELP", 0, vec![]),
        ("AUTH secret-user secret-password", 0, vec![]),
        ("HELLO 3 AUTH secret-user secret-password", 0, vec![]),
        ("CONFIG SET requirepass secret-password", 0, vec![]),
        ("ACL SETUSER secret-user >secret-password", 0, vec![]),
        ("MIGRATE host 1 secret-a 0 5 AUTH secret-password", 1, vec!["secret-a"]),
        ("NOSUCH secret-a", 0, vec![]),
    ];
    for (words, count, keys) in all {
        let plain = replay().to_server(command(words)).split_sweep();
        assert!(!format!("{:?}", plain.messages).contains("secret"), "{words}");
        assert_eq!(number(&plain.messages[0], "redis.key.count").unwrap_or(0), count, "{words}");
        let report = replay().option("keys", "on").to_server(command(words)).split_sweep();
        let named = report.messages[0].attribute("redis.keys");
        assert_eq!(named, (count > 0).then(|| Value::from(&keys[..])).as_ref(), "{words}");
        assert!(!format!("{:?}", report.messages).contains("secret-password"), "{words}");
    }
    assert!(replay().option("keys", "maybe").try_run().is_err());
}

#[test]
fn channels_are_no_keys() {
    let report = replay().option("keys", "on").to_server(commands(&["SUBSCRIBE a b", "PUBLISH c hello"])).run();
    assert_eq!(report.messages[0].attribute("redis.channels"), Some(&Value::from(&["a", "b"][..])));
    assert_eq!(number(&report.messages[1], "redis.channel.count"), Some(1));
    assert_eq!(number(&report.messages[1], "redis.key.count"), None);
}

#[test]
fn what_does_not_look_like_a_name_is_not_emitted() {
    let report = replay().to_server(array_of(&[b"pass word", b"x"])).to_server(array_of(&[&[b'a'; 5000]])).run();
    let names: Vec<_> = report.messages.iter().map(|seen| seen.type_name.as_str()).collect();
    assert_eq!(names, ["unknown", "unknown"]);
}

#[test]
fn only_what_may_block_is_marked() {
    for (words, blocks) in [
        ("BLPOP a 0", true),
        ("XREAD BLOCK 0 STREAMS a $", true),
        ("xread count 1 block 5 streams a $", true),
        ("XREAD STREAMS BLOCK $", false),
        ("XREADGROUP GROUP BLOCK c STREAMS a >", false),
        ("WAIT 1 0", true),
        ("SUBSCRIBE a", false),
        ("GET BLOCK", false),
    ] {
        assert_eq!(replay().to_server(command(words)).run().messages[0].is_long_poll, blocks, "{words}");
    }
    let queued = replay().to_server(commands(&["MULTI", "BLPOP a 0"])).run();
    assert!(!queued.messages[1].is_long_poll);
}

#[test]
fn a_request_has_the_span_of_its_bytes() {
    let report = replay().to_server(commands(&["GET a", "GET bc"])).run();
    let spans: Vec<_> = report.messages.iter().map(|seen| (seen.start, seen.end)).collect();
    assert_eq!(spans, [(0, 20), (20, 41)]);
    assert!(report.messages.iter().all(|seen| seen.kind == Kind::Request && seen.direction == Direction::ToServer));
}
