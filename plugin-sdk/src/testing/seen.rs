//! What a plugin said, copied out of its memory into values that tests can compare and print.

use core::fmt;

use crate::output::{Kind, Status};
use crate::plugin::Direction;

/// How much of a message was decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Completeness {
    /// All that the plugin decodes of such a message.
    #[default]
    Full,
    /// Some of it.
    Partial,
    /// The header alone.
    Header,
}

/// Which part of a message, if it is built over several calls; with the handle that its parts share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    #[default]
    Whole,
    /// The first part.
    Begin(u32),
    /// A further part.
    Amend(u32),
    /// The last part.
    Finish(u32),
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string.
    Str(String),
    /// An integer.
    I64(i64),
    /// A float.
    F64(f64),
    /// A boolean.
    Bool(bool),
    /// A list of strings.
    List(Vec<String>),
    /// The key of a fact in that namespace.
    Ref(String, String),
    /// Keys of facts in that namespace.
    RefList(String, Vec<String>),
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Str(value.to_owned())
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::I64(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::F64(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&[&str]> for Value {
    fn from(values: &[&str]) -> Self {
        Self::List(values.iter().map(|value| (*value).to_owned()).collect())
    }
}

/// One message that a plugin emitted. Texts that it left out are empty here.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Which way it goes.
    pub direction: Direction,
    /// Request, response or one-way.
    pub kind: Kind,
    /// Command or API.
    pub type_name: String,
    /// Version of the protocol or of the API.
    pub version: String,
    /// Where the resource lives.
    pub domain: String,
    /// What is asked for or acted upon.
    pub resource: String,
    /// What to group by.
    pub endpoint: String,
    /// Namespace of facts that `resource` and `endpoint` are keys in, if they are.
    pub resource_facts: Option<String>,
    /// Name of its protocol.
    pub protocol: String,
    /// Correlation id.
    pub id: Option<u64>,
    /// Id of the next response to the same request.
    pub next_id: Option<u64>,
    /// How the request ended.
    pub status: Status,
    /// The protocol's own status or error number.
    pub code: Option<i64>,
    /// Name of the error.
    pub exception: String,
    /// Outcome in words.
    pub result: String,
    /// Attributes by name.
    pub attributes: Vec<(String, Value)>,
    /// Stream offset of its first byte.
    pub start: u64,
    /// Stream offset behind its last byte.
    pub end: u64,
    /// How much of it was decoded.
    pub completeness: Completeness,
    /// Why not all.
    pub reason: String,
    /// What a request left with the host.
    pub context: Vec<u8>,
    /// More responses to the same request follow.
    pub has_more_replies: bool,
    /// The server may hold the request back on purpose.
    pub is_long_poll: bool,
    /// Which part of the message.
    pub part: Part,
    /// It is no message: the request with its id is withdrawn.
    pub is_cancel: bool,
    /// Of a response: the type of the request that it was paired with; `None` if none was pending.
    pub answers: Option<String>,
}

impl Seen {
    /// The value of the attribute with that name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        self.attributes.iter().find(|(of, _)| of == name).map(|(_, value)| value)
    }
}

/// A fact that a plugin emitted: in namespace `namespace`, `key` is called `value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenFact {
    /// Name of the namespace.
    pub namespace: String,
    /// What is named.
    pub key: String,
    /// Its name.
    pub value: String,
}

/// How a conversation went on, as far as the plugin is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// The plugin would take more.
    #[default]
    Open,
    /// It said that the flow is not its protocol.
    Rejected(String),
    /// It said that the flow is unreadable.
    Opaque(String),
    /// It said that another protocol begins at that stream offset.
    Handover(u64, String),
}

/// Bytes that made no sense to the plugin, or that it could not bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// In which direction.
    pub direction: Direction,
    /// Stream offset from which on the plugin had to look for the next frame.
    pub offset: u64,
    /// What the plugin said; empty for a gap that it did not bridge.
    pub reason: String,
}

/// What came of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The messages, in the order in which they were emitted.
    pub messages: Vec<Seen>,
    /// The facts, likewise.
    pub facts: Vec<SeenFact>,
    /// How it ended.
    pub ending: Ending,
    /// Where the plugin lost its way.
    pub losses: Vec<Loss>,
    /// Bytes that the plugin was given and still waits to see followed by more, to the server and to the client.
    pub unread: [usize; 2],
    /// Requests without an answer so far.
    pub unanswered: usize,
    /// Lines that the plugin sent to the log.
    pub log: Vec<String>,
}

/// A breach of the contract: what a host would count as a fault of the plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The call in which it happened.
    pub call: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.what)
    }
}

impl core::error::Error for Violation {}
