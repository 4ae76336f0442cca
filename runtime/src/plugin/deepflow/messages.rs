//! Which messages of other plugins a DeepFlow plugin is called for, and what it is told of them. Here alone are names of
//! protocols: the ABI has them. HTTP/1 and HTTP/2 messages go to the HTTP hooks; of the protocols with custom messages
//! those are served whose payload the guest reads itself.

use super::context::About;
use super::guest::Entry;
use super::hooks::Hooks;
use crate::record::{Content, Kind, PluginIdentity, Text, Value};

/// Names of attributes, OpenTelemetry's and shorter ones, that hold what the hooks are told.
const PATH: [&str; 4] = ["url.path", "path", "url.full", "http.target"];
const HOST: [&str; 4] = ["server.address", "host", "http.request.header.host", "http.host"];
const USER_AGENT: [&str; 3] = ["user_agent.original", "user_agent", "http.user_agent"];
/// Behind the path, with a question mark.
const QUERY: [&str; 2] = ["url.query", "query"];
const REFERER: [&str; 3] = ["http.request.header.referer", "referer", "http.referer"];
const STATUS: [&str; 2] = ["http.response.status_code", "status"];

/// A message that hooks may be called for.
#[derive(Clone, Copy, Debug)]
pub struct HookedMessage<'a> {
    /// Name of its protocol.
    pub protocol: &'a str,
    /// Request, response or neither.
    pub kind: Kind,
    /// What it says.
    pub content: &'a Content,
    /// Whose it is.
    pub identity: &'a PluginIdentity,
    /// Its first bytes, as far as they are at hand.
    pub bytes: &'a [u8],
}

/// A protocol that messages may be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Its number in DeepFlow.
    Http(u8),
    Custom(u32),
}

/// Protocols by name. Custom messages of others come with contents that no other plugin tells.
fn source(protocol: &str) -> Option<Source> {
    match protocol {
        "http" | "http1" => Some(Source::Http(20)),
        "http2" => Some(Source::Http(21)),
        "dubbo" => Some(Source::Custom(40)),
        _ => None,
    }
}

impl Hooks {
    /// Whether a custom-message hook can be served if there are plugins of these protocols; true without one.
    #[must_use]
    pub fn has_custom_source<'a>(&self, mut protocols: impl Iterator<Item = &'a str>) -> bool {
        let Some(custom) = self.custom else { return true };
        protocols.any(|name| matches!(source(name), Some(Source::Custom(code)) if custom.wants(code)))
    }

    /// Whether an HTTP hook can be served if there are plugins of these protocols; true without one.
    #[must_use]
    pub fn has_http_source<'a>(&self, mut protocols: impl Iterator<Item = &'a str>) -> bool {
        !(self.http_request || self.http_response)
            || protocols.any(|name| matches!(source(name), Some(Source::Http(_))))
    }

    /// Whether it is called for such messages.
    #[must_use]
    pub fn wants(&self, protocol: &str, kind: Kind) -> bool {
        match (source(protocol), kind) {
            (Some(Source::Http(_)), Kind::Request) => self.http_request,
            (Some(Source::Http(_)), Kind::Response) => self.http_response,
            (Some(Source::Custom(code)), _) => self.custom.is_some_and(|custom| custom.wants(code)),
            _ => false,
        }
    }

    /// What is called for that message, with what it is told, and the number of the protocol.
    pub(super) fn of(&self, message: &HookedMessage<'_>) -> Option<(Entry, About, u8)> {
        if !self.wants(message.protocol, message.kind) {
            return None;
        }
        Some(match (source(message.protocol)?, message.kind) {
            (Source::Http(number), Kind::Response) => (Entry::HttpResponse, http_response(message), number),
            (Source::Http(number), _) => (Entry::HttpRequest, http_request(message), number),
            (Source::Custom(code), _) => (Entry::Custom, About::custom(code), 0),
        })
    }
}

fn http_request(message: &HookedMessage<'_>) -> About {
    let content = message.content;
    let find = |names: &[&str]| attribute(message, names).and_then(|value| as_str(content, value));
    let path = find(&PATH).or_else(|| text(content, content.resource?));
    let host = find(&HOST).or(content.said(content.domain));
    let (agent, referer) = (find(&USER_AGENT), find(&REFERER));
    let [path, host, agent, referer] = [path, host, agent, referer].map(Option::unwrap_or_default);
    match find(&QUERY) {
        Some(query) => About::http_request(&format!("{path}?{query}"), host, agent, referer),
        None => About::http_request(path, host, agent, referer),
    }
}

fn http_response(message: &HookedMessage<'_>) -> About {
    let content = message.content;
    let attribute = attribute(message, &STATUS).and_then(|value| match value {
        Value::I64(code) => Some(code),
        value => as_str(content, value)?.parse().ok(),
    });
    let code = content.code.or(attribute).and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
    let endpoint = content.endpoint.and_then(|endpoint| text(content, endpoint)).unwrap_or_default();
    About::http_response(code, content.status, endpoint)
}

fn attribute(message: &HookedMessage<'_>, names: &[&str]) -> Option<Value> {
    let HookedMessage { content, identity, .. } = *message;
    let declared = |name: &str| {
        let index = identity.attributes.iter().position(|declared| declared == name)?;
        content.attributes.iter().find(|(other, _)| usize::from(*other) == index).map(|(_, value)| *value)
    };
    let extra = |name: &str| {
        let attributes = &content.extra.as_deref()?.attributes;
        attributes.iter().find(|(other, _)| other == name).map(|(_, value)| *value)
    };
    names.iter().find_map(|name| declared(name).or_else(|| extra(name)))
}

fn as_str(content: &Content, value: Value) -> Option<&str> {
    match value {
        Value::Str(value) => text(content, value),
        Value::List(list) => text(content, *content.list(list).first()?),
        Value::I64(_) | Value::F64(_) | Value::Bool(_) => None,
    }
}

fn text(content: &Content, text: Text) -> Option<&str> {
    if let Text::Plain(place) = text { Some(content.text(place)) } else { None }
}
