//! What the end-to-end tests share: where the built program and plugins are, captures in and out, the independent
//! decode of what they hold, and runs of the engine in this process. The tests themselves are in `tests/`.
//!
//! A test that needs something that is not there says so and how to get it; it never passes in silence.

pub mod artifacts;
pub mod pcap;
pub mod segment;
pub mod link;
pub mod rewrite;
pub mod damage;
pub mod deepflow;
pub mod engine;
pub mod program;
pub mod records;
pub mod oracle;
pub mod judge;
pub mod conversation;
pub mod hostile;
pub mod conformance;
pub mod datagram;
pub mod shape;
pub mod matrix;
pub mod repeat;
