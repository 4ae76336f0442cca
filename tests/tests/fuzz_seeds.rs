//! The seeds of the plugins' fuzz targets, through what the targets do with them: any toolchain can run that. `make fuzz` goes
//! on from there.

use protap_e2e::artifacts::root;

#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a library there")]
mod fuzz;

fn each_seed(target: &str, run: impl Fn(&[u8])) {
    let folder = root().join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("no {}: {error}", folder.display()));
    let seeds: Vec<_> = files.map(|file| file.expect("a folder can be read").path()).collect();
    assert!(seeds.len() >= 30, "only {} seeds in {}", seeds.len(), folder.display());
    for seed in seeds {
        run(&std::fs::read(seed).expect("a seed can be read"));
    }
}

#[test]
fn seeds_of_kafka_find_nothing() {
    each_seed("kafka", |seed| fuzz::plugin::<kafka::Plugin>(9092, seed));
}

#[test]
fn seeds_of_mongodb_find_nothing() {
    each_seed("mongodb", |seed| fuzz::plugin::<mongodb::Plugin>(27017, seed));
}

#[test]
fn seeds_of_redis_find_nothing() {
    each_seed("redis", |seed| fuzz::plugin::<redis::Plugin>(6379, seed));
}

#[test]
fn seeds_of_http_find_nothing() {
    each_seed("http", |seed| fuzz::plugin::<http::Plugin>(80, seed));
}
