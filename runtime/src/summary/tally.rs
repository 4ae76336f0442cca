//! Counting by name where names come from outside: a bounded number of them is told apart.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Names from plugins are kept up to this many bytes: enough to recognise any, and no way to fill memory.
const MAX_NAME_LEN: usize = 128;

/// Counts by key. The keys that come first are kept: what is frequent comes early, and no eviction can be provoked.
#[derive(Clone, Debug)]
pub struct Tally<K> {
    counts: HashMap<K, u64>,
    limit: usize,
    other: u64,
}

impl<K: Eq + Hash + Ord> Tally<K> {
    /// Tells up to `limit` keys apart.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { counts: HashMap::new(), limit, other: 0 }
    }

    /// Adds `count` to a key, or to the others if there is no room for it.
    pub fn add<Q>(&mut self, key: &Q, count: u64)
    where
        K: Borrow<Q>,
        Q: ?Sized + Eq + Hash + ToOwned<Owned = K>,
    {
        if let Some(known) = self.counts.get_mut(key) {
            *known += count;
        } else if self.counts.len() < self.limit {
            self.counts.insert(key.to_owned(), count);
        } else {
            self.other += count;
        }
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self)
    where
        K: Clone,
    {
        other.counts.iter().for_each(|(key, count)| self.add(key, *count));
        self.other += other.other;
    }

    /// Keys and counts, the largest count first, then in the order of the keys.
    #[must_use]
    pub fn sorted(&self) -> Vec<(&K, u64)> {
        let mut rows: Vec<_> = self.counts.iter().map(|(key, count)| (key, *count)).collect();
        rows.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        rows
    }

    /// What was counted for keys beyond the limit.
    #[must_use]
    pub fn other(&self) -> u64 {
        self.other
    }

    /// The sum over all keys.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum::<u64>() + self.other
    }
}

/// The beginning of a name that is kept.
pub(super) fn clip_name(name: &str) -> &str {
    name.get(..name.floor_char_boundary(MAX_NAME_LEN)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::{Tally, clip_name};

    #[test]
    fn keys_up_to_the_limit_are_told_apart() {
        let mut tally = Tally::<String>::new(2);
        for key in ["b", "a", "c", "a", "c"] {
            tally.add(key, 1);
        }
        let sorted: Vec<_> = tally.sorted().into_iter().map(|(key, count)| (key.as_str(), count)).collect();
        assert_eq!(sorted, [("a", 2), ("b", 1)]);
        assert_eq!((tally.other(), tally.total()), (2, 5));
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(clip_name("short"), "short");
        assert_eq!(clip_name(&"ä".repeat(100)).len(), 128);
        assert_eq!(clip_name(&format!("x{}", "ä".repeat(100))).len(), 127);
    }
}
