//! Segments of one flow, both ways, in any order and state.
//!
//! ```text
//! start    u8    where sequence numbers begin (bits 0, 1), bit 2: little may be held back
//! segment  flags: u8, more: u8, seq: i16, ack: i16, size: u8, time: i8 (all little-endian); until the bytes end
//!          flags  1 from B, 2 SYN, 4 FIN, 8 RST, 16 ACK
//!          more   1 snaplen cut 40 bytes, 2 `expire` before it, 4 the source is quiet then, 8 it is 40 packets later,
//!                 16 far `seq`, 32 16 * size, 64 far `ack`, 128 seconds instead of milliseconds
//! ```
//!
//! Each byte of a payload is the last byte of its sequence number. So what comes out must go up by one with each byte
//! and each missing byte, whatever came in.

#![no_main]

use protap::packet::{Endpoint, Segment, TcpFields, Transport};
use protap::reassembly::{Direction, FlowAssembler, HELD_LIMIT, Observed, StreamEvent};

const MAX_SEGMENTS: usize = 256;
/// What may be held back if it is little.
const LITTLE: u32 = 2048;
/// Sequence numbers of A and B at their offset 0: anywhere, before the wrap, in the middle.
const STARTS: [[u32; 2]; 4] = [[1000, 70_000], [u32::MAX - 150, u32::MAX - 20], [0x7fff_ff80, 0x8000_0000], [0, 1]];

/// What came out of one stream.
#[derive(Default)]
struct Stream {
    next: u64,
    is_closed: bool,
    /// Byte minus offset, once there was a byte.
    base: Option<u8>,
}

impl Stream {
    fn pass(&mut self, offset: u64, len: u64) {
        assert!(!self.is_closed, "an event after the close");
        assert_eq!(offset, self.next, "offsets are contiguous");
        assert!(len > 0, "an empty event");
        self.next += len;
    }

    fn data(&mut self, offset: u64, bytes: &[u8]) {
        self.pass(offset, bytes.len() as u64);
        for (offset, byte) in (offset..).zip(bytes) {
            let base = byte.wrapping_sub(offset as u8);
            assert_eq!(*self.base.get_or_insert(base), base, "a byte that is not of offset {offset}");
        }
    }

    fn close(&mut self) {
        assert!(!self.is_closed, "closed twice");
        self.is_closed = true;
    }
}

#[derive(Default)]
struct Streams([Stream; 2]);

impl Streams {
    fn take(&mut self, event: StreamEvent<'_>) {
        match event {
            StreamEvent::Data { direction, offset, bytes, .. } => self.of(direction).data(offset, bytes),
            StreamEvent::Gap { direction, offset, len, .. } => self.of(direction).pass(offset, len),
            StreamEvent::Close { direction, .. } => self.of(direction).close(),
        }
    }

    fn of(&mut self, direction: Direction) -> &mut Stream {
        &mut self.0[usize::from(direction == Direction::ToClient)]
    }
}

/// A flow, as a session keeps it.
struct Flow {
    assembler: FlowAssembler,
    streams: Streams,
    limit: u32,
    is_a_client: bool,
}

impl Flow {
    fn new(limit: u32, is_from_a: bool, first: &TcpFields) -> Self {
        let is_a_client = is_from_a == (Direction::of_first(first) == Direction::ToServer);
        Self { assembler: FlowAssembler::new(limit), streams: Streams::default(), limit, is_a_client }
    }

    fn observe(&mut self, is_from_a: bool, segment: &Segment<'_>) -> Observed {
        let direction = if is_from_a == self.is_a_client { Direction::ToServer } else { Direction::ToClient };
        let observed = self.assembler.observe(direction, segment, &mut |event| self.streams.take(event));
        self.check();
        observed
    }

    fn expire(&mut self, segment: &Segment<'_>, is_quiet: bool) {
        let sink = &mut |event: StreamEvent<'_>| self.streams.take(event);
        self.assembler.expire(segment.at, segment.packet, is_quiet, sink);
        self.check();
    }

