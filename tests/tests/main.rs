//! protap's end-to-end tests, see the crate's own documentation.

mod captures;
mod variants;
mod split;
mod workers;
