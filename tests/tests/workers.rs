//! The output does not depend on the number of workers: byte-identical, for every capture and for a mix of them.

use std::path::PathBuf;

use protap::capture::FileSource;
use protap_e2e::artifacts::{fixture, fixtures};
use protap_e2e::engine::{read_source, read_with, shipped_plugins};

const WORKERS: [usize; 4] = [2, 3, 8, 16];

#[test]
fn every_capture_gives_the_same_bytes_with_any_number_of_workers() {
    let mut captures = fixtures("variants");
    captures.extend(["http", "kafka", "mongodb", "redis"].iter().flat_map(|protocol| fixtures(protocol)));
    let differing: Vec<String> = captures
        .into_iter()
        .flat_map(|fixture| {
            let one = read_with(shipped_plugins(), fixture.bytes(), 1);
            WORKERS.map(|workers| {
                let several = read_with(shipped_plugins(), fixture.bytes(), workers);
                (several.records != one.records || several.summary["losses"] != one.summary["losses"])
                    .then(|| format!("{} with {workers} workers", fixture.name))
            })
        })
        .flatten()
        .collect();
    assert!(differing.is_empty(), "other output: {differing:?}");
}

/// Several captures in one run: flows of all shards, topic names that one flow teaches another, and times that go back.
#[test]
fn a_mix_of_captures_gives_the_same_bytes_with_any_number_of_workers() {
    let mix: Vec<PathBuf> = [
        "http/nginx_pipelined",
        "kafka/tansu_ck216_basic",
        "mongodb/secantus_pm420_crud",
        "variants/kafka_noida",
        "kafka/mock_ck216_group",
        "kafka/tansu_ck216_big",
        "mongodb/comp_zlib_pm420",
        "kafka/noida_ck216_group",
        "mongodb/secantus_pm420_exhaust",
        "kafka/tansusqlite_ck216_comp",
    ]
    .map(|name| fixture(name).path)
    .into();
    let run = |workers| read_source(shipped_plugins(), &mut FileSource::new(mix.clone()), workers);
    let one = run(1);
    assert!(one.records.len() > 500, "only {} records", one.records.len());
    for workers in WORKERS {
        assert!(run(workers).records == one.records, "other output with {workers} workers");
    }
}
