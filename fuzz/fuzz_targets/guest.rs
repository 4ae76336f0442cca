//! A plugin whose answers are the fuzzer's, beside the runtime's whole data path: captures that are as they are, and a
//! script of answers. Whatever a plugin says, the run ends, and nothing panics.
//!
//! ```text
//! script    capture: u8, window: u8, probe: u8, then answers, again and again
//! answer    shape: u8, verb: u8, consumed: u16, amount: u32, messages: u8, memory: u16 (where messages are), 13 bytes in all
//!           shape & 1    consumed and amount as they are; else consumed is brought below the window, amount above it
//!           shape & 2    the messages as the memory has them; else the numbers in them are made to mean something
//! memory    the script itself, and then room for results
//! ```

#![no_main]

use std::cell::RefCell;
use std::io::{self, Cursor};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use protap::capture::FileSource;
use protap::emit::JsonSink;
use protap::packet::RawPacket;
use protap::pipeline::{Observer, RunOptions, run};
use protap::plugin::instance::Call;
use protap::plugin::native::{NativeFactory, NativeGuest};
use protap::plugin::{Plugin, PluginSet};
use protap::shard::FlowOptions;
use protap_plugin::contract::{Attribute, Fact, Message, ParseResult, Str, VERSION};

const CAPTURES: [&[u8]; 3] = [
    include_bytes!("../../tests/captures/memcached.pcap"),
    include_bytes!("../../tests/captures/guests/redis7_pipelined.pcap.gz"),
    include_bytes!("../../tests/captures/guests/chrony43_ntp.pcap.gz"),
];
/// Bytes of an answer in the script.
const ANSWER: usize = 13;
/// Room behind the script: a result, four messages with an attribute, a fact.
const ROOM: usize = 2048;

thread_local! {
    /// The script, for the instances that the runtime makes.
    static SCRIPT: RefCell<Arc<[u8]>> = RefCell::new(Arc::from([]));
}

struct Scripted {
    script: Arc<[u8]>,
    memory: Vec<u8>,
    input: Vec<u8>,
    answers: usize,
    flows: u32,
}

fn make() -> Box<dyn NativeGuest> {
    let script = SCRIPT.with_borrow(Arc::clone);
    let memory = [&script, &[0; ROOM][..]].concat();
    Box::new(Scripted { script, memory, input: Vec::new(), answers: 0, flows: 0 })
}

impl Scripted {
    fn byte(&self, at: usize) -> u8 {
        self.script.get(at).copied().unwrap_or_default()
    }

    fn number(&self, at: usize, bytes: usize) -> u32 {
        (0..bytes).fold(0, |sum, index| sum | u32::from(self.byte(at + index)) << (8 * index))
    }

    fn answer(&mut self, call: &Call, len: usize, is_resync: bool) -> u32 {
        let count = (self.script.len().saturating_sub(3) / ANSWER).max(1);
        let at = 3 + self.answers % count * ANSWER;
        self.answers += 1;
        let (shape, len) = (self.byte(at), u32::try_from(len).unwrap_or(u32::MAX));
        let (mut consumed, mut amount) = (self.number(at + 2, 2), u64::from(self.number(at + 4, 4)));
        let mut verb = u32::from(self.byte(at + 1));
        if shape & 1 == 0 {
            consumed %= len + 1;
            amount = amount % 4096 + u64::from(len - consumed) + 1;
            verb = if is_resync { [0, 1, 8, 9][verb as usize % 4] } else { verb % 8 };
            amount += if matches!(verb, 5 | 9) { call.offset + u64::from(consumed) } else { 0 };
        }
        let messages = u32::from(self.byte(at + 8)) % 5;
        let source = self.number(at + 9, 2) as usize % self.script.len().max(1);
        let room = self.script.len();
        for index in 0..messages as usize {
            self.message(
                source + index * 16,
                room + 64 + index * (Message::SIZE + Attribute::SIZE),
                call,
                shape & 2 == 0,
            );
        }
        let result = ParseResult {
            verb,
            consumed,
            amount,
            messages: (room + 64) as u32,
            message_count: messages,
            message_stride: (Message::SIZE + Attribute::SIZE) as u32,
            facts: source as u32,
            fact_count: u32::from(shape >> 2 & 1),
            fact_stride: Fact::SIZE as u32,
            reason: Str { ptr: source as u32, len: 3 },
        };
        let target = self.memory.get_mut(room..).unwrap_or_default();
        result.write(target).expect("there is room");
        room as u32
    }

