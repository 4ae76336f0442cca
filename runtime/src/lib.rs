//! The protap runtime: captured packets in, request/response records out, through sandboxed Wasm parser plugins.
//! The modules, in order, are the pipeline.

mod assembler;
pub mod packet;
pub mod reassembly;
pub mod record;
