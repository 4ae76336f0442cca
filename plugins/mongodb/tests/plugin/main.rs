//! The plugin as a host sees it: conversations in, messages out. Documents are encoded by the `bson` crate, which
//! shares no code with the plugin.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod commands;
mod compression;
mod framing;
mod generated;
mod legacy;
mod limits;
mod probing;
mod properties;
mod replies;
mod shapes;
mod terms;
mod wire;
