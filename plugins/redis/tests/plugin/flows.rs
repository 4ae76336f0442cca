//! What commands mean for those that follow: databases, transactions, subscriptions, silence, replication.

use protap_plugin::testing::Completeness;
use protap_plugin::{Direction, Kind, Status};

use crate::wire::{array_of, command, commands, databases, number, one_way, outcomes, replay, truncation_sweep};

#[test]
fn a_database_is_what_the_last_select_that_succeeded_says() {
    let conversation = replay()
        .to_server(command("GET a"))
        .to_client("$-1\r\n")
        .to_server(commands(&["SELECT 3", "GET a", "SELECT 99", "GET a", "RESET", "GET a"]))
        .to_client("+OK\r\n$-1\r\n-ERR DB index is out of range\r\n$-1\r\n+RESET\r\n$-1\r\n");
    let report = conversation.split_sweep();
    let responses: Vec<_> = databases(&report).split_off(8);
    assert_eq!(databases(&report)[..2], ["0", ""]);
    assert_eq!(responses, ["3", "3", "3", "3", "", ""]);
    // From RESET on, the requests themselves say it.
    assert_eq!(databases(&report)[2..8], ["", "", "", "", "0", "0"]);
    truncation_sweep(&conversation);
}

#[test]
fn nothing_is_said_of_a_database_that_was_selected_before_the_capture() {
    let report = replay()
        .mid_stream()
        .to_server(commands(&["GET a", "GET b"]))
        .to_client("$-1\r\n$-1\r\n")
        .to_server(command("SELECT 2"))
        .to_client("+OK\r\n")
        .to_server(command("GET a"))
        .to_client("$-1\r\n")
        .run();
    let said: Vec<_> = databases(&report).into_iter().filter(|database| !database.is_empty()).collect();
    assert_eq!(said, ["2", "2"]);
}

#[test]
fn a_select_in_a_transaction_counts_once_it_is_executed() {
    for (exec, database) in [
        ("*2\r\n+OK\r\n$-1\r\n", "7"),
        ("*-1\r\n", "0"),
        ("-EXECABORT Transaction discarded\r\n", "0"),
        ("*2\r\n-ERR DB index is out of range\r\n$-1\r\n", ""),
    ] {
        let conversation = replay()
            .to_server(commands(&["MULTI", "SELECT 7", "GET a", "EXEC", "GET a"]))
            .to_client(format!("+OK\r\n+QUEUED\r\n+QUEUED\r\n{exec}$-1\r\n"));
        let report = conversation.split_sweep();
        assert_eq!(databases(&report).last(), Some(&database), "{exec:?}");
        truncation_sweep(&conversation);
    }
}

#[test]
fn an_error_in_a_transaction_is_that_of_its_exec() {
    let conversation = replay()
        .to_server(commands(&["MULTI", "SET a 1", "LPUSH a 1", "INCR a", "EXEC", "EVAL x 0"]))
        .to_client("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n")
        .to_client("*3\r\n+OK\r\n-WRONGTYPE no\r\n-ERR no\r\n*1\r\n-ERR inner\r\n");
    let report = conversation.split_sweep();
    let outcomes = outcomes(&report);
    assert_eq!(outcomes[4..], [("EXEC", Status::ClientError, "WRONGTYPE"), ("EVAL", Status::Ok, "")]);
    assert_eq!(number(&report.messages[4], "db.operation.batch.size"), Some(3));
    assert_eq!(number(&report.messages[10], "redis.reply.errors"), Some(2));
    truncation_sweep(&conversation);
}

