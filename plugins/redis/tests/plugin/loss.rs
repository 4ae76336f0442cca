//! Loss: what is behind it is found by frames that are chained to each other, or where the host says that one begins.

use protap_plugin::testing::Completeness;
use protap_plugin::{Direction, Status};

use crate::wire::{bulk, command, commands, outcomes, replay};

#[test]
fn a_gap_inside_a_value_costs_nothing() {
    let set = [&b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n"[..], &bulk(&[b'z'; 100_000])].concat();
    let report = replay()
        .to_server(&set[..500])
        .gap(Direction::ToServer, 50_000)
        .to_server(&set[50_500..])
        .to_server(command("GET k"))
        .to_client("+OK\r\n$-1\r\n")
        .run();
    assert_eq!(outcomes(&report), [("SET", Status::Ok, ""), ("GET", Status::Ok, "")]);
    assert_eq!(report.losses, []);
}

#[test]
fn behind_a_lost_request_chained_ones_are_found_and_paired_from_the_next_turn_on() {
    let report = replay()
        .to_server(commands(&["GET a", "GET b"]))
        .gap(Direction::ToServer, 30)
        .to_server(b"of a value\r\n$1\r\nx\r\n")
        .to_server(commands(&["GET c", "SET d 1", "GET e"]))
        .to_client("$-1\r\n$-1\r\n+OK\r\n+OK\r\n$-1\r\n")
        .to_server(commands(&["GET f"]))
        .to_client("-OOM x\r\n")
        .run();
    let requests: Vec<_> = report.messages.iter().filter(|seen| !seen.type_name.is_empty()).collect();
    assert_eq!(requests.len(), 6);
    assert_eq!(outcomes(&report).last(), Some(&("GET", Status::ServerError, "OOM")));
    assert!(outcomes(&report)[2..5].iter().all(|(name, ..)| *name == "?"));
}

#[test]
fn behind_a_lost_reply_chained_ones_are_found() {
    let report = replay()
        .to_server(commands(&["GET a", "GET b", "GET c"]))
        .to_client("$5\r\nhel")
        .gap(Direction::ToClient, 100)
        .to_client("of a value\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n*1\r\n:1\r\n+OK\r\n")
        .to_server(command("GET d"))
        .to_client("-NOAUTH x\r\n")
        .run();
    let known: Vec<_> = outcomes(&report);
    assert_eq!(known.last(), Some(&("GET", Status::ClientError, "NOAUTH")));
    assert_eq!(known[1..4], [("?", Status::Ok, ""), ("?", Status::Ok, ""), ("?", Status::Ok, "")]);
}

#[test]
fn a_lone_string_behind_a_loss_is_no_reply_before_the_host_says_so() {
    let report = replay()
        .to_server(command("LRANGE l 0 -1"))
        .to_client("*3\r\n$1\r\na")
        .gap(Direction::ToClient, 50)
        .to_client("$1\r\na\r\n$1\r\nb\r\n")
        .to_server(command("GET d"))
        .to_client("$1\r\nx\r\n")
        .run();
    // The first is what was seen of the array, the last one is where the server spoke after its peer.
    let seen: Vec<_> = report.messages.iter().filter(|seen| seen.type_name.is_empty()).collect();
    assert_eq!(seen.len(), 2);
    assert_eq!((seen[0].status, seen[0].completeness), (Status::Unknown, Completeness::Partial));
    assert_eq!((seen[1].answers.as_deref(), seen[1].status), (Some("GET"), Status::Ok));
}

#[test]
fn a_request_whose_end_was_lost_is_partial() {
    let report = replay().to_server(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100\r\nabc").end(Direction::ToServer).run();
    assert_eq!(report.messages[0].type_name, "SET");
    assert_eq!(report.messages[0].completeness, Completeness::Partial);
}

#[test]
fn a_search_in_a_large_value_ends() {
    // Every line of it could begin a chain of replies, and none does.
    let lines = "*9\r\n*9\r\n:1\r\n+OK\r\n$3\r\nabcd\r\n".repeat(4000);
    let report = replay()
        .to_server(command("GET a"))
        .to_client("$999999\r\n")
        .to_client("x")
        .gap(Direction::ToClient, 2_000_000)
        .to_client(&lines)
        .to_server(command("GET b"))
        .to_client("+OK\r\n")
        .run();
    assert_eq!(outcomes(&report).last(), Some(&("GET", Status::Ok, "")));
}

#[test]
fn garbage_is_no_message() {
    for garbage in ["\0\0\0\x10", "HTTP/1.1 200 OK\r\n", "*x\r\n", "$3\r\nabcdef\r\n", "*1\r\n:1\r\n"] {
        let report = replay().to_server(garbage).run();
        assert_eq!(report.messages, [], "{garbage:?}");
    }
}
