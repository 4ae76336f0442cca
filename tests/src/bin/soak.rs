//! Gives Kafka's and MongoDB's plugin ten million messages (or as many as the argument says), the captures of
//! `tests/captures/` again and again over new connections, and prints how large they are on the way. Fails if one is larger
//! at the end than after the first hundredth. Each line is a run of its own, from an empty instance.

use std::process::ExitCode;
use std::time::Instant;

use protap_e2e::repeat::{corpus, weigh};

/// Where on the way plugins are weighed: after these parts of all.
const PARTS: [u64; 4] = [100, 10, 2, 1];

fn main() -> ExitCode {
    let messages = std::env::args().nth(1).map_or(10_000_000, |count| count.parse().expect("a number of messages"));
    let are_flat = ["kafka", "mongodb"].map(|plugin| is_flat(plugin, messages));
    if are_flat.iter().all(|is_flat| *is_flat) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_flat(plugin: &str, messages: u64) -> bool {
    let file = corpus(plugin);
    let once = weigh(plugin, &file, 1).messages;
    println!("{plugin}: captures of {once} messages, {} bytes", file.len());
    let weighed = PARTS.map(|part| {
        let started = Instant::now();
        let times = usize::try_from(messages / part / once + 1).expect("it fits into memory");
        let weighed = weigh(plugin, &file, times);
        println!(
            "{plugin}: {} messages in {} flows, {:.1} s: memory {} bytes, {} faults",
            weighed.messages,
            weighed.flows,
            started.elapsed().as_secs_f64(),
            weighed.memory,
            weighed.faults
        );
        weighed
    });
    let is_flat = weighed.iter().all(|later| later.memory <= weighed[0].memory && later.faults == 0);
    println!("{plugin}: {}", if is_flat { "flat" } else { "it grows, or it failed" });
    is_flat
}
