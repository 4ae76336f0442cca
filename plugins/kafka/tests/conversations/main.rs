//! Conversations written by hand from the protocol guide.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod extremes;
mod frames;
mod old_and_broken;
