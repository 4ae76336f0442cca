//! What of a plugin stands in each of its records: its name and version, and the keys of its attributes, escaped once.

use std::sync::Arc;

use crate::emit::json::heads::Heads;
use crate::emit::json::scalar;
use crate::record::PluginIdentity;

/// Plugins whose names are kept. There may be more one after the other, where they are replaced while a capture goes on.
const MAX_PLUGINS: usize = 64;

/// The names of one plugin.
pub(super) struct Names {
    identity: Arc<PluginIdentity>,
    /// The member `plugin`, with its comma.
    pub(super) plugin: Vec<u8>,
    /// Keys of the attributes, in the schema's order, each with its colon.
    pub(super) attributes: Vec<Vec<u8>>,
    /// What its records begin with.
    pub(super) heads: Heads,
}

impl Names {
    fn new(identity: &Arc<PluginIdentity>) -> Self {
        let mut plugin = b"\"plugin\":\"".to_vec();
        for piece in [&identity.name, " ", &identity.version] {
            scalar::put_escaped(&mut plugin, piece);
        }
        plugin.extend_from_slice(b"\",");
        let key = |name: &String| {
            let mut key = Vec::new();
            scalar::put_string(&mut key, name);
            key.push(b':');
            key
        };
        let attributes = identity.attributes.iter().map(key).collect();
        Self { identity: identity.clone(), plugin, attributes, heads: Heads::default() }
    }
}

/// The names of the plugins that were met with.
#[derive(Default)]
pub(super) struct KnownNames(Vec<Names>);

impl KnownNames {
    pub(super) fn of(&mut self, identity: &Arc<PluginIdentity>) -> Option<&mut Names> {
        let known = self.0.iter().position(|names| Arc::ptr_eq(&names.identity, identity));
        let place = known.unwrap_or_else(|| {
            if self.0.len() >= MAX_PLUGINS {
                self.0.clear();
            }
            self.0.push(Names::new(identity));
            self.0.len() - 1
        });
        self.0.get_mut(place)
    }
}
