//! The plugin as a host sees it: conversations in, messages out.

mod bodies;
mod exchanges;
mod framing;
mod loss;
mod probing;
mod properties;
mod wire;
