//! The protap runtime: captured packets in, request/response records out, through sandboxed Wasm parser plugins.
//! The modules, in order, are the pipeline.

pub mod packet;
pub mod record;

pub mod emit;
pub mod summary;
