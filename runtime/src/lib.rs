//! The protap runtime: captured packets in, request/response records out, through sandboxed Wasm parser plugins.
//! The modules, in order, are the pipeline.

pub mod capture;
pub mod packet;
pub mod duplicate;
mod assembler;
pub mod reassembly;
pub mod stream;
pub mod plugin;
pub mod quarantine;
pub mod running;
pub mod infer;
pub mod session;
pub mod pair;
pub mod record;
pub mod shard;
pub mod merge;
pub mod emit;
pub mod summary;
pub mod pipeline;
#[cfg(target_os = "linux")]
pub mod privilege;
