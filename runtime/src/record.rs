//! What the pipeline produces: the decoded [`Content`] of each message, and a [`Record`] per request with its responses.
//! Plain owned data; nothing here knows where it came from or where it is written.

mod content;
mod output;
mod spares;

use std::sync::Arc;

pub use self::content::{Content, Extra, Place, Text, Value};
pub use self::output::{Outlet, Output};
pub use self::spares::Spares;

use crate::packet::{Endpoint, Timestamp, Transport};

/// What the host keeps of a plugin's manifest for naming things in records.
#[derive(Debug, PartialEq, Eq)]
pub struct PluginIdentity {
    /// Plugin name, unique among the loaded plugins.
    pub name: String,
    /// Plugin version.
    pub version: String,
    /// Names of the protocols that its messages may belong to.
    pub protocols: Vec<String>,
    /// Attribute names, in schema order.
    pub attributes: Vec<String>,
    /// Fact namespaces.
    pub facts: Vec<String>,
}

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Asks for an answer.
    Request,
    /// Answers a request.
    Response,
    /// Neither is an answer nor gets one.
    OneWay,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nothing is known.
    #[default]
    Unknown,
    /// It succeeded.
    Ok,
    /// It failed by the client's fault.
    ClientError,
    /// It failed by the server's fault.
    ServerError,
    /// No answer came in time.
    Timeout,
}

/// How much was decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Completeness {
    /// All that the plugin decodes.
    #[default]
    Full,
    /// A part.
    Partial,
    /// The header alone.
    Header,
}

/// One side of a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// What was decoded.
    pub content: Box<Content>,
    /// Bytes on the wire: of the request, or of all responses together.
    pub bytes: u64,
    /// Number of messages: 1, or how many responses were summed.
    pub count: u32,
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// A request and its response.
    Session,
    /// A request without response.
    Request,
    /// A response without request.
    Response,
    /// A message that needs no answer.
    OneWay,
}

/// The two ends of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowEnds {
    /// TCP or UDP.
    pub transport: Transport,
    /// Who asks, as far as is known.
    pub client: Endpoint,
    /// Who answers.
    pub server: Endpoint,
}

/// Who holds one end of a flow, as far as a capture of system calls sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Process id, in the host's pid namespace.
    pub pid: u32,
    /// Its name, as the thread that made the call bore it.
    pub comm: String,
    /// Where its bytes are seen.
    pub via: Via,
}

/// Where a capture of system calls sees the bytes of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Via {
    /// At its socket.
    #[default]
    Socket,
    /// In its TLS library, which itself called the kernel for that socket.
    Tls,
    /// In its TLS library; that it belongs to that socket is likely, not certain.
    LikelyTls,
}

/// The processes at the two ends of a flow or a segment, as far as they are known.
pub type ProcessPair = [Option<Arc<Process>>; 2];

/// The processes at the ends of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processes {
    /// Of the end that asks.
    pub client: Option<Arc<Process>>,
    /// Of the end that answers.
    pub server: Option<Arc<Process>>,
}

/// One request with what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// First byte of the request (of the response, if there is no request).
    pub ts: Timestamp,
    /// When the record was complete.
    pub completed: Timestamp,
    /// Which plugin made it.
    pub plugin: Arc<PluginIdentity>,
    /// Index into [`PluginIdentity::protocols`].
    pub protocol: u16,
    /// What it is about.
    pub kind: RecordKind,
    /// The flow's ends. For a request that the server sent, still client and server of the flow.
    pub flow: FlowEnds,
    /// The packet that the flow began with, which names it.
    pub flow_id: u64,
    /// Their processes; a capture of packets knows none.
    pub process: Option<Arc<Processes>>,
    /// The message was sent by the server end (requests that brokers or servers send).
    pub is_from_server: bool,
    /// The request, if seen.
    pub request: Option<Part>,
    /// The responses, if any was seen.
    pub response: Option<Part>,
    /// The response came after the request had been given up.
    pub is_late: bool,
    /// Why there is no response, or why its status is unknown: `timeout`, `closed`, `superseded` by another
    /// request of its id, `ambiguous id` after that, `lost`, ...
    pub reason: Option<&'static str>,
    /// From when all bytes of the request had come to the first byte of the response, in nanoseconds; unknown if its last byte
    /// was lost.
    pub latency_ns: Option<u64>,
    /// First byte of the request to last byte of the response, in nanoseconds.
    pub duration_ns: Option<u64>,
}

impl Record {
    /// A record that says nothing.
    #[must_use]
    pub fn new(plugin: Arc<PluginIdentity>, flow: FlowEnds) -> Self {
        Self {
            ts: 0,
            completed: 0,
            plugin,
            protocol: 0,
            kind: RecordKind::OneWay,
            flow,
            flow_id: 0,
            process: None,
            is_from_server: false,
            request: None,
            response: None,
            is_late: false,
            reason: None,
            latency_ns: None,
            duration_ns: None,
        }
    }

    /// Whether any of its strings is the key of a fact.
    pub(crate) fn has_references(&self) -> bool {
        [&self.request, &self.response].into_iter().flatten().any(|part| part.content.has_references())
    }

    /// Forgets all that it says but for whose it is.
    fn clear(&mut self) {
        (self.process, self.request, self.response) = (None, None, None);
        (self.is_late, self.reason) = (false, None);
        (self.latency_ns, self.duration_ns) = (None, None);
    }
}
