//! Any bytes, cut anywhere, as a conversation: see the library of this crate.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| protap_fuzz::plugin::<http::Plugin>(80, data));
