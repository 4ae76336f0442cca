//! The plugin as a host sees it: conversations in, messages out.
