//! The plugin as a host sees it: conversations in, messages out.

#![expect(clippy::indexing_slicing, reason = "helpers of tests")]

mod bodies;
mod exchanges;
mod framing;
mod loss;
mod probing;
mod properties;
mod wire;
