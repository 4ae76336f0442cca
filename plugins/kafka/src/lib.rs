//! protap plugin: kafka.
