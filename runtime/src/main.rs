//! The `protap` program.

fn main() {}
