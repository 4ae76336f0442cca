//! A protap plugin for memcached's text protocol, meta commands included. Clients send lines, some with a block of
//! data behind them; servers answer in order, with a line, a block, or as many lines as they like up to `END`.
//!
//! Keys and values are user data: it emits how many there are, and the keys only if the option `keys` is on. What it
//! gives up: connections that use the quiet flag of meta commands, whose answers may be missing, and errors that a server
//! sends for a command it was asked not to answer.

#![forbid(unsafe_code)]

mod line;
mod probe;
mod reply;
mod request;

use std::rc::Rc;

use protap_plugin::prelude::*;

use self::line::Line;

attributes! {
    SCHEMA;
    SYSTEM: str = "db.system.name",
    OPERATION: str = "db.operation.name",
    KEY_COUNT: i64 = "memcached.key.count",
    KEYS: list = "memcached.keys",
    HIT_COUNT: i64 = "memcached.hit.count",
    MISS_COUNT: i64 = "memcached.miss.count",
    VALUE_BYTES: i64 = "memcached.value.bytes",
}

/// No command and no reply begins with a longer word, in bytes.
const LONGEST_WORD: usize = 16;

/// The plugin, with what the user set.
#[derive(Debug, Default)]
pub struct Memcached {
    emits_keys: bool,
}

impl Sequential for Memcached {
    const MANIFEST: Manifest = Manifest::new("memcached", env!("CARGO_PKG_VERSION"))
        .ports(&[11211])
        .attributes(SCHEMA)
        .options(&[OptionDef {
            key: "keys",
            default: "off",
            help: "on: emit the keys of requests, which are user data",
        }])
        .decodes(&["text protocol: storage, retrieval, counters, touch, stats and administration", "meta commands"]);
    type Flow = ();

    fn configure(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        self.emits_keys = match (key, value) {
            ("keys", "on") => true,
            ("keys", "off") => false,
            _ => return Err("the only option is keys=on or keys=off"),
        };
        Ok(())
    }

    fn probe(&self, heads: &Heads<'_>) -> Verdict {
        probe::probe(heads, |direction, bytes| self.frame(direction, bytes))
    }

    async fn message(plugin: Rc<Self>, _flow: Rc<()>, stream: Stream) -> Result<(), Stop> {
        match stream.direction() {
            Direction::ToServer => request::read(&stream, plugin.emits_keys).await,
            Direction::ToClient => reply::read(&stream).await,
        }
    }

    fn frame(&self, direction: Direction, bytes: &[u8]) -> Frame {
        let block = |line: &Line| match direction {
            Direction::ToServer => request::frame(line),
            Direction::ToClient => reply::frame(line),
        };
        // Asked at every byte after a loss: what begins with no word of the protocol must not cost its whole line.
        let start = bytes.get(..LONGEST_WORD + 1).unwrap_or(bytes);
        if !start.first().is_some_and(u8::is_ascii_alphabetic)
            || Line::front(start).is_none_or(|line| block(&line).is_none())
        {
            return Frame::Invalid("no command and no reply");
        }
        let Some(line) = Line::front(bytes) else {
            return Frame::Invalid("not a line of text");
        };
        match block(&line) {
            None => Frame::Invalid("no command and no reply"),
            Some(_) if !line.is_ended => Frame::Need(bytes.len() + 1),
            Some(block) => Frame::Len(line.len + block),
        }
    }
}

export!(Memcached as Sequential);
