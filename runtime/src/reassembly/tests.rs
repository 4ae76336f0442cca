//! Tests of reassembly, and what they share: a tap that feeds a flow and writes down what comes out.

mod close;
mod handshake;
mod holes;
mod model;
mod order;
mod shuffled;
mod traffic;

use super::{CloseReason, Direction, FlowAssembler, Heard, Observed, ReassemblyCounters, StreamEvent};
use crate::packet::{Endpoint, Segment, TcpFields, Timestamp, Transport};
use std::net::{IpAddr, Ipv4Addr};

const SECOND: Timestamp = 1_000_000_000;

/// A segment to be fed, with its bytes.
#[derive(Clone, Debug)]
struct Sent {
    direction: Direction,
    tcp: TcpFields,
    bytes: Vec<u8>,
    len: u32,
    /// Capture time; the tap's own if absent.
    at: Option<Timestamp>,
}

/// A segment from the client.
fn up(seq: u32, ack: u32, bytes: &[u8]) -> Sent {
    let tcp = TcpFields { seq, ack: Some(ack), ..TcpFields::default() };
    Sent { direction: Direction::ToServer, tcp, bytes: bytes.to_vec(), len: bytes.len() as u32, at: None }
}

/// A segment from the server.
fn down(seq: u32, ack: u32, bytes: &[u8]) -> Sent {
    Sent { direction: Direction::ToClient, ..up(seq, ack, bytes) }
}

impl Sent {
    fn segment(&self, now: Timestamp, packet: u64) -> Segment<'_> {
        let any = Endpoint { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 1 };
        Segment {
            transport: Transport::Tcp,
            source: any,
            destination: any,
            tcp: self.tcp,
            payload: &self.bytes,
            payload_len: self.len,
            at: self.at.unwrap_or(now),
            packet,
        }
    }

    fn syn(mut self) -> Self {
        self.tcp.syn = true;
        self
    }

    fn fin(mut self) -> Self {
        self.tcp.fin = true;
        self
    }

    fn rst(mut self) -> Self {
        self.tcp.rst = true;
        self
    }

    fn without_ack(mut self) -> Self {
        self.tcp.ack = None;
        self
    }

    /// Only the first bytes were captured.
    fn truncated(mut self, caplen: usize) -> Self {
        self.bytes.truncate(caplen);
        self
    }
}

/// An event, with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Data(Direction, u64, Vec<u8>),
    Gap(Direction, u64, u64),
    Close(Direction, CloseReason),
}

impl From<StreamEvent<'_>> for Event {
    fn from(event: StreamEvent<'_>) -> Self {
        match event {
            StreamEvent::Data { direction, offset, bytes, .. } => Self::Data(direction, offset, bytes.to_vec()),
            StreamEvent::Gap { direction, offset, len, .. } => Self::Gap(direction, offset, len),
            StreamEvent::Close { direction, reason, .. } => Self::Close(direction, reason),
        }
    }
}

/// `up 3 def`, `down 0 gap 7`, `up fin`.
fn text(event: &Event) -> String {
    let way = |direction: &Direction| if *direction == Direction::ToServer { "up" } else { "down" };
    match event {
        Event::Data(direction, offset, bytes) => {
            format!("{} {offset} {}", way(direction), String::from_utf8_lossy(bytes))
        }
        Event::Gap(direction, offset, len) => format!("{} {offset} gap {len}", way(direction)),
        Event::Close(direction, CloseReason::Fin) => format!("{} fin", way(direction)),
        Event::Close(direction, CloseReason::Rst) => format!("{} rst", way(direction)),
    }
}

/// Feeds one flow; every segment is the capture's next packet, a microsecond later.
#[derive(Default)]
struct Tap {
    flow: FlowAssembler,
    packet: u64,
    now: Timestamp,
    counters: ReassemblyCounters,
}

