//! The plugin against the `kafka-protocol` crate, which was generated from Kafka's own message specs: whatever the
//! crate writes, the plugin must read.

mod fetch;
mod frames;
mod metadata;
mod produce;
mod random;
mod records;
