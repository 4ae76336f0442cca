//! The manifest of a plugin: JSON in, checked fields out. Everything in it is the plugin's claim, bounded here before
//! anything believes it.

use protap_plugin::contract;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::record::PluginIdentity;

/// Longest name, in bytes.
const MAX_NAME: usize = 64;
/// Most entries of any list.
const MAX_ENTRIES: usize = 1024;
/// Bytes of each head that a probe gets.
pub const HEAD: usize = 16 << 10;

/// What a plugin says of itself; see the contract for each field.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Manifest {
    /// Version of the contract that it was written against.
    pub contract: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Protocols that its messages belong to.
    #[serde(default)]
    pub protocols: Vec<String>,
    /// `tcp`, `udp`.
    #[serde(default = "tcp")]
    pub transports: Vec<TransportName>,
    /// Ports where the protocol usually lives.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Bytes that it wants to see at once.
    #[serde(default = "default_window")]
    pub window: u32,
    /// Attribute schema.
    #[serde(default)]
    pub attributes: Vec<AttributeEntry>,
    /// Fact namespaces.
    #[serde(default)]
    pub facts: Vec<String>,
    /// Options.
    #[serde(default)]
    pub options: Vec<OptionEntry>,
    /// What it decodes, for people.
    #[serde(default)]
    pub decodes: Vec<String>,
}

/// A transport in a manifest.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum TransportName {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// An attribute of the schema.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct AttributeEntry {
    /// Name in records.
    pub name: String,
    /// Type of its values.
    #[serde(rename = "type", default)]
    pub value_type: String,
}

/// An option of a plugin.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct OptionEntry {
    /// The key.
    pub key: String,
    /// Value if not set.
    #[serde(default)]
    pub default: String,
    /// What it does.
    #[serde(default)]
    pub help: String,
}

/// What is wrong with a manifest.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ManifestError {
    /// Not the JSON that the contract asks for.
    #[error("its manifest is not what the contract asks for: {0}")]
    Json(String),
    /// Another version of the contract.
    #[error(
        "it is built for contract {found}, this host speaks {}; rebuild it with the matching SDK",
        contract::VERSION
    )]
    Contract {
        /// What it was built for.
        found: String,
    },
    /// A field is out of its bounds.
    #[error("its manifest's {0}")]
    Field(&'static str),
}

impl Manifest {
    /// Parses and checks a manifest.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        // The version comes first: what another version says of its other fields is not for us to judge.
        let version: ContractOnly = serde_json::from_slice(json).map_err(|e| ManifestError::Json(e.to_string()))?;
        if !is_compatible(&version.contract) {
            return Err(ManifestError::Contract { found: version.contract });
        }
        let mut manifest: Self = serde_json::from_slice(json).map_err(|e| ManifestError::Json(e.to_string()))?;
        if manifest.protocols.is_empty() {
            manifest.protocols.push(manifest.name.clone());
        }
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let is_name = |name: &String| {
            (1..=MAX_NAME).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+/".contains(&b))
        };
        if !is_name(&self.name) || !is_name(&self.version) || !self.protocols.iter().all(is_name) {
            return Err(ManifestError::Field("names must be 1 to 64 letters, digits, and . _ - + /"));
        }
        if !(64..=contract::MAX_WINDOW).contains(&self.window) {
            return Err(ManifestError::Field("window must be 64 bytes to 1 MiB"));
        }
        let longest = [self.attributes.len(), self.facts.len(), self.options.len(), self.ports.len()];
        if longest.into_iter().chain([self.protocols.len(), self.decodes.len()]).any(|len| len > MAX_ENTRIES) {
            return Err(ManifestError::Field("lists must have at most 1024 entries"));
        }
        if self.attributes.iter().any(|attribute| !is_name(&attribute.name)) {
            return Err(ManifestError::Field("attribute names must be 1 to 64 letters, digits, and . _ - + /"));
        }
        Ok(())
    }

    /// Names for records.
    #[must_use]
    pub fn identity(&self) -> PluginIdentity {
        PluginIdentity {
            name: self.name.clone(),
            version: self.version.clone(),
            protocols: self.protocols.clone(),
            attributes: self.attributes.iter().map(|attribute| attribute.name.clone()).collect(),
            facts: self.facts.clone(),
        }
    }

    /// Longest input that the host will hand over at once: a window, or both heads.
    #[must_use]
    pub fn input_len(&self) -> usize {
        (self.window as usize).max(2 * HEAD)
    }
}

#[derive(Deserialize)]
struct ContractOnly {
    contract: String,
}

fn is_compatible(found: &str) -> bool {
    let parse = |version: &str| {
        let (major, minor) = version.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    match (parse(found), parse(contract::VERSION)) {
        (Some((0, minor)), Some((0, ours))) => minor == ours,
        (Some((major, _)), Some((ours, _))) => major == ours,
        _ => false,
    }
}

fn tcp() -> Vec<TransportName> {
    vec![TransportName::Tcp]
}

fn default_window() -> u32 {
    contract::DEFAULT_WINDOW
}

#[cfg(test)]
mod tests {
    use super::{Manifest, ManifestError, contract};

    #[test]
    fn missing_fields_have_their_defaults() {
        let json = format!(r#"{{"contract":"{}","name":"x","version":"1"}}"#, contract::VERSION);
        let manifest = Manifest::parse(json.as_bytes()).unwrap();
        assert_eq!((manifest.window, manifest.protocols), (16384, vec!["x".to_owned()]));
    }

    #[test]
    fn another_contract_version_is_refused_by_name() {
        for version in ["99.0", "0.99", "0", ""] {
            let json = format!(r#"{{"contract":"{version}","name":1}}"#);
            assert_eq!(Manifest::parse(json.as_bytes()), Err(ManifestError::Contract { found: version.to_owned() }));
        }
    }

    #[test]
    fn bounds_are_checked() {
        for (field, value) in [("name", r#""a b""#), ("window", "1048577"), ("window", "63"), ("version", r#""""#)] {
            let mut json = serde_json::json!({"contract": contract::VERSION, "name": "x", "version": "1"});
            json[field] = serde_json::from_str(value).unwrap();
            assert!(matches!(Manifest::parse(json.to_string().as_bytes()), Err(ManifestError::Field(_))), "{field}");
        }
        assert!(matches!(Manifest::parse(b"{"), Err(ManifestError::Json(_))));
    }
}