    fn check(&self) {
        let held = self.assembler.held_bytes();
        assert!(held <= self.limit as usize, "{held} bytes held of {}", self.limit);
    }

    fn finish(mut self) {
        self.assembler.finish(&mut |event| self.streams.take(event));
        assert_eq!(self.assembler.held_bytes(), 0, "nothing is held after the end");
    }
}

/// A segment as the script has it.
struct Scripted {
    is_from_a: bool,
    more: u8,
    tcp: TcpFields,
    size: usize,
    time: i64,
}

impl Scripted {
    fn new(start: [u32; 2], [flags, more, seq_low, seq_high, ack_low, ack_high, size, time]: [u8; 8]) -> Self {
        let is_from_a = flags & 1 == 0;
        let is = |bit| flags & bit != 0;
        let number = |base: u32, low, high, far| {
            let near = i32::from(i16::from_le_bytes([low, high]));
            base.wrapping_add_signed(if more & far != 0 { near << 16 } else { near })
        };
        let [mine, theirs] = if is_from_a { start } else { [start[1], start[0]] };
        let tcp = TcpFields {
            seq: number(mine, seq_low, seq_high, 16),
            ack: is(16).then(|| number(theirs, ack_low, ack_high, 64)),
            syn: is(2),
            fin: is(4),
            rst: is(8),
        };
        let size = usize::from(size) * if more & 32 != 0 { 16 } else { 1 };
        let time = i64::from(time.cast_signed()) * if more & 128 != 0 { 1_000_000_000 } else { 1_000_000 };
        Self { is_from_a, more, tcp, size, time }
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((start, script)) = data.split_first() else { return };
    let limit = if start & 4 != 0 { LITTLE } else { HELD_LIMIT };
    let start = STARTS[usize::from(start & 3)];
    let (mut at, mut packet) = (1_u64 << 60, 0);
    let mut flow: Option<Flow> = None;
    let source = Endpoint { ip: std::net::Ipv4Addr::LOCALHOST.into(), port: 1 };
    for bytes in script.as_chunks().0.iter().take(MAX_SEGMENTS) {
        let scripted = Scripted::new(start, *bytes);
        let first = scripted.tcp.seq.wrapping_add(scripted.tcp.syn.into());
        let payload: Vec<u8> = (0..scripted.size).map(|n| first.wrapping_add(n as u32) as u8).collect();
        let cut = if scripted.more & 1 != 0 { 40 } else { 0 };
        at = at.saturating_add_signed(scripted.time);
        packet += if scripted.more & 8 != 0 { 40 } else { 1 };
        let segment = Segment {
            transport: Transport::Tcp,
            source,
            destination: source,
            tcp: scripted.tcp,
            payload: &payload,
            payload_len: payload.len() as u32 + cut,
            at,
            packet,
        };
        let from_a = scripted.is_from_a;
        let mut current = flow.take().unwrap_or_else(|| Flow::new(limit, from_a, &scripted.tcp));
        if scripted.more & 2 != 0 {
            current.expire(&segment, scripted.more & 4 != 0);
        }
        let mut observed = current.observe(from_a, &segment);
        if observed == Observed::Reversed {
            current.assembler.reverse();
            current.streams.0.swap(0, 1);
            current.is_a_client = !current.is_a_client;
            observed = current.observe(from_a, &segment);
            assert_ne!(observed, Observed::Reversed, "turned round twice");
        }
        if observed == Observed::NewConnection {
            current.finish();
            current = Flow::new(limit, from_a, &scripted.tcp);
            let first = current.observe(from_a, &segment);
            assert_eq!(first, Observed::Taken, "the first segment of a flow");
        }
        flow = Some(current);
    }
    if let Some(flow) = flow {
        flow.finish();
    }
});
