//! protap's end-to-end tests, see the crate's own documentation.

mod captures;
mod variants;
mod split;
mod fields;
mod redis;
mod snapshots;
mod live;
mod memory;
mod bad_input;
mod hostile;
mod loss;
mod workers;
