//! What one flow taught about others: (plugin, namespace, key) -> value, the most recently used ones kept. Records
//! refer to facts by key; a key that was never learnt, or was forgotten, stands for itself.

use lru::LruCache;

use crate::record::{Content, PluginIdentity, Text};

/// Facts kept unless told otherwise: the topics of a large cluster several times over, in some megabytes.
const DEFAULT_CAPACITY: usize = 65_536;

/// Longest key and value together, in bytes, so that the table's memory is bounded too. Names are far shorter.
const MAX_FACT_LEN: usize = 1_024;

/// Ends a name within a table key; no byte of UTF-8 has this value, so no name can imitate two.
const SEPARATOR: u8 = 0xff;

/// A bounded table of facts.
pub struct FactTable {
    facts: LruCache<Box<[u8]>, Box<str>>,
    capacity: usize,
    /// The table key of the last look-up; kept so that a look-up does not allocate.
    scratch: Vec<u8>,
    evicted: u64,
    refused: u64,
}

impl Default for FactTable {
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY)
    }
}

impl FactTable {
    /// A table of at most `capacity` facts.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        // Unbounded, since the crate's own bound would allocate all of it now and would not say what it evicts.
        Self { facts: LruCache::unbounded(), capacity, scratch: Vec::new(), evicted: 0, refused: 0 }
    }

    /// Keeps a fact of `plugin`; `namespace` is an index into [`PluginIdentity::facts`]. A newer value wins.
    /// A fact in an unknown namespace, or too long to be a name, is refused and counted.
    pub fn learn(&mut self, plugin: &PluginIdentity, namespace: u32, key: &str, value: &str) {
        if key.len() + value.len() > MAX_FACT_LEN || !self.set_scratch(plugin, namespace, key) {
            self.refused += 1;
            return;
        }
        if let Some(known) = self.facts.get_mut(self.scratch.as_slice()) {
            if **known != *value {
                *known = value.into();
            }
            return;
        }
        self.facts.put(self.scratch.as_slice().into(), value.into());
        if self.facts.len() > self.capacity {
            self.facts.pop_lru();
            self.evicted += 1;
        }
    }

    /// The string that `text`, of a content of `plugin`, stands for.
    #[inline]
    pub fn resolve<'a>(&'a mut self, plugin: &PluginIdentity, content: &'a Content, text: Text) -> &'a str {
        let said = content.text(text.place());
        match text {
            Text::Plain(_) => said,
            Text::Ref(namespace, _) => self.look_up(plugin, namespace, said),
        }
    }

    fn look_up<'a>(&'a mut self, plugin: &PluginIdentity, namespace: u32, key: &'a str) -> &'a str {
        if !self.set_scratch(plugin, namespace, key) {
            return key;
        }
        self.facts.get(self.scratch.as_slice()).map_or(key, |value| value)
    }

    /// Number of facts kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Nothing was learnt yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// Facts that were forgotten because the table was full.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Facts that were not taken: too long, or of a namespace that the plugin does not have.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Plugin and namespace count by name: a reloaded plugin keeps what it learnt.
    fn set_scratch(&mut self, plugin: &PluginIdentity, namespace: u32, key: &str) -> bool {
        let namespace = usize::try_from(namespace).ok().and_then(|index| plugin.facts.get(index));
        let Some(namespace) = namespace else { return false };
        self.scratch.clear();
        for name in [&plugin.name, namespace] {
            self.scratch.extend_from_slice(name.as_bytes());
            self.scratch.push(SEPARATOR);
        }
        self.scratch.extend_from_slice(key.as_bytes());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{FactTable, MAX_FACT_LEN};
    use crate::record::{Content, PluginIdentity, Text};

    fn plugin(name: &str, facts: &[&str]) -> PluginIdentity {
        let facts = facts.iter().map(ToString::to_string).collect();
        PluginIdentity { name: name.into(), version: "1".into(), protocols: vec![], attributes: vec![], facts }
    }

    fn resolve(facts: &mut FactTable, plugin: &PluginIdentity, key: &str) -> String {
        let mut content = Content::default();
        let text = Text::Ref(0, content.put(key));
        facts.resolve(plugin, &content, text).to_owned()
    }

    #[test]
    fn unknown_key_stands_for_itself() {
        let mut facts = FactTable::default();
        assert_eq!(resolve(&mut facts, &plugin("a", &["topic"]), "id-1"), "id-1");
        assert_eq!(resolve(&mut facts, &plugin("a", &[]), "id-1"), "id-1");
    }

    #[test]
    fn newer_value_wins_and_survives_a_reload() {
        let mut facts = FactTable::default();
        facts.learn(&plugin("a", &["topic"]), 0, "id-1", "orders");
        facts.learn(&plugin("a", &["topic"]), 0, "id-1", "refunds");
        assert_eq!(resolve(&mut facts, &plugin("a", &["topic"]), "id-1"), "refunds");
        assert_eq!(facts.len(), 1);
    }

    #[test]
    fn facts_of_other_plugins_and_namespaces_are_not_seen() {
        let mut facts = FactTable::default();
        facts.learn(&plugin("a", &["topic"]), 0, "k", "seen");
        assert_eq!(resolve(&mut facts, &plugin("b", &["topic"]), "k"), "k");
        assert_eq!(resolve(&mut facts, &plugin("a", &["group"]), "k"), "k");
        assert_eq!(resolve(&mut facts, &plugin("at", &["opic"]), "k"), "k");
    }

    #[test]
    fn full_table_forgets_the_least_recently_used() {
        let (mut facts, plugin) = (FactTable::new(2), plugin("a", &["topic"]));
        facts.learn(&plugin, 0, "1", "one");
        facts.learn(&plugin, 0, "2", "two");
        assert_eq!(resolve(&mut facts, &plugin, "1"), "one");
        facts.learn(&plugin, 0, "3", "three");
        assert_eq!(resolve(&mut facts, &plugin, "1"), "one");
        assert_eq!(resolve(&mut facts, &plugin, "2"), "2");
        assert_eq!((facts.len(), facts.evicted()), (2, 1));
    }

    #[test]
    fn longest_fact_is_kept_and_a_longer_one_refused() {
        let (mut facts, plugin) = (FactTable::default(), plugin("a", &["topic"]));
        facts.learn(&plugin, 0, "k", &"v".repeat(MAX_FACT_LEN - 1));
        assert_eq!((facts.len(), facts.refused()), (1, 0));
        facts.learn(&plugin, 0, "l", &"v".repeat(MAX_FACT_LEN));
        facts.learn(&plugin, 7, "m", "v");
        assert_eq!((facts.len(), facts.refused()), (1, 2));
    }

    #[test]
    fn table_without_room_keeps_nothing() {
        let (mut facts, plugin) = (FactTable::new(0), plugin("a", &["topic"]));
        facts.learn(&plugin, 0, "k", "v");
        assert_eq!(resolve(&mut facts, &plugin, "k"), "k");
        assert_eq!((facts.is_empty(), facts.evicted()), (true, 1));
    }
}
