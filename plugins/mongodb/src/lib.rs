//! protap plugin: mongodb.
