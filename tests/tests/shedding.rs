//! A live capture whose worker stands still: the capture goes on, what waits for the worker is bounded, and whole flows are
//! given up rather than packets of all of them. The worker stands still because a plugin, linked natively, waits until
//! the capture is over.

use std::io::Cursor;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex};

use protap::capture::{CaptureError, CaptureEvent, CaptureSource, CaptureStats, FileSource};
use protap::packet::Transport;
use protap::plugin::native::NativeFactory;
use protap::plugin::{Plugin, PluginSet};
use protap::shard::{DecodeAs, FlowOptions};
use protap_e2e::conversation::{ROUNDS, conversation};
use protap_e2e::engine::read_live;
use protap_e2e::link::Link;
use protap_e2e::records::ports;
use protap_e2e::segment::to_file;
use protap_plugin::AsSequential;
use protap_plugin::prelude::*;

/// Port of the conversations.
const PORT: u16 = 7777;
/// Begins the requests of ordinary conversations.
const ORDINARY: u8 = b'q';
/// Begins those on which the plugin stands still.
const HALT: u8 = b'h';
/// Lengths of the messages of a [`conversation`].
const REQUEST: u64 = 40;
const RESPONSE: u64 = 60;
/// Conversations after the first one: far more packets than may wait for a worker.
const CONVERSATIONS: u16 = 8000;

/// Whether the plugin may go on.
static GATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

fn open_gate() {
    *GATE.0.lock().expect("nobody panics while holding it") = true;
    GATE.1.notify_all();
}

fn wait_at_gate() {
    let open = GATE.0.lock().expect("nobody panics while holding it");
    drop(GATE.1.wait_while(open, |is_open| !*is_open));
}

#[derive(Debug, Default)]
struct Halting;

impl Sequential for Halting {
    const MANIFEST: Manifest = Manifest::new("halting", "1");
    type Flow = ();

    async fn message(_plugin: Rc<Self>, _flow: Rc<()>, stream: Stream) -> Result<(), Stop> {
        match stream.direction() {
            Direction::ToServer => {
                stream.begin_frame(REQUEST)?;
                if stream.u8().await? == HALT {
                    wait_at_gate();
                }
                stream.skip_to_frame_end().await?;
                stream.emit(|output, _| output.request("ask").emit());
            }
            Direction::ToClient => {
                stream.begin_frame(RESPONSE)?;
                stream.skip_to_frame_end().await?;
                stream.emit(|output, _| output.response(Status::Ok).emit());
            }
        }
        Ok(())
    }

    fn frame(&self, direction: Direction, _bytes: &[u8]) -> Frame {
        Frame::Len(if direction == Direction::ToServer { REQUEST } else { RESPONSE })
    }
}

/// A capture that is said to be live. When it is over, the plugin may go on.
struct Live(FileSource);

impl CaptureSource for Live {
    fn next(&mut self) -> Result<CaptureEvent<'_>, CaptureError> {
        let event = self.0.next();
        if matches!(event, Ok(CaptureEvent::End)) {
            open_gate();
        }
        event
    }

    fn stats(&mut self) -> CaptureStats {
        self.0.stats()
    }

    fn is_live(&self) -> bool {
        true
    }
}

#[test]
fn a_worker_that_stands_still_costs_whole_flows_and_does_not_hold_the_capture_up() {
    let mut packets = conversation(10_000, PORT, HALT, 0);
    for number in 1..=CONVERSATIONS {
        packets.extend(conversation(10_000 + number, PORT, ORDINARY, u64::from(number) * 1_000_000));
    }
    let mut set = PluginSet::default();
    set.add(Plugin::native(NativeFactory::of::<AsSequential<Halting>>()).expect("a manifest"));
    let order = DecodeAs { transport: Transport::Tcp, port: PORT, plugin: 0 };
    let flows = FlowOptions { decode_as: vec![order], ..FlowOptions::default() };
    let mut source = Live(FileSource::from_reader("live", Cursor::new(to_file(&packets, Link::Ethernet))));
    let outcome = read_live(&Arc::new(set), &mut source, flows, 2);

    let shed = usize::try_from(outcome.loss("shed_flows")).expect("few");
    assert!(shed > 1000, "the worker stood still for nearly all of the capture, and only {shed} flows were given up");
    assert_eq!(outcome.loss("gaps"), 0, "no flow misses bytes in its middle");
    let mut records = std::collections::BTreeMap::<u16, usize>::new();
    for record in outcome.records.parsed() {
        assert_eq!(record["response"]["status"], "ok", "{record}");
        *records.entry(ports(&record).0).or_default() += 1;
    }
    assert!(records.values().all(|count| *count == ROUNDS), "flows are whole or not there at all");
    assert_eq!(records.len() + shed, usize::from(CONVERSATIONS) + 1);
    assert_eq!(records.get(&10_000), Some(&ROUNDS), "also the one on which it stood still");
}
