//! Redis: the records of each capture are what the clients that it was recorded from saw themselves.
//! `tests/captures/redis/drive.py` wrote down what they sent, and how it was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use protap_e2e::artifacts::{Fixture, fixture, fixtures};
use protap_e2e::conversation::dialogue;
use protap_e2e::engine;
use protap_e2e::link::Link;
use protap_e2e::pcap::Capture;
use protap_e2e::records::ports;
use protap_e2e::segment::{FIN, SYN, Segment, segments, to_file};
use protap_plugin::testing::Random;
use serde_json::Value;

/// What happened on one connection, by kind, each in order.
type Events = BTreeMap<String, Vec<String>>;

#[test]
fn records_are_what_the_clients_saw() {
    let mut report = String::new();
    for fixture in fixtures("redis") {
        let outcome = engine::read(fixture.bytes());
        assert_eq!(outcome.errors, Vec::<String>::new(), "{}", fixture.name);
        assert_eq!(outcome.faults("redis"), 0, "{}", fixture.name);
        let mut seen = seen(&outcome.records.parsed());
        let mut told = told(&client_log(&fixture), fixture.name == "clients_midstream");
        if let Some(master) = told.remove(&0) {
            let replicas: Vec<u16> = seen.keys().filter(|port| !told.contains_key(port)).copied().collect();
            assert_eq!(replicas.len(), 1, "one replica, and the clients");
            let replica = seen.remove(&replicas[0]).expect("found just now");
            report += &difference(&fixture, 0, "master", &replicated(&replica), &master["master"]);
        }
        let ports: BTreeSet<u16> = seen.keys().chain(told.keys()).copied().collect();
        let nothing = Events::new();
        for port in ports {
            let (seen, told) = (seen.get(&port).unwrap_or(&nothing), told.get(&port).unwrap_or(&nothing));
            for kind in ["session", "request", "oneway", "message", "response"] {
                let of = |events: &Events| events.get(kind).cloned().unwrap_or_default();
                report += &difference(&fixture, port, kind, &of(seen), &of(told));
            }
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn nothing_is_partial_where_nothing_is_missing() {
    for fixture in fixtures("redis").into_iter().filter(|fixture| fixture.name != "clients_midstream") {
        for record in engine::read(fixture.bytes()).records.parsed() {
            let is_whole = record["completeness"] == "full" || record["kind"] == "response";
            assert!(is_whole, "{}: {record}", fixture.name);
        }
    }
}

#[test]
fn no_value_key_error_text_or_password_is_emitted() {
    for fixture in fixtures("redis") {
        let text = engine::read(fixture.bytes()).records.text;
        for secret in ["secret", "watched", "hello hello", "p:1", "Operation against", "NOSUCHCOMMAND'", "xxxx"] {
            let found = text.lines().find(|line| line.contains(secret));
            assert_eq!(found, None, "{}: {secret}", fixture.name);
        }
    }
}

#[test]
fn what_blocks_is_marked() {
    let records = engine::read(fixture("redis/commands_resp2").bytes()).records.parsed();
    let long: Vec<&str> =
        records.iter().filter(|r| r["long_poll"] == true).filter_map(|r| r["request"]["type"].as_str()).collect();
    assert_eq!(long, ["BLPOP", "BLPOP", "XREAD", "WAIT", "BZPOPMIN"]);
}

#[test]
fn every_byte_of_a_connection_belongs_to_a_record() {
    for name in ["redis/commands_resp2", "redis/commands_resp3", "redis/pubsub_resp2", "redis/pubsub_resp3"] {
        let fixture = fixture(name);
        let segments = segments(&Capture::read(&fixture.path));
        // What was sent again counts once.
        let sent: BTreeMap<_, _> =
            segments.iter().map(|segment| ((segment.stream(), segment.seq), segment.payload.len() as u64)).collect();
        let sent: u64 = sent.values().sum();
        let records = engine::read(fixture.bytes()).records.parsed();
        let bytes = |part: &Value| part["bytes"].as_u64().unwrap_or_default();
        let told: u64 = records.iter().map(|record| bytes(&record["request"]) + bytes(&record["response"])).sum();
        assert_eq!(told, sent, "{name}");
    }
}

/// Whatever packets a capture lacks, no reply is taken for another one's, and most of the connection is still told.
#[test]
fn lost_packets_cost_records_and_falsify_none() {
    let (mut report, mut kept_records, mut all_records) = (String::new(), 0, 0);
    // What is lost before the first byte of a connection caught in its middle, nobody misses.
    for fixture in fixtures("redis").into_iter().filter(|fixture| !fixture.name.ends_with("_midstream")) {
        let all = segments(&Capture::read(&fixture.path));
        let whole = exchanges(&engine::read(fixture.bytes()).records.parsed());
        for seed in 0..24 {
            let mut random = Random::new(seed);
            let percent = [1, 3, 10][seed as usize % 3];
            let kept: Vec<Segment> = all
                .iter()
                .filter(|segment| segment.payload.is_empty() || random.below(100) >= percent)
                .cloned()
                .collect();
            let outcome = engine::read(to_file(&kept, Link::Ethernet));
            let left = exchanges(&outcome.records.parsed());
            for (exchange, count) in &left {
                if whole.get(exchange).is_none_or(|there| there < count) {
                    report += &format!("{}, seed {seed}: {count} of {exchange}\n", fixture.name);
                }
            }
            kept_records += left.values().sum::<usize>();
            all_records += whole.values().sum::<usize>();
        }
    }
    let lines = report.lines().count();
    println!("{kept_records} of {all_records} records are left");
    assert!(kept_records * 4 > all_records, "{kept_records} of {all_records} records are left");
    assert!(report.is_empty(), "{lines} false records, as\n{}", report.lines().take(12).collect::<Vec<_>>().join("\n"));
}

/// Seen from a place to which what the server sends takes 3 ms, so that requests pass before the answers to earlier ones,
/// a connection that is caught in its middle begins with answers to what was not seen.
#[test]
fn answers_to_requests_that_were_not_seen_are_nobody_elses() {
    let fixture = fixture("redis/pipelined");
    let whole = from_afar(segments(&Capture::read(&fixture.path)), 3_000_000);
    let (mut sessions, mut alone, mut wrong) = (0, 0, 0);
    for start in (0..whole.len()).step_by(3) {
        for record in engine::read(to_file(&whole[start..], Link::Ethernet)).records.parsed() {
            let bytes = |part: &str| record[part]["bytes"].as_u64().unwrap_or_default();
            match record["kind"].as_str() {
                // `*2 $4 ECHO`, with ends of lines, stands before what comes back.
                Some("session") => {
                    sessions += 1;
                    wrong += usize::from(bytes("request") != bytes("response") + 14);
                }
                kind => alone += usize::from(kind == Some("response")),
            }
        }
    }
    // An ACK number is but a bound: now and then a server's kernel sends an answer together with the next one, under the
    // ACK number of that.
    let told = format!("{sessions} sessions, {alone} answers alone, {wrong} wrong");
    println!("{told}");
    assert!(sessions > 4_000 && alone > 300 && wrong * 100 < sessions, "{told}");
}

/// The same segments as they are seen where those of the server come so many nanoseconds later, and its client is.
fn from_afar(mut segments: Vec<Segment>, delay: u64) -> Vec<Segment> {
    let is_servers = |segment: &Segment| segment.source.port() == 6379;
    segments.iter_mut().filter(|segment| is_servers(segment)).for_each(|segment| segment.at += delay);
    segments.sort_by_key(|segment| segment.at);
    let mut received = None;
    for segment in &mut segments {
        if is_servers(segment) {
            received = Some(segment.end().wrapping_add(u32::from(segment.has(SYN) || segment.has(FIN))));
        } else if let Some(received) = received {
            segment.ack = received;
        }
    }
    segments
}

#[test]
fn ipv6_is_redis_too() {
    let records = engine::read(fixture("variants/redis_ipv6").bytes()).records.parsed();
    assert!(!records.is_empty() && records.iter().all(|record| record["protocol"] == "redis"));
}

/// What was asked and answered, with sizes, and how often.
fn exchanges(records: &[Value]) -> BTreeMap<String, usize> {
    let mut exchanges = BTreeMap::new();
    for record in records.iter().filter(|record| record["kind"] == "session" && record["completeness"] == "full") {
        let (request, response) = (&record["request"], &record["response"]);
        let sizes = (&request["bytes"], &response["bytes"], &response["count"]);
        let outcome = (&response["status"], &response["exception"], &response["result"]);
        let name = format!("{} {} {sizes:?} {outcome:?}", ports(record).0, request["type"]);
        *exchanges.entry(name).or_default() += 1;
    }
    exchanges
}

fn difference(fixture: &Fixture, port: u16, kind: &str, seen: &[String], told: &[String]) -> String {
    if seen == told {
        return String::new();
    }
    let at = seen.iter().zip(told).take_while(|(seen, told)| seen == told).count();
    let (name, counts) = (&fixture.name, (seen.len(), told.len()));
    format!("{name}, port {port}, {kind}: {counts:?}; at {at} {:?} instead of {:?}\n", seen.get(at), told.get(at))
}

fn client_log(fixture: &Fixture) -> Vec<Value> {
    let plain = fixture.oracle("client.jsonl");
    let text = if plain.exists() {
        std::fs::read_to_string(plain).expect("a file of the repository can be read")
    } else {
        let file = std::fs::File::open(fixture.oracle("client.jsonl.gz")).expect("every capture has a log");
        let mut text = String::new();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
        text
    };
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What the clients wrote down, by their ports; what was sent to a replica is under 0. Where a connection's beginning
/// was not seen, nobody but the client can know its database before it selects one.
fn told(log: &[Value], is_mid_stream: bool) -> BTreeMap<u16, Events> {
    let mut told: BTreeMap<u16, Events> = BTreeMap::new();
    let mut has_selected = BTreeSet::new();
    for event in log {
        let port = u16::try_from(event["port"].as_u64().expect("a port")).expect("16 bits");
        let text = |field: &str| event[field].as_str().unwrap_or("-").to_owned();
        let kind = text("kind");
        let line = match kind.as_str() {
            "session" => {
                let (name, error, replies) = (text("type"), text("error"), &event["replies"]);
                if name == "SELECT" {
                    has_selected.insert(port);
                }
                let is_known = !is_mid_stream || has_selected.contains(&port);
                let database = if is_known { event["db"].to_string() } else { "-".to_owned() };
                format!("{name} {} {error} {replies} in {database}", text("status"))
            }
            _ => text("type"),
        };
        told.entry(port).or_default().entry(kind).or_default().push(line);
    }
    told
}

fn seen(records: &[Value]) -> BTreeMap<u16, Events> {
    let mut seen: BTreeMap<u16, Events> = BTreeMap::new();
    for record in records {
        let (request, response) = (&record["request"], &record["response"]);
        let text = |field: &Value| field.as_str().unwrap_or("-").to_owned();
        let kind = match (text(&record["kind"]).as_str(), text(&record["from"]).as_str()) {
            ("oneway", "server") => "message".to_owned(),
            (kind, _) => kind.to_owned(),
        };
        let line = match kind.as_str() {
            "session" => {
                let (error, replies) = (text(&response["exception"]), &response["count"]);
                let (name, status) = (text(&request["type"]), text(&response["status"]));
                format!("{name} {status} {error} {replies} in {}", text(&request["domain"]))
            }
            "response" if response["status"] == "ok" => text(&response["result"]),
            "response" => text(&response["exception"]),
            _ => text(&request["type"]),
        };
        seen.entry(ports(record).0).or_default().entry(kind).or_default().push(line);
    }
    seen
}

/// The commands that a replica was sent, but for what a master says to the replica itself.
fn replicated(replica: &Events) -> Vec<String> {
    let sent = replica["message"].iter().filter(|name| !matches!(name.as_str(), "snapshot" | "PING" | "REPLCONF"));
    let mut sent: Vec<String> = sent.cloned().collect();
    // It begins with the database, which no client asked for.
    assert_eq!(sent.remove(0), "SELECT");
    sent
}

/// Commands are values as well: a client's requests alone look like what a server might say.
#[test]
fn a_connection_that_is_caught_within_an_answer_has_its_client_at_the_right_end() {
    let request = b"*2\r\n$3\r\nGET\r\n$2\r\nkk\r\n".to_vec();
    for len in [300, 3000, 12_000] {
        let reply = [format!("${len}\r\n").into_bytes(), vec![b'x'; len], b"\r\n".to_vec()].concat();
        let rest = (false, reply[reply.len() - 100..].to_vec());
        let round = || {
            let segments = reply.chunks(1460).map(|part| (false, part.to_vec()));
            std::iter::once((true, request.clone())).chain(segments)
        };
        let payloads = std::iter::once(rest).chain((0..50).flat_map(|_| round()));
        let ends = (([10, 0, 0, 1], 40_000).into(), ([10, 0, 0, 2], 6379).into());
        let mut segments = dialogue(ends, 1_767_225_600_000_000_000, payloads);
        // The handshake was before.
        segments.drain(..3);
        let records = engine::read(to_file(&segments, Link::Ethernet)).records.parsed();
        let answered = records.iter().filter(|record| record["kind"] == "session" && ports(record).1 == 6379).count();
        assert_eq!((answered, records.len()), (50, 50), "values of {len} bytes: {:?}", records.first());
    }
}

/// The capture begins within the second packet of a batch: the answers to what came before go to nobody.
#[test]
fn a_batch_that_is_caught_in_its_middle_takes_no_answers_of_others() {
    let echo = |len: usize| format!("*2\r\n$4\r\nECHO\r\n${len}\r\n{}\r\n", "x".repeat(len)).into_bytes();
    let echoed = |len: usize| format!("${len}\r\n{}\r\n", "x".repeat(len)).into_bytes();
    let asked: Vec<u8> = (20..40).flat_map(echo).collect();
    let answered: Vec<u8> = (20..40).flat_map(echoed).collect();
    let (before, behind) = asked.split_at(asked.len() / 2);
    let mut payloads = vec![(true, before.to_vec()), (true, behind.to_vec()), (false, answered)];
    payloads.extend((50..60).flat_map(|len| [(true, echo(len)), (false, echoed(len))]));
    let ends = (([10, 0, 0, 1], 40_000).into(), ([10, 0, 0, 2], 6379).into());
    let mut segments = dialogue(ends, 1_767_225_600_000_000_000, payloads);
    segments.drain(..4);
    let records = engine::read(to_file(&segments, Link::Ethernet)).records.parsed();
    let bytes = |record: &Value, part: &str| record[part]["bytes"].as_u64().unwrap_or_default();
    let sessions: Vec<(u64, u64)> = records
        .iter()
        .filter(|record| record["kind"] == "session")
        .map(|record| (bytes(record, "request"), bytes(record, "response")))
        .collect();
    let expected: Vec<(u64, u64)> = (50..60).map(|len| (echo(len).len() as u64, echoed(len).len() as u64)).collect();
    assert_eq!(sessions, expected, "{records:?}");
}

/// What each command is answered, as Redis 7.0.15 did; `None` where it said nothing.
#[test]
fn subscriptions_and_replies_that_are_off_put_no_later_answer_out_of_step() {
    let channel = |word: &str, left: u8| format!("*3\r\n${}\r\n{word}\r\n$4\r\nnews\r\n:{left}\r\n", word.len());
    let push = |word: &str, left: u8| channel(word, left).replacen('*', ">", 1);
    let (hello, pong, ok) = ("%1\r\n$5\r\nproto\r\n:3\r\n".to_owned(), "+PONG\r\n".to_owned(), "+OK\r\n".to_owned());
    let said = |text: &str| Some(text.to_owned());
    let conversations = [
        // Twice the same channel, and one that is not subscribed to.
        vec![
            ("SUBSCRIBE news", Some(channel("subscribe", 1))),
            ("SUBSCRIBE news", Some(channel("subscribe", 1))),
            ("UNSUBSCRIBE else", Some(channel("unsubscribe", 1).replace("news", "else"))),
            ("UNSUBSCRIBE", Some(channel("unsubscribe", 0))),
            ("GET key", said("$-1\r\n")),
            ("INCR number", said(":1\r\n")),
            ("PING", Some(pong.clone())),
        ],
        // Arrays that would be messages in RESP2.
        vec![
            ("HELLO 3", Some(hello)),
            ("SUBSCRIBE news", Some(push("subscribe", 1))),
            ("LRANGE key 0 -1", said("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n")),
            ("SET key value", Some(ok.clone())),
            ("STRLEN key", said(":5\r\n")),
        ],
        // A list of two is no message in RESP2 either.
        vec![
            ("SUBSCRIBE news", Some(channel("subscribe", 1))),
            ("RESET", said("+RESET\r\n")),
            ("LRANGE key 0 -1", said("*2\r\n$7\r\nmessage\r\n$1\r\na\r\n")),
            ("PING", Some(pong.clone())),
        ],
        vec![
            ("CLIENT REPLY OFF too", said("-ERR wrong number of arguments for 'client|reply' command\r\n")),
            ("PING", Some(pong.clone())),
            ("MULTI", Some(ok)),
            ("CLIENT REPLY OFF", said("+QUEUED\r\n")),
            ("DISCARD", said("+OK\r\n")),
            ("GET key", said("$1\r\n1\r\n")),
        ],
        vec![
            ("CLIENT REPLY SKIP", None),
            ("SUBSCRIBE news", Some(channel("subscribe", 1))),
            ("PING", said("*2\r\n$4\r\npong\r\n$0\r\n\r\n")),
            ("UNSUBSCRIBE", Some(channel("unsubscribe", 0))),
            ("CLIENT REPLY OFF", None),
            ("SUBSCRIBE news", Some(channel("subscribe", 1))),
            ("GET key", None),
            ("UNSUBSCRIBE", Some(channel("unsubscribe", 0))),
        ],
    ];
    for conversation in conversations {
        let command = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let head = format!("*{}\r\n", words.len());
            words.iter().fold(head, |out, word| out + &format!("${}\r\n{word}\r\n", word.len())).into_bytes()
        };
        let payloads = conversation.iter().flat_map(|(line, answer)| {
            let answer = answer.iter().map(|answer| (false, answer.clone().into_bytes()));
            std::iter::once((true, command(line))).chain(answer).collect::<Vec<_>>()
        });
        let ends = (([10, 0, 0, 1], 40_000).into(), ([10, 0, 0, 2], 6379).into());
        let segments = dialogue(ends, 1_767_225_600_000_000_000, payloads);
        let records = engine::read(to_file(&segments, Link::Ethernet)).records.parsed();
        let mut told: Vec<(u64, Option<u64>)> = records
            .iter()
            .map(|record| (record["request"]["bytes"].as_u64().unwrap_or(0), record["response"]["bytes"].as_u64()))
            .collect();
        let len = |text: &str| text.len() as u64;
        let mut expected: Vec<(u64, Option<u64>)> = conversation
            .iter()
            .map(|(line, answer)| (command(line).len() as u64, answer.as_deref().map(len)))
            .collect();
        told.sort_unstable();
        expected.sort_unstable();
        assert_eq!(told, expected, "{conversation:?}: {records:?}");
    }
}
