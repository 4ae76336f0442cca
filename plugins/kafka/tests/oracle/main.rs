//! The plugin against the `kafka-protocol` crate, which was generated from Kafka's own message specs: whatever the
//! crate writes, the plugin must read.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod fetch;
mod fields;
mod frames;
mod metadata;
mod produce;
mod random;
mod records;
mod sessions;
mod trace;
