//! Topic aliases of one direction (MQTT 5): a number that a sender gave a topic, to be sent in its place.

/// Aliases that are kept of a direction; the oldest makes room.
const MAX_ALIASES: usize = 64;
/// Longest topic that is kept, in bytes.
const MAX_TOPIC: usize = 256;

/// What the aliases stand for.
#[derive(Debug, Default)]
pub(crate) struct Aliases(Vec<(u16, Vec<u8>)>);

impl Aliases {
    /// The topic has that alias from now on.
    pub(crate) fn set(&mut self, alias: u16, topic: &[u8]) {
        self.0.retain(|(of, _)| *of != alias);
        if topic.len() > MAX_TOPIC {
            return;
        }
        if self.0.len() == MAX_ALIASES {
            self.0.remove(0);
        }
        self.0.push((alias, topic.to_vec()));
    }

    /// The topic that has the alias, if it was seen.
    pub(crate) fn get(&self, alias: u16) -> Option<&[u8]> {
        self.0.iter().find(|(of, _)| *of == alias).map(|(_, topic)| topic.as_slice())
    }

    /// What they stand for may have changed.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Aliases, MAX_ALIASES, MAX_TOPIC};

    #[test]
    fn aliases_are_bounded_in_number_and_length() {
        let mut aliases = Aliases::default();
        (0..=MAX_ALIASES as u16).for_each(|alias| aliases.set(alias, b"t"));
        assert_eq!((aliases.get(0), aliases.get(1)), (None, Some(&b"t"[..])));
        aliases.set(1, &[b'x'; MAX_TOPIC + 1]);
        assert_eq!(aliases.get(1), None);
    }
}