impl Tap {
    /// A flow whose handshake was seen: the client's bytes begin at 100, the server's at 500.
    fn open() -> Self {
        let mut tap = Self::default();
        assert!(tap.send(up(99, 0, b"").syn().without_ack()).is_empty());
        assert!(tap.send(down(499, 100, b"").syn()).is_empty());
        tap
    }

    fn with_limit(mut self, limit: u32) -> Self {
        self.flow.held_limit = limit;
        self
    }

    fn observe(&mut self, sent: &Sent) -> (Observed, Vec<Event>) {
        self.packet += 1;
        self.now += 1000;
        let segment = sent.segment(self.now, self.packet);
        self.collect(|flow, sink| flow.observe(sent.direction, &segment, &mut |event| sink.push(event.into())))
    }

    fn collect<T>(&mut self, act: impl FnOnce(&mut FlowAssembler, &mut Vec<Event>) -> T) -> (T, Vec<Event>) {
        let mut events = Vec::new();
        let result = act(&mut self.flow, &mut events);
        self.counters.add(&self.flow.take_counters());
        (result, events)
    }

    fn send(&mut self, sent: Sent) -> Vec<String> {
        self.observe(&sent).1.iter().map(text).collect()
    }

    /// So many packets of other flows pass, and so much time.
    fn pass(&mut self, packets: u64, time: Timestamp, is_quiet: bool) -> Vec<String> {
        self.packet += packets;
        self.now += time;
        let (now, packet) = (self.now, self.packet);
        let (_, events) =
            self.collect(|flow, sink| flow.expire(now, packet, is_quiet, &mut |event| sink.push(event.into())));
        events.iter().map(text).collect()
    }

    fn finish_events(&mut self) -> Vec<Event> {
        self.collect(|flow, sink| flow.finish(&mut |event| sink.push(event.into()))).1
    }

    fn finish(&mut self) -> Vec<String> {
        self.finish_events().iter().map(text).collect()
    }
}

#[test]
fn idle_flow_takes_at_most_200_bytes() {
    assert!(size_of::<FlowAssembler>() <= 200, "{} bytes", size_of::<FlowAssembler>());
}

#[test]
fn in_order_segments_hold_and_count_nothing() {
    let mut tap = Tap::open();
    assert_eq!(tap.send(up(100, 500, b"ask")), ["up 0 ask"]);
    assert_eq!(tap.send(down(500, 103, b"answer")), ["down 0 answer"]);
    assert_eq!(tap.send(up(103, 506, b"more")), ["up 3 more"]);
    assert!(!tap.flow.is_waiting() && tap.flow.counters.is_none());
    assert_eq!(tap.counters, ReassemblyCounters::default());
}

#[test]
fn bytes_say_what_their_sender_had_heard() {
    let mut tap = Tap::open();
    let mut heard = Vec::new();
    // An answer to what was not seen, one to `ask`, one whose tool wrote no ACK number.
    for sent in [up(100, 500, b"ask"), down(500, 100, b"old"), down(503, 103, b"answer"), down(509, 0, b"x")] {
        let _ = tap.flow.observe(sent.direction, &sent.segment(77, 9), &mut |event| {
            if let StreamEvent::Data { direction: Direction::ToClient, heard: what, .. } = event {
                heard.push(what);
            }
        });
    }
    assert_eq!(heard, [Heard::before(0), Heard::before(3), Heard::ALL]);
}

#[test]
fn in_order_bytes_are_the_packets_own() {
    let mut tap = Tap::open();
    let sent = up(100, 500, b"not copied");
    let segment = sent.segment(77, 9);
    let mut seen = None;
    let observed = tap.flow.observe(Direction::ToServer, &segment, &mut |event| {
        if let StreamEvent::Data { bytes, at, packet, .. } = event {
            seen = Some((bytes.as_ptr(), at, packet));
        }
    });
    assert_eq!(observed, Observed::Taken);
    assert_eq!(seen, Some((sent.bytes.as_ptr(), 77, 9)));
}