#[test]
fn a_subscription_has_a_reply_for_each_channel_and_messages_are_nobodys_answer() {
    let message = array_of(&[b"message", b"a", b"hello"]);
    let conversation = replay()
        .to_server(command("SUBSCRIBE a b"))
        .to_client("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
        .to_client(&message)
        .to_client("*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n")
        .to_client(array_of(&[b"pmessage", b"p*", b"pq", b"hello"]))
        .to_server(commands(&["PING", "GET x", "UNSUBSCRIBE"]))
        .to_client(&message)
        .to_client("*2\r\n$4\r\npong\r\n$0\r\n\r\n")
        .to_client(&message)
        .to_client("-ERR Can't execute 'get'\r\n")
        .to_client("*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n")
        .to_server(commands(&["UNSUBSCRIBE", "LRANGE l 0 -1"]))
        .to_client("*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n")
        .to_client(&message);
    let report = conversation.split_sweep();
    assert_eq!(one_way(&report), ["message", "pmessage", "message", "message"]);
    let answered: Vec<_> = outcomes(&report).into_iter().map(|(name, ..)| name).collect();
    let expected = ["SUBSCRIBE", "SUBSCRIBE", "PING", "GET", "UNSUBSCRIBE", "UNSUBSCRIBE", "UNSUBSCRIBE", "LRANGE"];
    assert_eq!(answered, expected);
    assert_eq!(report.unanswered, 0);
    // After a loss a list that begins like a message cannot be told from one.
    truncation_sweep(&conversation.without_last());
}

#[test]
fn pushes_are_told_from_the_subscriptions_that_they_confirm() {
    let conversation = replay()
        .to_server(commands(&["HELLO 3", "SUBSCRIBE a", "GET k"]))
        .to_client("%1\r\n$5\r\nproto\r\n:3\r\n")
        .to_client(">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nkey\r\n")
        .to_client(
            ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n$1\r\nv\r\n",
        );
    let report = conversation.split_sweep();
    assert_eq!(one_way(&report), ["invalidate", "message"]);
    let answered: Vec<_> = outcomes(&report).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(answered, ["HELLO", "SUBSCRIBE", "GET"]);
    truncation_sweep(&conversation);
}

#[test]
fn a_list_that_begins_like_a_message_is_an_answer() {
    let report =
        replay().to_server(command("LRANGE l 0 -1")).to_client(array_of(&[b"message", b"a", b"b"])).split_sweep();
    assert_eq!(outcomes(&report), [("LRANGE", Status::Ok, "")]);
}

#[test]
fn what_is_asked_to_go_unanswered_is_one_way() {
    let conversation = replay()
        .to_server(commands(&["CLIENT REPLY SKIP", "SET a 1", "GET a"]))
        .to_client("$1\r\n1\r\n")
        .to_server(commands(&["CLIENT REPLY OFF", "SET a 1", "CLIENT REPLY SKIP", "GET a", "CLIENT REPLY ON", "GET a"]))
        .to_client("+OK\r\n$1\r\n1\r\n");
    let report = conversation.split_sweep();
    let silent = ["CLIENT REPLY", "SET", "CLIENT REPLY", "SET", "CLIENT REPLY", "GET"];
    assert_eq!(one_way(&report), silent);
    let answered: Vec<_> = outcomes(&report).into_iter().map(|(name, ..)| name).collect();
    assert_eq!((answered, report.unanswered), (vec!["GET", "CLIENT REPLY", "GET"], 0));
    truncation_sweep(&conversation);
}

#[test]
fn lines_of_monitor_are_told_from_answers() {
    let line = "+1339518083.107412 [0 127.0.0.1:60866] \"set\" \"secret\"\r\n";
    let conversation = replay()
        .to_server(command("MONITOR"))
        .to_client(format!("+OK\r\n{line}"))
        .to_server(command("PING"))
        .to_client(format!("{line}+PONG\r\n{line}"));
    let report = conversation.split_sweep();
    assert_eq!(one_way(&report), ["monitor", "monitor", "monitor"]);
    assert_eq!(outcomes(&report), [("MONITOR", Status::Ok, ""), ("PING", Status::Ok, "")]);
    assert!(!format!("{:?}", report.messages).contains("secret"));
    truncation_sweep(&conversation);
}

/// What a master sends: a snapshot, then commands.
fn replicated(snapshot: &[u8]) -> Vec<u8> {
    let sent = commands(&["SELECT 3", "SET k v", "PING", "REPLCONF GETACK *"]);
    [b"+FULLRESYNC 8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb 0\r\n\n\n", snapshot, &sent].concat()
}

#[test]
fn a_replica_gets_a_snapshot_and_then_commands() {
    let mark = b"0123456789abcdef0123456789abcdef01234567";
    let body = b"REDIS0010\xfe\x00\r\n01234567890123456789".repeat(10);
    let sized = [format!("${}\r\n", body.len()).as_bytes(), &body].concat();
    let marked = [&b"$EOF:"[..], mark, b"\r\n", &body, mark].concat();
    for snapshot in [sized, marked] {
        let conversation = replay()
            .to_server(commands(&["REPLCONF capa eof", "PSYNC ? -1"]))
            .to_client("+OK\r\n")
            .to_client(replicated(&snapshot))
            .to_server(command("REPLCONF ACK 14"));
        let report = conversation.split_sweep();
        assert_eq!(outcomes(&report), [("REPLCONF", Status::Ok, ""), ("PSYNC", Status::Ok, "")]);
        assert_eq!(one_way(&report), ["snapshot", "SELECT", "SET", "PING", "REPLCONF", "REPLCONF"]);
        let set = report.messages.iter().find(|seen| seen.type_name == "SET").unwrap();
        assert_eq!((set.direction, set.domain.as_str()), (Direction::ToClient, "3"));
        truncation_sweep(&conversation);
    }
}

#[test]
fn sync_is_answered_by_the_snapshot_itself() {
    let conversation = replay().to_server(command("SYNC")).to_client("\n$5\r\nREDIS").to_client(command("SET k v"));
    let report = conversation.split_sweep();
    assert_eq!(outcomes(&report), [("SYNC", Status::Ok, "")]);
    assert_eq!(one_way(&report), ["SET"]);
}

#[test]
fn a_partial_resynchronisation_has_no_snapshot() {
    let report = replay().to_server(command("PSYNC x 5")).to_client("+CONTINUE\r\n").to_client(command("SET k v"));
    assert_eq!(one_way(&report.split_sweep()), ["SET"]);
}

#[test]
fn a_replica_that_was_picked_up_in_its_middle_still_gets_commands() {
    let report = replay()
        .mid_stream()
        .to_client(commands(&["SET k v", "SET k v", "SET k v"]))
        .to_server(commands(&["REPLCONF ACK 14", "REPLCONF ACK 15"]))
        .to_client(commands(&["SET k v"]))
        .run();
    assert_eq!(one_way(&report), ["SET", "SET", "SET", "REPLCONF", "REPLCONF", "SET"]);
}

#[test]
fn an_answer_whose_request_was_not_seen_says_so() {
    let report = replay().to_client("$5\r\nhello\r\n").run();
    assert_eq!((report.messages[0].kind, report.messages[0].completeness), (Kind::Response, Completeness::Partial));
}
