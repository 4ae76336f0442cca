//! The summary as a JSON tree for `--stats-json`: everything the report leaves out is in it, zeros included.

use serde_json::{Map, Value, json};

use crate::packet::Transport;
use crate::running::FaultExample;
use crate::summary::{
    CaptureSummary, Coverage, FlowSummary, LatencyHistogram, Operation, PluginRecords, PluginSummary, RecordSummary,
    Summary, VersionCoverage,
};

pub(super) fn tree(summary: &Summary) -> Value {
    json!({
        "capture": capture(&summary.capture),
        "flows": flows(&summary.flows),
        "records": records(&summary.records),
        "losses": counts(summary.losses.iter().map(|loss| (loss.name, loss.count))),
        "plugins": summary.plugins.iter().map(|row| plugin(row, &summary.records)).collect::<Vec<_>>(),
    })
}

fn capture(capture: &CaptureSummary) -> Value {
    json!({
        "packets": capture.packets,
        "bytes": capture.bytes,
        "first_ns": capture.first,
        "last_ns": capture.last,
        "ignored": counts(capture.ignored.iter().copied()),
        "duplicates": capture.duplicates,
        "kernel_drops": capture.kernel_drops,
    })
}

fn flows(flows: &FlowSummary) -> Value {
    let ports = flows.unclaimed.sorted().into_iter().map(|(at, flows)| {
        let transport = if at.transport == Transport::Tcp { "tcp" } else { "udp" };
        json!({"transport": transport, "port": at.port, "reason": at.reason, "flows": flows})
    });
    json!({
        "seen": flows.seen,
        "swapped": flows.swapped,
        "claimed": counts(flows.claimed.iter().map(|(name, flows)| (name.as_str(), *flows))),
        "unclaimed": flows.unclaimed.total(),
        "unclaimed_by_port": ports.collect::<Vec<_>>(),
        "unclaimed_other_ports": flows.unclaimed.other(),
    })
}

fn records(records: &RecordSummary) -> Value {
    let by_protocol = records.by_protocol.iter().map(|(protocol, kinds)| (protocol.clone(), counts(kinds.named())));
    json!({
        "by_protocol": by_protocol.collect::<Map<_, _>>(),
        "operations": records.operations.sorted().into_iter().map(operation).collect::<Vec<_>>(),
        "other_operations": operation(records.operations.other()),
        "coverage": coverage(&records.coverage()),
    })
}

fn coverage(coverage: &Coverage) -> Value {
    json!({
        "messages": coverage.messages(),
        "full": coverage.full,
        "partial": coverage.partial,
        "header": coverage.header,
        "reasons": counts(coverage.reasons.sorted().into_iter().map(|(reason, count)| (reason.as_str(), count))),
        "other_reasons": coverage.reasons.other(),
    })
}

fn operation(row: &Operation) -> Value {
    json!({
        "protocol": row.protocol,
        "type": row.type_name,
        "long_poll": row.is_long_poll,
        "records": row.records,
        "ok": row.ok,
        "client_error": row.client_errors,
        "server_error": row.server_errors,
        "timeout": row.timeouts,
        "unknown": row.unknown,
        "latency_ns": times(&row.latency),
        "request_bytes": row.request_bytes,
        "response_bytes": row.response_bytes,
        "versions": row.versions.iter().map(version).collect::<Vec<_>>(),
    })
}

fn version(row: &VersionCoverage) -> Value {
    json!({
        "version": row.version,
        "records": row.records,
        "full": row.full,
        "partial": row.partial,
        "header": row.header,
    })
}

fn plugin(plugin: &PluginSummary, records: &RecordSummary) -> Value {
    let none = PluginRecords::default();
    let records = records.by_plugin.get(&plugin.name).unwrap_or(&none);
    json!({
        "name": plugin.name,
        "version": plugin.version,
        "abi": plugin.abi,
        "calls": plugin.calls,
        "call_time_ns": times(&plugin.call_time),
        "claims": plugin.claims,
        "records": counts(records.kinds.named()),
        "coverage": coverage(&records.coverage),
        "gaps": plugin.gaps,
        "truncated_bytes": plugin.truncated_bytes,
        "resyncs": plugin.resyncs,
        "errors": plugin.bad_answers(),
        "traps": plugin.traps(),
        "faults": counts(plugin.faults.iter().copied()),
        "fault_examples": plugin.fault_examples.iter().map(fault_example).collect::<Vec<_>>(),
        "quarantines": plugin.quarantines,
        "host_quarantines": plugin.host_quarantines,
        "memory_bytes": plugin.memory_bytes,
    })
}

fn fault_example(example: &FaultExample) -> Value {
    let (a, b) = example.ends;
    json!({"at_ns": example.at, "flow": [a.to_string(), b.to_string()], "error": example.error})
}

fn times(histogram: &LatencyHistogram) -> Value {
    let max = (histogram.count() > 0).then_some(histogram.max());
    json!({"count": histogram.count(), "p50": histogram.p50(), "p99": histogram.p99(), "max": max})
}

fn counts<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> Value {
    counts.into_iter().map(|(name, count)| (name.to_owned(), Value::from(count))).collect::<Map<_, _>>().into()
}
