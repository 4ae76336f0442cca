//! The report as a person sees it, and as a machine does.

use proptest::prelude::proptest;

use crate::emit::samples::{any_record, failed_fetch, produce, unanswered};
use crate::packet::Transport;
use crate::summary::{Loss, PluginSummary, Summary, Unclaimed};

fn text(summary: &Summary, has_colour: bool) -> String {
    let mut out = Vec::new();
    summary.write_text(&mut out, has_colour).unwrap();
    String::from_utf8(out).unwrap()
}

fn sample() -> Summary {
    let mut summary = Summary::default();
    summary.capture.packets = 1_234_567;
    summary.capture.bytes = 987_654_321;
    summary.capture.first = Some(1_000_000_000);
    summary.capture.last = Some(13_300_000_000);
    summary.capture.ignored = vec![("arp", 12), ("icmp", 0), ("ip fragment", 3)];
    summary.capture.duplicates = 4;
    summary.flows.seen = 121;
    summary.flows.claimed = vec![("kafka".into(), 100), ("mongodb".into(), 12)];
    for (port, reason, count) in [(443, "tls", 5), (8080, "no plugin", 3), (9092, "mid-stream", 1)] {
        summary.flows.unclaimed.add(&Unclaimed { transport: Transport::Tcp, port, reason }, count);
    }
    for record in [produce(), failed_fetch(), produce(), unanswered("timeout"), failed_fetch()] {
        summary.records.observe(&record);
    }
    let explanation = "bytes that the capture did not see; a larger -s or buffer may help";
    summary.losses = vec![
        Loss { name: "gap_bytes", explanation, count: 4_096 },
        Loss { name: "flows_evicted", explanation: "flows forgotten because the table was full", count: 0 },
    ];
    let mut kafka = PluginSummary { name: "kafka".into(), version: "0.1.0".into(), ..PluginSummary::default() };
    kafka.abi = "protap 1.0".into();
    kafka.calls = 9_000;
    kafka.claims = 100;
    kafka.faults = vec![("trap", 2), ("deadline", 0)];
    kafka.memory_bytes = 1_179_648;
    (1..=9_000).for_each(|nanoseconds| kafka.call_time.record(nanoseconds));
    summary.plugins = vec![kafka];
    summary
}

