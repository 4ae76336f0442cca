//! protap's end-to-end tests, see the crate's own documentation.

mod captures;
mod variants;
mod split;
mod pipes;
mod explain;
mod coverage;
mod fields;
mod real_servers;
mod http;
mod kafka_messages;
mod native;
mod fuzz_seeds;
mod redis;
mod snapshots;
mod live;
#[cfg(target_os = "linux")]
mod trace;
mod memory;
mod bad_input;
mod deepflow;
mod hostile;
mod loss;
mod workers;
mod shedding;
mod leaving;
mod shapes_dns;
mod shapes_mysql;
mod reload;
mod conformance;
mod shapes_http2;
mod shapes_mqtt;
mod guests;
mod matrix;
