//! The plugin contract, and an SDK to write plugins against it.

pub mod contract;
