//! Answers for people: why there are no records of a port, what a machine can do, which interfaces it has.

use std::io::{self, Write};
use std::process::ExitCode;

use protap::capture::{TraceOptions, check_trace, list_interfaces};
use protap::pipeline::RunReport;

use crate::command::Failure;

/// What was seen of a port, and what follows from it.
pub(super) fn explain(out: &mut dyn Write, port: u16, report: &RunReport) -> io::Result<()> {
    let flows = &report.summary.flows;
    let unclaimed: Vec<_> = flows.unclaimed.sorted().into_iter().filter(|(key, _)| key.port == port).collect();
    if flows.seen == 0 {
        return writeln!(out, "port {port}: no flow of any port was captured.");
    }
    let claimed: Vec<_> = flows.claimed_by_port.iter().filter(|((of, _), _)| *of == port).collect();
    if unclaimed.is_empty() && claimed.is_empty() {
        return writeln!(out, "port {port}: no flow whose server has that port was captured.");
    }
    for ((_, plugin), count) in claimed {
        writeln!(out, "port {port}: {count} flows, parsed by {plugin}")?;
    }
    for (key, count) in unclaimed {
        let advice = match key.reason {
            "tls" => {
                "encrypted; `protap trace --tls` sees what goes through SSL_read and SSL_write of OpenSSL and BoringSSL"
            }
            "tls after a handover" => "its plugin read on until the flow turned to TLS",
            "no data" => "only connection attempts or empty segments; was the server reachable?",
            "too short to tell" => "the plugins wanted more bytes than came",
            "opaque" => "its plugin recognised it and cannot read on (encrypted)",
            "no plugin loaded" => "load one with -p",
            _ => "load the plugin of its protocol, or order one with -d",
        };
        writeln!(out, "port {port}: {count} flows, {}: {advice}", key.reason)?;
    }
    Ok(())
}

/// What this kernel and this user can do, line by line.
pub(super) fn print_check(options: &TraceOptions) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    let checks = check_trace(options);
    for check in &checks {
        let verdict = match check.is_ok {
            Some(true) => "ok",
            Some(false) => "missing",
            None => "-",
        };
        writeln!(out, "{verdict:<8} {:<17} {}", check.subject, check.finding)?;
    }
    let is_ok = checks.iter().all(|check| check.is_ok != Some(false));
    Ok(if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn print_interfaces() -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    for interface in list_interfaces()? {
        let addresses: Vec<String> = interface.addresses.iter().map(ToString::to_string).collect();
        let state = if interface.is_up { "up" } else { "down" };
        writeln!(out, "{:<16} {state:<5} {}", interface.name, addresses.join(", "))?;
    }
    Ok(ExitCode::SUCCESS)
}
