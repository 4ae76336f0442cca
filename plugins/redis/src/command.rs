//! Commands: their names, where their keys are, and what else a parser has to know of them. The names are those of
//! Redis 7.0 with the newer ones up to 8; commands of modules are known by the looks of their names.
//! <https://redis.io/docs/latest/commands/>

use self::table::{COMMANDS, CONTAINERS, VERBS};

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

/// A command that is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) keys: Keys,
    pub(crate) verb: Verb,
    /// Empty if it is no container.
    pub(crate) subcommands: &'static [&'static str],
    /// The name's first bytes, by which commands are in order, too.
    head: u64,
}

impl Command {
    const fn new((name, keys): (&'static str, Keys)) -> Self {
        let (mut verb, mut verbs) = (Verb::Plain, VERBS);
        while let [(of, is), rest @ ..] = verbs {
            if is_same(of.as_bytes(), name.as_bytes()) {
                verb = *is;
            }
            verbs = rest;
        }
        let (mut subcommands, mut containers): (&[_], _) = (&[], CONTAINERS);
        while let [(of, are), rest @ ..] = containers {
            if is_same(of.as_bytes(), name.as_bytes()) {
                subcommands = are;
            }
            containers = rest;
        }
        Self { name, keys, verb, subcommands, head: head(name.as_bytes()) }
    }

    /// With that name, in capitals or not.
    fn of(word: &[u8]) -> Option<&'static Self> {
        let head = head(word);
        let from = KNOWN.partition_point(|command| command.head < head);
        let alike = KNOWN.get(from..).unwrap_or_default().iter().take_while(|command| command.head == head);
        let mut named = alike.filter(|command| command.name.as_bytes().eq_ignore_ascii_case(word));
        named.next()
    }

    /// Whether its arguments say what it does, and not only its name.
    pub(crate) fn has_words(&self) -> bool {
        let is_plain = self.verb == Verb::Plain && self.subcommands.is_empty();
        !is_plain || matches!(self.keys, Keys::Counted(_) | Keys::Stored | Keys::Streams)
    }
}

/// All of them, in order.
static KNOWN: [Command; COMMANDS.len()] = {
    let mut known = [Command::new(("", Keys::None)); COMMANDS.len()];
    let (mut slots, mut commands) = (known.as_mut_slice(), COMMANDS);
    while let ([slot, more @ ..], [command, rest @ ..]) = (slots, commands) {
        *slot = Command::new(*command);
        (slots, commands) = (more, rest);
    }
    known
};

/// The first eight bytes, in capitals.
const fn head(mut word: &[u8]) -> u64 {
    let (mut head, mut at) = (0, 0);
    while at < 8 {
        head <<= 8;
        if let [first, rest @ ..] = word {
            head |= first.to_ascii_uppercase() as u64;
            word = rest;
        }
        at += 1;
    }
    head
}

const fn is_same(mut a: &[u8], mut b: &[u8]) -> bool {
    while let ([first, a_rest @ ..], [other, b_rest @ ..]) = (a, b)
        && *first == *other
    {
        (a, b) = (a_rest, b_rest);
    }
    a.is_empty() && b.is_empty()
}

/// A command's name in capitals.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name {
    Known(&'static Command),
    Other { bytes: [u8; MAX_NAME], len: usize },
}

impl Name {
    /// The word in capitals, if it looks like the name of a command: a letter, then letters, digits and `.-_`.
    pub(crate) fn of(word: &[u8]) -> Option<Self> {
        if let Some(command) = Command::of(word) {
            return Some(Self::Known(command));
        }
        let is_name_byte = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_name = word.first().is_some_and(u8::is_ascii_alphabetic) && word.iter().all(is_name_byte);
        if !is_name || word.len() > MAX_NAME {
            return None;
        }
        let mut bytes = [0; MAX_NAME];
        bytes.iter_mut().zip(word).for_each(|(slot, byte)| *slot = byte.to_ascii_uppercase());
        Some(Self::Other { bytes, len: word.len() })
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Known(command) => command.name,
            Self::Other { bytes, len } => {
                bytes.get(..*len).and_then(|name| core::str::from_utf8(name).ok()).unwrap_or_default()
            }
        }
    }

    /// The command, if it is known.
    pub(crate) fn command(&self) -> Option<&'static Command> {
        match self {
            Self::Known(command) => Some(command),
            Self::Other { .. } => None,
        }
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
    use super::{COMMANDS, CONTAINERS, Keys, MAX_NAME, Name, VERBS, Verb};

    #[test]
    fn names_are_in_order_and_short_enough() {
        assert!(COMMANDS.is_sorted_by(|(a, _), (b, _)| a < b));
        let known = |name: &str| Name::of(name.to_lowercase().as_bytes()).and_then(|of| of.command()).unwrap();
        for (name, keys) in COMMANDS {
            assert_eq!((known(name).name, known(name).keys), (*name, *keys));
        }
        for (container, subcommands) in CONTAINERS {
            assert_eq!((known(container).keys, known(container).subcommands), (Keys::None, *subcommands));
            assert!(subcommands.iter().all(|name| container.len() + name.len() < MAX_NAME));
        }
        for (name, verb) in VERBS {
            assert_eq!(known(name).verb, *verb);
        }
        assert_eq!((known("GET").verb, known("GET").has_words()), (Verb::Plain, false));
    }

    #[test]
    fn a_name_is_put_in_capitals_and_nothing_else_is_a_name() {
        assert_eq!(Name::of(b"json.Get").unwrap().as_str(), "JSON.GET");
        assert_eq!(Name::of(b"getx").unwrap().as_str(), "GETX");
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
