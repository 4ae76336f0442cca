//! protap plugin: Redis, in RESP2 and RESP3.
//!
//! Every command becomes one request, paired with its reply in order; what is not answered, and what servers send
//! unasked, becomes a one-way message. Commands are named, replies are told by type and size, errors by their name.
//! Keys and channels are emitted only if the option `keys` is on; values, error texts and credentials never. What it
//! gives up: the outcome of commands in a transaction is told by its EXEC, where their errors are counted.

#![forbid(unsafe_code)]

use std::rc::Rc;

use protap_plugin::Whole;
use protap_plugin::prelude::*;

use self::flow::Flow;

mod asked;
mod command;
mod emit;
mod error;
mod evidence;
mod flow;
mod pass;
mod probe;
mod read;
mod replication;
mod reply;
mod request;
mod response;
mod wire;

attributes! {
    SCHEMA;
    SYSTEM: str = "db.system.name",
    NAMESPACE: str = "db.namespace",
    OPERATION: str = "db.operation.name",
    BATCH_SIZE: i64 = "db.operation.batch.size",
    STATUS_CODE: str = "db.response.status_code",
    ERROR_TYPE: str = "error.type",
    ARGUMENT_COUNT: i64 = "redis.argument.count",
    KEY_COUNT: i64 = "redis.key.count",
    KEYS: list = "redis.keys",
    CHANNEL_COUNT: i64 = "redis.channel.count",
    CHANNELS: list = "redis.channels",
    REPLY_TYPE: str = "redis.reply.type",
    REPLY_ELEMENTS: i64 = "redis.reply.elements",
    REPLY_BYTES: i64 = "redis.reply.bytes",
    ERROR_COUNT: i64 = "redis.reply.errors",
    REDIRECTION: str = "redis.redirection",
    PUSH_KIND: str = "redis.push.kind",
    REPLICATED: bool = "redis.replication",
}

/// Most bytes that are looked at at once.
const WINDOW: u32 = 16 << 10;

/// The parser, with what the user set.
#[derive(Debug, Default)]
pub struct Redis {
    emits_keys: bool,
}

/// What is remembered of a flow.
#[derive(Debug, Default)]
pub struct RedisFlow(Flow);

impl Sequential for Redis {
    const MANIFEST: Manifest = Manifest::new("redis", env!("CARGO_PKG_VERSION"))
        .ports(&[6379, 6380, 26379, 7000, 7001])
        .window(WINDOW)
        .attributes(SCHEMA)
        .options(&[OptionDef {
            key: "keys",
            default: "off",
            help: "on: emit the keys and channels of requests, which may be user data",
        }])
        .decodes(&[
            "RESP2 and RESP3: commands as arrays and as lines, pipelines, transactions, replies of every type",
            "pub/sub, pushes, MONITOR, CLIENT REPLY, replication",
        ]);
    type Flow = RedisFlow;

    fn configure(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        self.emits_keys = match (key, value) {
            ("keys", "on") => true,
            ("keys", "off") => false,
            _ => return Err("the only option is keys=on or keys=off"),
        };
        Ok(())
    }

    fn probe(&self, heads: &Heads<'_>) -> Verdict {
        probe::probe(heads)
    }

    async fn message(plugin: Rc<Self>, flow: Rc<RedisFlow>, stream: Stream) -> Result<(), Stop> {
        match stream.direction() {
            Direction::ToServer => asked::read(&stream, &flow.0.asked, plugin.emits_keys).await,
            Direction::ToClient => response::read(&stream, &flow.0.answered).await,
        }
    }

    fn message_now(&self, flow: &RedisFlow, stream: &Stream<Whole<'_>>) -> Option<Result<(), Stop>> {
        match stream.direction() {
            Direction::ToServer => Some(asked::read_now(stream, &flow.0.asked, self.emits_keys)),
            Direction::ToClient => response::read_now(stream, &flow.0.answered),
        }
    }

    fn frame(&self, _direction: Direction, _bytes: &[u8]) -> Frame {
        Frame::Invalid("frames are found by their chains, in probe and resync")
    }

    fn resync(&self, flow: &RedisFlow, input: &Input<'_>) -> Resync {
        flow.0.lost(input.direction);
        evidence::resync(input)
    }
}

export!(Redis as Sequential);
