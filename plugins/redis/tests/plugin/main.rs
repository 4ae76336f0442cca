//! The plugin as a host sees it: conversations in, messages out.

mod commands;
mod flows;
mod loss;
mod probing;
mod properties;
mod wire;
