//! Commands: their names, where their keys are, and what else a parser has to know of them. The names are those of
//! Redis 7.0 with the newer ones up to 8; commands of modules are known by the looks of their names.
//! <https://redis.io/docs/latest/commands/>

pub(crate) use self::table::{COMMANDS, CONTAINERS};

mod table;

/// Longest name of a command.
pub(crate) const MAX_NAME: usize = 48;

/// Where a command's keys are; its name is argument 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    None,
    /// From an argument to another (if negative, counted from the end), and how far apart.
    Range(u64, i8, u64),
    /// Their number is that argument, and they follow it.
    Counted(u64),
    /// Argument 1 is one; the number of the others is argument 2, and they follow it.
    Stored,
    /// The first half of what follows the word STREAMS.
    Streams,
    /// Channels or patterns from argument 1 on.
    Channels,
    /// Argument 1 is a channel.
    Channel,
}

/// What a command is to the flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verb {
    #[default]
    Plain,
    Select,
    Reset,
    Quit,
    Ping,
    Multi,
    Exec,
    Discard,
    Subscribe(Scope),
    Unsubscribe(Scope),
    Monitor,
    Sync,
    Psync,
    Replconf,
    Client,
    /// Blocks until there is something to say.
    Blocking,
    /// Does so if it is asked to.
    Read,
}

/// What is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Channels,
    Patterns,
    Shards,
}

impl Verb {
    /// Of the command with that name, in capitals.
    pub(crate) fn of(name: &str) -> Self {
        match name {
            "SELECT" => Self::Select,
            "RESET" => Self::Reset,
            "QUIT" => Self::Quit,
            "PING" => Self::Ping,
            "MULTI" => Self::Multi,
            "EXEC" => Self::Exec,
            "DISCARD" => Self::Discard,
            "SUBSCRIBE" => Self::Subscribe(Scope::Channels),
            "PSUBSCRIBE" => Self::Subscribe(Scope::Patterns),
            "SSUBSCRIBE" => Self::Subscribe(Scope::Shards),
            "UNSUBSCRIBE" => Self::Unsubscribe(Scope::Channels),
            "PUNSUBSCRIBE" => Self::Unsubscribe(Scope::Patterns),
            "SUNSUBSCRIBE" => Self::Unsubscribe(Scope::Shards),
            "MONITOR" => Self::Monitor,
            "SYNC" => Self::Sync,
            "PSYNC" => Self::Psync,
            "REPLCONF" => Self::Replconf,
            "CLIENT" => Self::Client,
            "BLMOVE" | "BLMPOP" | "BLPOP" | "BRPOP" | "BRPOPLPUSH" | "BZMPOP" | "BZPOPMAX" | "BZPOPMIN" | "WAIT"
            | "WAITAOF" => Self::Blocking,
            "XREAD" | "XREADGROUP" => Self::Read,
            _ => Self::Plain,
        }
    }

    const ALL: &[Self] = &[
        Self::Plain,
        Self::Select,
        Self::Reset,
        Self::Quit,
        Self::Ping,
        Self::Multi,
        Self::Exec,
        Self::Discard,
        Self::Subscribe(Scope::Channels),
        Self::Subscribe(Scope::Patterns),
        Self::Subscribe(Scope::Shards),
        Self::Unsubscribe(Scope::Channels),
        Self::Unsubscribe(Scope::Patterns),
        Self::Unsubscribe(Scope::Shards),
        Self::Monitor,
        Self::Sync,
        Self::Psync,
        Self::Replconf,
        Self::Client,
        Self::Blocking,
        Self::Read,
    ];

    /// In one byte.
    pub(crate) fn to_byte(self) -> u8 {
        Self::ALL.iter().position(|verb| *verb == self).and_then(|at| u8::try_from(at).ok()).unwrap_or_default()
    }

    pub(crate) fn from_byte(byte: u8) -> Self {
        Self::ALL.get(usize::from(byte)).copied().unwrap_or_default()
    }
}

/// A name in capitals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    bytes: [u8; MAX_NAME],
    len: usize,
}

impl Name {
    /// The word in capitals, if it looks like the name of a command: a letter, then letters, digits and `.-_`.
    pub(crate) fn of(word: &[u8]) -> Option<Self> {
        let is_name_byte = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_name = word.first().is_some_and(u8::is_ascii_alphabetic) && word.iter().all(is_name_byte);
        if !is_name || word.len() > MAX_NAME {
            return None;
        }
        let mut bytes = [0; MAX_NAME];
        bytes.iter_mut().zip(word).for_each(|(slot, byte)| *slot = byte.to_ascii_uppercase());
        Some(Self { bytes, len: word.len() })
    }

    pub(crate) fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|name| core::str::from_utf8(name).ok()).unwrap_or_default()
    }

    /// Where the keys are, if the command is known.
    pub(crate) fn keys(&self) -> Option<Keys> {
        let at = COMMANDS.binary_search_by(|(name, _)| (*name).cmp(self.as_str())).ok()?;
        COMMANDS.get(at).map(|(_, keys)| *keys)
    }

    /// The subcommands, if it is a container of them.
    pub(crate) fn subcommands(&self) -> Option<&'static [&'static str]> {
        CONTAINERS.iter().find(|(name, _)| *name == self.as_str()).map(|(_, subcommands)| *subcommands)
    }
}

/// Where the keys of a container's subcommand are.
pub(crate) fn subcommand_keys(container: &str, subcommand: &str) -> Keys {
    match (container, subcommand) {
        (_, "HELP") => Keys::None,
        ("OBJECT" | "XGROUP" | "XINFO", _) | ("MEMORY", "USAGE") => Keys::Range(2, 2, 1),
        _ => Keys::None,
    }
}

#[cfg(test)]
mod tests {
    use super::{COMMANDS, CONTAINERS, Keys, Name, Verb};

    #[test]
    fn names_are_in_order_and_short_enough() {
        assert!(COMMANDS.is_sorted_by(|(a, _), (b, _)| a < b));
        for (name, _) in COMMANDS {
            assert!(Name::of(name.as_bytes()).is_some_and(|of| of.keys().is_some()), "{name}");
        }
        for (container, subcommands) in CONTAINERS {
            assert_eq!(Name::of(container.as_bytes()).unwrap().keys(), Some(Keys::None));
            assert!(subcommands.iter().all(|name| container.len() + name.len() < super::MAX_NAME));
        }
    }

    #[test]
    fn a_name_is_put_in_capitals_and_nothing_else_is_a_name() {
        assert_eq!(Name::of(b"json.Get").unwrap().as_str(), "JSON.GET");
        for word in [&b""[..], b"1GET", b"pass word", b"\xff\xfe", b"{json}", &[b'A'; 49]] {
            assert!(Name::of(word).is_none());
        }
    }

    #[test]
    fn verbs_fit_into_a_byte() {
        for verb in Verb::ALL {
            assert_eq!(Verb::from_byte(verb.to_byte()), *verb);
        }
        assert_eq!(Verb::from_byte(255), Verb::Plain);
    }
}
