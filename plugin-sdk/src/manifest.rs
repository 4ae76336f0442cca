//! What a plugin says of itself: rendered to JSON at compile time and put into the module's custom section, so that
//! a host can read it without running the plugin.

use crate::contract;

/// A plugin's description of itself. Built as a constant:
///
/// ```
/// use protap_plugin::prelude::*;
/// const MANIFEST: Manifest = Manifest::new("echo", "1.2.0").ports(&[7]).transports(&[Transport::Tcp]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Manifest {
    name: &'static str,
    version: &'static str,
    protocols: &'static [&'static str],
    transports: &'static [Transport],
    ports: &'static [u16],
    window: u32,
    attributes: &'static [AttributeDef],
    facts: &'static [&'static str],
    options: &'static [OptionDef],
    decodes: &'static [&'static str],
}

/// Transport protocols that a plugin may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP streams.
    Tcp,
    /// UDP datagrams.
    Udp,
}

/// An attribute of the plugin's schema: its name, and the type of its values.
#[derive(Clone, Copy, Debug)]
pub struct AttributeDef {
    /// OpenTelemetry's name where there is one.
    pub name: &'static str,
    /// `str`, `i64`, `f64`, `bool` or `list`.
    pub value_type: &'static str,
}

/// Refers to an attribute of the schema; made by [`attributes!`](crate::attributes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub u16);

/// Refers to a fact namespace of the manifest by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts(pub u16);

/// An option that a user may set with `--plugin-opt NAME.KEY=VALUE`.
#[derive(Clone, Copy, Debug)]
pub struct OptionDef {
    /// The key.
    pub key: &'static str,
    /// Value if it is not set.
    pub default: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
}

impl Manifest {
    /// A manifest with a name and a version. The name is also that of the protocol, the transport is TCP, the
    /// window 16 KiB, unless said otherwise.
    #[must_use]
    pub const fn new(name: &'static str, version: &'static str) -> Self {
        Self {
            name,
            version,
            protocols: &[],
            transports: &[Transport::Tcp],
            ports: &[],
            window: contract::DEFAULT_WINDOW,
            attributes: &[],
            facts: &[],
            options: &[],
            decodes: &[],
        }
    }

    /// Names of the protocols that messages may belong to, if not just one of the plugin's name.
    #[must_use]
    pub const fn protocols(self, protocols: &'static [&'static str]) -> Self {
        Self { protocols, ..self }
    }

    /// Transports of the flows that the plugin wants to probe.
    #[must_use]
    pub const fn transports(self, transports: &'static [Transport]) -> Self {
        Self { transports, ..self }
    }

    /// Server ports where the protocol usually lives. They order the candidates and lower no evidence.
    #[must_use]
    pub const fn ports(self, ports: &'static [u16]) -> Self {
        Self { ports, ..self }
    }

    /// The most contiguous bytes that the plugin needs to see at once, at most 1 MiB.
    #[must_use]
    pub const fn window(self, window: u32) -> Self {
        assert!(window >= 64 && window <= contract::MAX_WINDOW, "a window is 64 bytes to 1 MiB");
        Self { window, ..self }
    }

    /// The schema, as [`attributes!`](crate::attributes) makes it.
    #[must_use]
    pub const fn attributes(self, attributes: &'static [AttributeDef]) -> Self {
        Self { attributes, ..self }
    }

    /// Namespaces of the facts that the plugin emits or refers to.
    #[must_use]
    pub const fn facts(self, facts: &'static [&'static str]) -> Self {
        Self { facts, ..self }
    }

    /// Options that a user may set.
    #[must_use]
    pub const fn options(self, options: &'static [OptionDef]) -> Self {
        Self { options, ..self }
    }

    /// What the plugin decodes, in lines for people.
    #[must_use]
    pub const fn decodes(self, decodes: &'static [&'static str]) -> Self {
        Self { decodes, ..self }
    }

    /// The plugin's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The names that [`protocols`](Self::protocols) gave.
    #[must_use]
    pub const fn protocol_names(&self) -> &'static [&'static str] {
        self.protocols
    }

    /// The attribute schema.
    #[must_use]
    pub const fn attribute_defs(&self) -> &'static [AttributeDef] {
        self.attributes
    }

    /// The namespaces of facts.
    #[must_use]
    pub const fn fact_names(&self) -> &'static [&'static str] {
        self.facts
    }

    /// The window in bytes.
    #[must_use]
    pub const fn window_len(&self) -> u32 {
        self.window
    }

    /// Length of the JSON form.
    #[must_use]
    pub const fn json_len(&self) -> usize {
        self.render().len
    }

    /// The JSON form, as it stands in the custom section; `N` is [`json_len`](Self::json_len).
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "evaluated at compile time, where out of bounds is a compile error")]
    pub const fn json<const N: usize>(&self) -> [u8; N] {
        let rendered = self.render();
        let mut bytes = [0; N];
        let mut i = 0;
        while i < N {
            bytes[i] = rendered.bytes[i];
            i += 1;
        }
        bytes
    }

    /// The JSON form, made at run time.
    #[must_use]
    pub fn to_json(&self) -> String {
        let json = self.render();
        String::from_utf8_lossy(json.bytes.get(..json.len).unwrap_or_default()).into_owned()
    }

    const fn render(&self) -> Json {
        let mut json = Json { bytes: [0; MAX_JSON], len: 0 };
        json.raw("{\"contract\":").string(contract::VERSION);
        json.raw(",\"name\":").string(self.name);
        json.raw(",\"version\":").string(self.version);
        json.raw(",\"protocols\":").strings(self.protocols);
        json.raw(",\"transports\":").transports(self.transports);
        json.raw(",\"ports\":").ports(self.ports);
        json.raw(",\"window\":").number(self.window);
        json.raw(",\"attributes\":").attributes(self.attributes);
        json.raw(",\"facts\":").strings(self.facts);
        json.raw(",\"options\":").options(self.options);
        json.raw(",\"decodes\":").strings(self.decodes);
        json.raw("}");
        json
    }
}