#[test]
fn report_is_short_and_aligned() {
    insta::assert_snapshot!(text(&sample(), false), @r#"
    capture   1,234,567 packets, 988MB in 12.3s, 4 duplicates
    ignored   12 arp, 3 ip fragment
    flows     121 seen: 100 kafka, 12 mongodb, 9 unclaimed
    records   kafka: 4 session, 1 request
    coverage  7 of 9 messages decoded in full; else: 2 truncated

    operation                records  client err  server err  timeout  unknown    p50    p99  req B  resp B
    kafka Produce                  3           -           -        1        -  811µs  811µs   3.7k     120
    kafka Fetch (long poll)        2           -           2        -        -  499ms  499ms   2.5k    2.1M

    not decoded in full         seen  decoded  in part  header only
    kafka Fetch (long poll) v9     2        0        2            0

    unclaimed      flows  reason
    tcp port 443       5  tls
    tcp port 8080      3  no plugin
    tcp port 9092      1  mid-stream

    lost       count  what it means
    gap_bytes  4,096  bytes that the capture did not see; a larger -s or buffer may help

    plugin       abi         claims  calls    p50    p99  errors  traps  memory  faults
    kafka 0.1.0  protap 1.0     100  9,000  4.5µs  8.8µs       -      2   1.2MB  2 trap
    "#);
}

#[test]
fn nothing_seen_is_told() {
    assert_eq!(text(&Summary::default(), false), "capture   0 packets, 0B\n");
}

#[test]
fn long_lists_show_their_top() {
    let mut summary = Summary::default();
    for port in 1..=2_000 {
        summary.flows.unclaimed.add(&Unclaimed { transport: Transport::Udp, port, reason: "no plugin" }, 1);
    }
    for number in 0..2_000 {
        let mut record = produce();
        let content = &mut record.request.as_mut().unwrap().content;
        content.type_name = Some(content.put(&format!("Api{number}")));
        summary.records.observe(&record);
    }
    let text = text(&summary, false);
    assert!(text.contains("\nand 984 more\n") && text.contains("\nother  "), "{text}");
    assert!(text.lines().any(|line| line.split_whitespace().eq(["others", "1,990"])), "{text}");
    assert_eq!(summary.to_json()["flows"]["unclaimed_by_port"].as_array().unwrap().len(), 1_024);
    assert_eq!(summary.to_json()["records"]["other_operations"]["records"], 976);
}

#[test]
fn tree_has_everything() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&sample().to_json()).unwrap(), @r#"
    {
      "capture": {
        "bytes": 987654321,
        "duplicates": 4,
        "first_ns": 1000000000,
        "ignored": {
          "arp": 12,
          "icmp": 0,
          "ip fragment": 3
        },
        "kernel_drops": 0,
        "last_ns": 13300000000,
        "packets": 1234567
      },
      "flows": {
        "claimed": {
          "kafka": 100,
          "mongodb": 12
        },
        "seen": 121,
        "swapped": 0,
        "unclaimed": 9,
        "unclaimed_by_port": [
          {
            "flows": 5,
            "port": 443,
            "reason": "tls",
            "transport": "tcp"
          },
          {
            "flows": 3,
            "port": 8080,
            "reason": "no plugin",
            "transport": "tcp"
          },
          {
            "flows": 1,
            "port": 9092,
            "reason": "mid-stream",
            "transport": "tcp"
          }
        ],
        "unclaimed_other_ports": 0
      },
      "losses": {
        "flows_evicted": 0,
        "gap_bytes": 4096
      },
      "plugins": [
        {
          "abi": "protap 1.0",
          "call_time_ns": {
            "count": 9000,
            "max": 9000,
            "p50": 4543,
            "p99": 8831
          },
          "calls": 9000,
          "claims": 100,
          "coverage": {
            "full": 7,
            "header": 0,
            "messages": 9,
            "other_reasons": 0,
            "partial": 2,
            "reasons": {
              "truncated": 2
            }
          },
          "errors": 0,
          "fault_examples": [],
          "faults": {
            "deadline": 0,
            "trap": 2
          },
          "gaps": 0,
          "host_quarantines": 0,
          "memory_bytes": 1179648,
          "name": "kafka",
          "quarantines": 0,
          "records": {
            "oneway": 0,
            "request": 1,
            "response": 0,
            "session": 4
          },
          "resyncs": 0,
          "traps": 2,
          "truncated_bytes": 0,
          "version": "0.1.0"
        }
      ],
      "records": {
        "by_protocol": {
          "kafka": {
            "oneway": 0,
            "request": 1,
            "response": 0,
            "session": 4
          }
        },
        "coverage": {
          "full": 7,
          "header": 0,
          "messages": 9,
          "other_reasons": 0,
          "partial": 2,
          "reasons": {
            "truncated": 2
          }
        },
        "operations": [
          {
            "client_error": 0,
            "latency_ns": {
              "count": 2,
              "max": 812345,
              "p50": 811007,
              "p99": 811007
            },
            "long_poll": false,
            "ok": 2,
            "protocol": "kafka",
            "records": 3,
            "request_bytes": 3702,
            "response_bytes": 120,
            "server_error": 0,
            "timeout": 1,
            "type": "Produce",
            "unknown": 0,
            "versions": [
              {
                "full": 3,
                "header": 0,
                "partial": 0,
                "records": 3,
                "version": "9"
              }
            ]
          },
          {
            "client_error": 0,
            "latency_ns": {
              "count": 2,
              "max": 500123456,
              "p50": 499122175,
              "p99": 499122175
            },
            "long_poll": true,
            "ok": 0,
            "protocol": "kafka",
            "records": 2,
            "request_bytes": 2468,
            "response_bytes": 2097152,
            "server_error": 2,
            "timeout": 0,
            "type": "Fetch",
            "unknown": 0,
            "versions": [
              {
                "full": 0,
                "header": 0,
                "partial": 2,
                "records": 2,
                "version": "9"
              }
            ]
          }
        ],
        "other_operations": {
          "client_error": 0,
          "latency_ns": {
            "count": 0,
            "max": null,
            "p50": null,
            "p99": null
          },
          "long_poll": false,
          "ok": 0,
          "protocol": "",
          "records": 0,
          "request_bytes": 0,
          "response_bytes": 0,
          "server_error": 0,
          "timeout": 0,
          "type": "",
          "unknown": 0,
          "versions": []
        }
      }
    }
    "#);
}

proptest! {
    #[test]
    fn no_record_breaks_the_report(record in any_record()) {
        let mut summary = Summary::default();
        summary.records.observe(&record);
        assert!(!text(&summary, false).contains(|c: char| c.is_control() && c != '\n'));
        assert_eq!(text(&summary, false).lines().filter(|line| line.starts_with("operation")).count(), 1);
        let _ = summary.to_json();
    }
}
