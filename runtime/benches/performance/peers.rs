//! `protap` as people start it, and tshark.

use std::path::PathBuf;
use std::time::Duration;

use crate::measure::{Took, command, has, in_turns, is_quick, median, rounds};
use crate::plugins;
use crate::replays::{Input, Inputs};
use crate::report::{Report, Row};

/// The program, as `make build` left it.
pub fn protap() -> PathBuf {
    let usual = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target"));
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(usual, PathBuf::from).join("release/protap")
}

/// With so many workers; without a number, as many as it starts by itself.
fn read(input: &Input, workers: Option<usize>) -> String {
    let (program, plugins, path) = (protap(), plugins::folder(), input.path.clone());
    let (out, workers) = (output(input), workers.map_or_else(String::new, |workers| format!("--workers {workers} ")));
    format!(
        "{} read -p {}/kafka.wasm -p {}/mongodb.wasm -o json {workers}{} >{}",
        program.display(),
        plugins.display(),
        plugins.display(),
        path.display(),
        out.display()
    )
}

fn output(input: &Input) -> PathBuf {
    input.path.with_extension("json")
}

/// Replays it to a file that is not there yet: to empty a large one takes long.
fn replay(input: &Input, workers: Option<usize>) -> Took {
    let _ = std::fs::remove_file(output(input));
    command(&read(input, workers))
}

/// The fields that protap prints.
const KAFKA_FIELDS: &str = "-e frame.time_epoch -e ip.src -e tcp.srcport -e ip.dst -e tcp.dstport -e kafka.api_key \
    -e kafka.api_version -e kafka.correlation_id -e kafka.client_id -e kafka.topic_name -e kafka.error";
const MONGO_FIELDS: &str = "-e frame.time_epoch -e ip.src -e tcp.srcport -e ip.dst -e tcp.dstport -e mongo.request_id \
    -e mongo.response_to -e mongo.opcode -e mongo.element.name -e mongo.element.value.string";

/// Row 3: a dissector with the same question. By the clock, each as it is started by itself, and with one worker by CPU time.
pub fn tshark(inputs: &Inputs, report: &mut Report) {
    if !has("tshark") {
        println!("no tshark: its rows are left out");
        return;
    }
    let kafka = "-d tcp.port==19092,kafka -d tcp.port==9092,kafka";
    let mongo = "-d tcp.port==27017,mongo";
    let bulk = (&inputs.kafka_bulk, &inputs.kafka_bulk_short);
    let small = (&inputs.kafka_long, &inputs.kafka_small);
    let mongodb = (&inputs.mongodb_long, &inputs.mongodb_small);
    for (what, (ours, theirs), arguments, least) in [
        ("peers: tshark -T fields / protap, small Kafka", small, format!("{kafka} -T fields {KAFKA_FIELDS}"), 50.0),
        ("peers: tshark -T fields / protap, small MongoDB", mongodb, format!("{mongo} -T fields {MONGO_FIELDS}"), 50.0),
        ("peers: tshark -T fields / protap, bulk Kafka", bulk, format!("{kafka} -T fields {KAFKA_FIELDS}"), 50.0),
        ("peers: tshark -T json / protap, bulk Kafka", bulk, format!("{kafka} -T json"), 500.0),
    ] {
        let out = inputs.folder.join("tshark.out");
        let tshark = format!("tshark -n {arguments} -r {} >{}", theirs.path.display(), out.display());
        let dissect = || {
            let _ = std::fs::remove_file(&out);
            command(&tshark)
        };
        let mut theirs_cpu = Vec::new();
        let [theirs_took, ours_took, alone_cpu] = in_turns([
            &mut || {
                let took = dissect();
                theirs_cpu.push(took.cpu);
                took.wall
            },
            &mut || replay(ours, None).wall,
            &mut || replay(ours, Some(1)).cpu,
        ]);
        // For each packet, as the dissector got a shorter capture of the same kind.
        let rate = |input: &Input, time: Duration| input.packets as f64 / time.as_secs_f64();
        let (we, they) = (rate(ours, ours_took), rate(theirs, theirs_took));
        let by_cpu = rate(ours, alone_cpu) / rate(theirs, median(theirs_cpu));
        let rates = format!("{:.0} / {:.0} thousand packets/s", they / 1e3, we / 1e3);
        report.add(Row {
            what,
            target: if least > 50.0 { "500" } else { "50" },
            measured: format!("{:.0} ({rates}; {by_cpu:.0} by CPU time, with one worker)", we / they),
            is_reached: Some(we / they >= least),
            command: "make bench PART=peers",
        });
    }
}

/// Row 4: two workers on two cores. By the wall clock, of which the least counts here: others use the machine too. How much CPU
/// time they take together says what is lost between them.
pub fn scaling(inputs: &Inputs, report: &mut Report) {
    let input = &inputs.kafka_long;
    let (ones, twos): (Vec<_>, Vec<_>) =
        (0..rounds()).map(|_| (replay(input, Some(1)), replay(input, Some(2)))).unzip();
    let least = |took: &[Took], time: fn(&Took) -> Duration| {
        took.iter().map(time).min().unwrap_or_default().as_secs_f64() * 1e3
    };
    let both = |took: &[Took]| (least(took, |took| took.wall), least(took, |took| took.cpu));
    let ((one, cpu_one), (two, cpu_two)) = (both(&ones), both(&twos));
    report.add(Row {
        what: "scaling: one worker / two, small Kafka, six times as long, wall clock, least",
        target: "1.7",
        measured: format!("{:.2} ({one:.0} / {two:.0} ms; CPU {cpu_one:.0} / {cpu_two:.0} ms)", one / two),
        is_reached: Some(one / two >= 1.7),
        command: "make bench PART=scaling",
    });
}

/// Row 8: a capture of ten packets, the compiled modules on disk.
pub fn start(inputs: &Inputs, report: &mut Report) {
    let whole = std::fs::read(&inputs.kafka_small.path).unwrap();
    let mut at = 24;
    for _ in 0..10 {
        let len = u32::from_le_bytes(whole[at + 8..at + 12].try_into().unwrap());
        at += 16 + len as usize;
    }
    let path = inputs.folder.join("ten.pcap");
    std::fs::write(&path, &whole[..at]).unwrap();
    let ten = read(&Input { path, packets: 10, bytes: at as u64 }, Some(1));
    command(&ten);
    let turns = if is_quick() { 1 } else { 3 };
    let mut times: Vec<_> = (0..rounds() * turns).map(|_| command(&ten)).collect();
    times.sort_unstable_by_key(|took| took.wall);
    let wall = times[times.len() / 2].wall.as_secs_f64() * 1e3;
    report.add(Row {
        what: "start: ten packets, both plugins, compiled before",
        target: "60 ms",
        measured: format!("{wall:.0} ms"),
        is_reached: Some(wall < 60.0),
        command: "make bench PART=start",
    });
}