/// Longest manifest in JSON, in bytes.
const MAX_JSON: usize = 32 << 10;

/// Writes JSON in constant evaluation.
struct Json {
    bytes: [u8; MAX_JSON],
    len: usize,
}

macro_rules! each {
    ($json:ident, $list:ident, $item:ident => $body:expr) => {{
        $json.raw("[");
        let mut i = 0;
        while i < $list.len() {
            if i > 0 {
                $json.raw(",");
            }
            let $item = $list[i];
            $body;
            i += 1;
        }
        $json.raw("]")
    }};
}

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time, where out of bounds is a compile error")]
impl Json {
    const fn byte(&mut self, byte: u8) {
        assert!(self.len < MAX_JSON, "the manifest is longer than 32 KiB of JSON");
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    const fn raw(&mut self, text: &str) -> &mut Self {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            self.byte(bytes[i]);
            i += 1;
        }
        self
    }

    const fn string(&mut self, text: &str) -> &mut Self {
        self.byte(b'"');
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            assert!(bytes[i] >= b' ', "no control characters in a manifest");
            if bytes[i] == b'"' || bytes[i] == b'\\' {
                self.byte(b'\\');
            }
            self.byte(bytes[i]);
            i += 1;
        }
        self.byte(b'"');
        self
    }

    const fn number(&mut self, value: u32) -> &mut Self {
        if value >= 10 {
            self.number(value / 10);
        }
        self.byte(b'0' + (value % 10) as u8);
        self
    }

    const fn strings(&mut self, list: &[&str]) -> &mut Self {
        each!(self, list, item => self.string(item))
    }

    const fn ports(&mut self, list: &[u16]) -> &mut Self {
        each!(self, list, item => self.number(item as u32))
    }

    const fn transports(&mut self, list: &[Transport]) -> &mut Self {
        each!(self, list, item => self.string(match item { Transport::Tcp => "tcp", Transport::Udp => "udp" }))
    }

    const fn attributes(&mut self, list: &[AttributeDef]) -> &mut Self {
        each!(self, list, item => {
            self.raw("{\"name\":").string(item.name).raw(",\"type\":").string(item.value_type).raw("}")
        })
    }

    const fn options(&mut self, list: &[OptionDef]) -> &mut Self {
        each!(self, list, item => {
            self.raw("{\"key\":").string(item.key).raw(",\"default\":").string(item.default);
            self.raw(",\"help\":").string(item.help).raw("}")
        })
    }
}

/// Defines the plugin's attribute schema: a constant [`Key`](crate::Key) for each attribute and the list for the
/// manifest.
///
/// ```
/// use protap_plugin::prelude::*;
/// attributes! {
///     SCHEMA;
///     SYSTEM: str = "messaging.system",
///     PARTITION: i64 = "messaging.destination.partition.id",
/// }
/// assert_eq!(SCHEMA[usize::from(PARTITION.0)].name, "messaging.destination.partition.id");
/// ```
#[macro_export]
macro_rules! attributes {
    ($schema:ident; $($key:ident: $ty:ident = $name:literal),* $(,)?) => {
        /// The attribute schema.
        pub const $schema: &[$crate::AttributeDef] =
            &[$($crate::AttributeDef { name: $name, value_type: stringify!($ty) }),*];
        $crate::attributes!(@keys 0u16; $($key $name)*);
    };
    (@keys $index:expr; $key:ident $name:literal $($rest:tt)*) => {
        #[doc = concat!("`", $name, "`")]
        pub const $key: $crate::Key = $crate::Key($index);
        $crate::attributes!(@keys $index + 1u16; $($rest)*);
    };
    (@keys $index:expr;) => {};
}

#[cfg(test)]
mod tests {
    use super::{AttributeDef, Manifest, OptionDef, Transport};

    #[test]
    fn a_manifest_renders_as_json() {
        const MANIFEST: Manifest = Manifest::new("a\"b", "1")
            .ports(&[7, 65535])
            .transports(&[Transport::Tcp, Transport::Udp])
            .attributes(&[AttributeDef { name: "x", value_type: "i64" }])
            .options(&[OptionDef { key: "k", default: "off", help: "h" }]);
        const JSON: [u8; MANIFEST.json_len()] = MANIFEST.json();
        assert_eq!(
            core::str::from_utf8(&JSON).unwrap(),
            "{\"contract\":\"VERSION\",\"name\":\"a\\\"b\",\"version\":\"1\",\"protocols\":[],\
             \"transports\":[\"tcp\",\"udp\"],\"ports\":[7,65535],\"window\":16384,\
             \"attributes\":[{\"name\":\"x\",\"type\":\"i64\"}],\"facts\":[],\
             \"options\":[{\"key\":\"k\",\"default\":\"off\",\"help\":\"h\"}],\"decodes\":[]}"
                .replace("VERSION", crate::contract::VERSION)
        );
    }
}
