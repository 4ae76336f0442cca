//! Big captures in memory, always the same: a recorded one repeated under new client ports and later times, or a bulk
//! transfer written from nothing.

use std::path::PathBuf;

use etherparse::PacketBuilder;

use crate::messages::{fetch_request, fetch_response, framed, produce_request, string};

/// When captures begin, in microseconds.
const START: u64 = 1_700_000_000_000_000;

/// A pcap file that is being written.
pub struct Pcap {
    pub bytes: Vec<u8>,
    pub packets: u64,
    micros: u64,
}

impl Pcap {
    fn new() -> Self {
        Self { bytes: file_header(), packets: 0, micros: START }
    }

    fn packet(&mut self, data: &[u8], after_micros: u64) {
        self.micros += after_micros;
        let (seconds, micros) = (self.micros / 1_000_000, self.micros % 1_000_000);
        let header = [seconds as u32, micros as u32, data.len() as u32, data.len() as u32];
        self.bytes.extend(header.map(u32::to_le_bytes).concat());
        self.bytes.extend_from_slice(data);
        self.packets += 1;
    }
}

/// Begins a pcap file: microseconds, Ethernet.
pub fn file_header() -> Vec<u8> {
    [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 1].map(u32::to_le_bytes).concat()
}

/// Packets of a pcap file, `hours` later and from another client.
pub fn later(packets: &[u8], hours: u64) -> Vec<u8> {
    let mut packets = packets.to_vec();
    let mut at = 0;
    while at < packets.len() {
        let field = |at: usize| u32::from_le_bytes([packets[at], packets[at + 1], packets[at + 2], packets[at + 3]]);
        let (seconds, len) = (field(at) + hours as u32 * 3600, field(at + 8) as usize);
        packets[at..at + 4].copy_from_slice(&seconds.to_le_bytes());
        let is_from_server = packets[at + 16 + 34..at + 16 + 36] == 9092_u16.to_be_bytes();
        packets[at + 16 + if is_from_server { 31 } else { 27 }] = hours as u8;
        at += 16 + len;
    }
    packets
}

/// A capture of `tests/captures` (pcap, microseconds, IPv4 over Ethernet, one server port), `times` times.
pub fn repeated(name: &str, server_port: u16, times: u16) -> Pcap {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/captures")).join(name);
    let recorded = std::fs::read(&path).unwrap_or_else(|error| {
        eprintln!("cannot read {}: {error}", path.display());
        std::process::exit(1);
    });
    let packets = packets_of(&recorded);
    let mut pcap = Pcap::new();
    for time in 0..times {
        let mut last = packets[0].0 - 1000;
        for (micros, data) in &packets {
            let mut data = data.to_vec();
            let tcp = 14 + usize::from(data[14] & 15) * 4;
            let is_from_server = data[tcp..tcp + 2] == server_port.to_be_bytes();
            // The client's port, and the client's address in case that ports repeat.
            let (port, address) = if is_from_server { (tcp + 2, 30) } else { (tcp, 26) };
            let before = u16::from_be_bytes([data[port], data[port + 1]]);
            data[port..port + 2].copy_from_slice(&before.wrapping_add(time.wrapping_mul(64)).to_be_bytes());
            data[address..address + 2].copy_from_slice(&time.to_be_bytes());
            pcap.packet(&data, micros - last);
            last = *micros;
        }
    }
    pcap
}

fn packets_of(pcap: &[u8]) -> Vec<(u64, &[u8])> {
    assert_eq!(pcap[..4], 0xa1b2_c3d4_u32.to_le_bytes());
    let mut rest = &pcap[24..];
    let mut packets = Vec::new();
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let field = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (data, next) = after.split_at(field(8) as usize);
        packets.push((u64::from(field(0)) * 1_000_000 + u64::from(field(4)), data));
        rest = next;
    }
    packets
}

/// Produce requests of `len` bytes each in full segments, and their responses.
pub fn bulk(requests: i32, len: usize) -> Pcap {
    let mut dialogue = Dialogue::new(0, 9092);
    dialogue.segment(Side::Client, Flag::Syn, &[]);
    dialogue.segment(Side::Server, Flag::Syn, &[]);
    for correlation_id in 0..requests {
        for (index, segment) in produce_request(correlation_id, len).chunks(1448).enumerate() {
            dialogue.segment(Side::Client, Flag::None, segment);
            if index % 2 == 1 {
                dialogue.segment(Side::Server, Flag::None, &[]);
            }
        }
        dialogue.segment(Side::Server, Flag::None, &produce_response(correlation_id));
    }
    dialogue.segment(Side::Client, Flag::Fin, &[]);
    dialogue.segment(Side::Server, Flag::Fin, &[]);
    dialogue.pcap
}

