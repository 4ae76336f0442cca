//! Kafka's messages by an independent hand: the `kafka-protocol` crate, which was generated from Kafka's own message
//! specs, writes them and prints what is in them. Whoever reads them, natively or in the sandbox, is held against that.
//! What makes a message is random but the same in every run.

mod fields;
mod frames;
mod random;
mod rules;

pub use fields::{Comparison, error_codes};
pub use frames::{request_body, request_frame, response_body, response_frame, text};
pub use random::{Generated, each_request, each_response};
pub use rules::PARTITION;