    /// Writes a message to `to`, made of the bytes at `source`.
    fn message(&mut self, source: usize, to: usize, call: &Call, is_sound: bool) {
        let mut bytes = [0; Message::SIZE];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = self.byte(source + index);
        }
        let mut message = Message::read(&bytes).expect("it is as long");
        let mut attribute = Attribute::read(&bytes[20..]).expect("it is as long");
        if is_sound {
            let text = |n: u64| Str { ptr: (n % 64) as u32, len: (n >> 8 & 15) as u32 };
            message.start = call.offset.wrapping_add(message.start % 300).wrapping_sub(20);
            message.end = message.start.saturating_add(message.end % 5000);
            (message.id, message.next_id, message.handle) = (message.id % 4, message.next_id % 4, message.handle % 4);
            (message.kind, message.status, message.completeness) =
                (message.kind % 3, message.status % 5, message.completeness % 3);
            (message.protocol, message.resource_facts) = (message.protocol % 2, message.resource_facts % 3);
            // At most one of the bits for parts.
            message.flags &= 31 | [0, 32, 64, 128][usize::from(message.reserved) % 4];
            let n = u64::from(message.reserved_tail);
            for field in [&mut message.type_name, &mut message.version, &mut message.domain, &mut message.resource] {
                *field = text(n);
            }
            for field in [&mut message.endpoint, &mut message.exception, &mut message.result, &mut message.reason] {
                *field = text(n >> 4);
            }
            message.context = text(n >> 8);
            message.attributes = Str { ptr: (to + Message::SIZE) as u32, len: 1 };
            message.attribute_stride = Attribute::SIZE as u32;
            attribute.index %= 3;
            (attribute.tag, attribute.value, attribute.aux) =
                ([1, 0, 4][usize::from(attribute.index)], text(n).to_value(), 0);
        }
        let target = self.memory.get_mut(to..).unwrap_or_default();
        message.write(target).expect("there is room");
        attribute.write(&mut target[Message::SIZE..]).expect("there is room");
    }
}

impl NativeGuest for Scripted {
    fn input(&mut self, len: usize) -> &mut [u8] {
        self.input.resize(len.max(self.input.len()), 0);
        &mut self.input
    }
    fn configure(&mut self, _len: usize) -> u32 {
        0
    }
    fn probe(&mut self, len_a: usize, len_b: usize, _flags: u32, _ports: u32) -> u64 {
        let probe = u64::from(self.byte(2));
        let wanted = (len_a.max(len_b) + usize::from(self.byte(2))) as u64;
        probe & 3 | (probe >> 2 & 3) << 8 | wanted << 32
    }
    fn open(&mut self) -> u32 {
        self.flows += 1;
        self.flows
    }
    fn close(&mut self, _handle: u32) {}
    fn parse(&mut self, call: &Call, len: usize) -> u32 {
        self.answer(call, len, false)
    }
    fn resync(&mut self, call: &Call, len: usize) -> u32 {
        self.answer(call, len, true)
    }
    fn memory(&self) -> &[u8] {
        &self.memory
    }
}

struct NobodyWatches;

impl Observer for NobodyWatches {
    fn packet(&mut self, _packet: &RawPacket<'_>) -> io::Result<()> {
        Ok(())
    }
    fn idle(&mut self) -> io::Result<()> {
        Ok(())
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [capture, window, ..] = data else { return };
    SCRIPT.set(Arc::from(data));
    let manifest = format!(
        r#"{{"contract":"{VERSION}","name":"x","version":"1","protocols":["x","y"],"transports":["tcp","udp"],"window":{},
            "attributes":[{{"name":"a","type":"i64"}},{{"name":"b","type":"str"}},{{"name":"c","type":"list"}}],
            "facts":["f","g"]}}"#,
        64 + usize::from(*window) * 64
    );
    let plugin = Plugin::native(NativeFactory::new(manifest.into_bytes(), make)).expect("the manifest is sound");
    let mut plugins = PluginSet::default();
    plugins.add(plugin);
    let options = RunOptions {
        workers: 1,
        flows: FlowOptions::default(),
        max_packets: None,
        duration: None,
        stop: Arc::new(AtomicBool::new(false)),
        wants_counters: Arc::default(),
        plugins: None,
    };
    let capture = CAPTURES[usize::from(*capture) % CAPTURES.len()];
    let mut source = FileSource::from_reader("the capture", Cursor::new(capture));
    let mut out = Vec::new();
    let report =
        run(&mut source, &Arc::new(plugins), &options, &mut JsonSink::new(&mut out, "pcap"), &mut NobodyWatches);
    let report = report.expect("a vector takes all records");
    assert!(report.errors.is_empty());
    // A plugin may make a thousand records of a byte; all of them are alike.
    for line in out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(1000) {
        serde_json::from_slice::<serde_json::Value>(line).expect("a record is JSON");
    }
});
