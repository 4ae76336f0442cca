//! What reassembly costs per segment: small ones of a dialogue and full ones of a transfer, in order and shuffled.

#![allow(missing_docs, unreachable_pub, reason = "a program of its own")]

#[path = "support/cpu_time.rs"]
mod cpu_time;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use cpu_time::CpuTime;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use protap::packet::{Endpoint, Segment, TcpFields, Transport};
use protap::reassembly::{Direction, FlowAssembler, StreamEvent};

/// Segments of a flow.
const SEGMENTS: u32 = 1000;
static PAYLOAD: [u8; 1448] = [7; 1448];

type Flow = Vec<(Direction, Segment<'static>)>;

/// Both ends' sequence numbers.
#[derive(Default)]
struct Writer {
    flow: Flow,
    sent: [u32; 2],
}

impl Writer {
    fn send(&mut self, direction: Direction, len: usize) {
        let (sender, receiver) = if direction == Direction::ToServer { (0, 1) } else { (1, 0) };
        let end = |port| Endpoint { ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), port };
        let [seq, ack] = [sender, receiver].map(|end| self.sent.get(end).copied().unwrap_or_default());
        let packet = self.flow.len() as u64 + 1;
        let is_opening = packet == 1;
        let tcp = TcpFields { seq, ack: (!is_opening).then_some(ack), syn: packet <= 2, ..TcpFields::default() };
        let segment = Segment {
            transport: Transport::Tcp,
            source: end(sender as u16),
            destination: end(receiver as u16),
            tcp,
            payload: PAYLOAD.get(..len).unwrap_or_default(),
            payload_len: len as u32,
            at: packet * 10_000,
            packet,
        };
        if let Some(sent) = self.sent.get_mut(sender) {
            *sent += len as u32 + u32::from(packet <= 2);
        }
        self.flow.push((direction, segment));
    }
}

/// A handshake, and so many small requests, each with its response.
fn dialogue() -> Flow {
    let mut writer = Writer::default();
    for index in 0..SEGMENTS {
        let direction = if index % 2 == 0 { Direction::ToServer } else { Direction::ToClient };
        writer.send(direction, if index < 2 { 0 } else { 200 });
    }
    writer.flow
}

/// A handshake, and full segments one way with an ACK for every other one.
fn transfer() -> Flow {
    let mut writer = Writer::default();
    writer.send(Direction::ToServer, 0);
    writer.send(Direction::ToClient, 0);
    for index in 2..SEGMENTS {
        if index % 3 == 0 {
            writer.send(Direction::ToClient, 0);
        } else {
            writer.send(Direction::ToServer, PAYLOAD.len());
        }
    }
    writer.flow
}

/// The same packets, each up to 8 places from where it belongs, always the same way.
fn shuffled(mut flow: Flow) -> Flow {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    flow.sort_by_cached_key(|(_, segment)| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        segment.packet + (state >> 61)
    });
    for ((_, segment), packet) in flow.iter_mut().zip(1..) {
        (segment.packet, segment.at) = (packet, packet * 10_000);
    }
    flow
}

/// Bytes that come out.
fn run(flow: &Flow) -> usize {
    let mut assembler = FlowAssembler::default();
    let mut bytes_out = 0;
    let mut sink = |event: StreamEvent<'_>| {
        if let StreamEvent::Data { bytes, .. } = event {
            bytes_out += black_box(bytes).len();
        }
    };
    for (direction, segment) in flow {
        let _ = assembler.observe(*direction, segment, &mut sink);
    }
    assembler.finish(&mut sink);
    bytes_out
}

fn reassembly(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("reassembly");
    group.throughput(Throughput::Elements(SEGMENTS.into()));
    for (name, flow) in [
        ("dialogue/in_order", dialogue()),
        ("dialogue/shuffled", shuffled(dialogue())),
        ("transfer/in_order", transfer()),
        ("transfer/shuffled", shuffled(transfer())),
    ] {
        let sent: usize = flow.iter().map(|(_, segment)| segment.payload.len()).sum();
        assert_eq!(run(&flow), sent);
        group.bench_function(name, |bencher| bencher.iter(|| run(&flow)));
    }
    group.finish();
}

criterion_group!(name = benches; config = Criterion::default().with_measurement(CpuTime); targets = reassembly);
criterion_main!(benches);