/// Fetches of 1 MiB each in segments of a loopback interface: so many partitions of so many batches each.
pub fn fetches(count: i32, partitions: i32, batches: usize) -> Pcap {
    let batch_len = (1 << 20) / (partitions as usize * batches);
    let mut dialogue = Dialogue::new(0, 9092);
    dialogue.segment(Side::Client, Flag::Syn, &[]);
    dialogue.segment(Side::Server, Flag::Syn, &[]);
    for correlation_id in 0..count {
        dialogue.segment(Side::Client, Flag::None, &fetch_request(correlation_id));
        for segment in fetch_response(correlation_id, partitions, batches, batch_len).chunks(60_000) {
            dialogue.segment(Side::Server, Flag::None, segment);
        }
    }
    dialogue.pcap
}

/// One connection with a small request and its response, and its end, if it has one: the packets, without a file header.
pub fn short_flow(number: u64, end: Option<Flag>) -> Vec<u8> {
    let mut dialogue = Dialogue::new(number as u32, 9092);
    dialogue.pcap.bytes.clear();
    dialogue.pcap.micros = START + number * 1000;
    dialogue.segment(Side::Client, Flag::Syn, &[]);
    dialogue.segment(Side::Server, Flag::Syn, &[]);
    dialogue.segment(Side::Client, Flag::None, &produce_request(1, 100));
    dialogue.segment(Side::Server, Flag::None, &produce_response(1));
    if let Some(end) = end {
        dialogue.segment(Side::Client, end, &[]);
        dialogue.segment(Side::Server, end, &[]);
    }
    dialogue.pcap.bytes
}

/// Connections that speak what no plugin knows.
pub fn foreign(flows: u32, segments: u32) -> Pcap {
    let mut pcap = Pcap::new();
    for flow in 0..flows {
        let mut dialogue = Dialogue::new(flow, 7);
        dialogue.pcap = pcap;
        dialogue.segment(Side::Client, Flag::Syn, &[]);
        dialogue.segment(Side::Server, Flag::Syn, &[]);
        for segment in 0..segments {
            let side = if segment % 2 == 0 { Side::Client } else { Side::Server };
            dialogue.segment(side, Flag::None, &[b'#'; 600]);
        }
        pcap = dialogue.pcap;
    }
    pcap
}

fn produce_response(correlation_id: i32) -> Vec<u8> {
    let mut body = correlation_id.to_be_bytes().to_vec();
    body.extend(1_i32.to_be_bytes()); // topics
    string(&mut body, "orders.v1");
    body.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]); // one partition: index, error
    body.extend([i64::from(correlation_id), -1, 0].map(i64::to_be_bytes).concat()); // offset, append time, log start
    body.extend(0_i32.to_be_bytes()); // throttle_time_ms
    framed(&body)
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Client,
    Server,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Flag {
    None,
    Syn,
    Fin,
}

/// One connection, packet after packet.
struct Dialogue {
    pcap: Pcap,
    /// The client's address and port are made of it.
    number: u32,
    server_port: u16,
    /// Next sequence numbers of client and server.
    next: [u32; 2],
}

impl Dialogue {
    fn new(number: u32, server_port: u16) -> Self {
        Self { pcap: Pcap::new(), number, server_port, next: [0, 0] }
    }

    fn segment(&mut self, side: Side, flag: Flag, payload: &[u8]) {
        let [client, server] = self.next;
        let (port, [_, high, low, _]) = (10_000 + (self.number % 50_000) as u16, (self.number / 50_000).to_be_bytes());
        let (of_client, of_server) = ([10, high, low, 1], [10, 0, 0, 2]);
        let (from, to, ports, [seq, ack]) = match side {
            Side::Client => (of_client, of_server, (port, self.server_port), [client, server]),
            Side::Server => (of_server, of_client, (self.server_port, port), [server, client]),
        };
        let mut builder =
            PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(from, to, 64).tcp(ports.0, ports.1, seq, 64_000);
        if flag == Flag::Syn {
            builder = builder.syn();
        }
        if flag == Flag::Fin {
            builder = builder.fin();
        }
        if flag != Flag::Syn || side == Side::Server {
            builder = builder.ack(ack);
        }
        let mut data = Vec::with_capacity(builder.size(payload.len()));
        builder.write(&mut data, payload).unwrap();
        self.pcap.packet(&data, 10);
        let sent = payload.len() as u32 + u32::from(flag != Flag::None);
        let next = if side == Side::Client { &mut self.next[0] } else { &mut self.next[1] };
        *next = next.wrapping_add(sent);
    }
}
