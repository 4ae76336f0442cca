//! A capture of one protocol and the views of it that a capture point may have had: all of it, from somewhere in the
//! middle, or one direction only. Each view is a capture file again. The server's port can be replaced, so that ports
//! speak against the plugin that is tested.

use std::collections::HashMap;
use std::path::Path;

use crate::pcap::{Capture, Packet};
use protap_plugin::testing::Random;

/// Length of an Ethernet header.
const ETHERNET: usize = 14;
/// IPv4's number of TCP.
const TCP: u8 = 6;
/// SYN bit in the TCP header.
const SYN: u8 = 2;

/// Conversations of one protocol with one server port.
#[derive(Debug)]
pub struct Traffic {
    /// The capture's name, which is the protocol's, and a variant's after a hyphen.
    pub name: String,
    /// Port of the server.
    pub server_port: u16,
    /// Number of flows.
    pub flows: usize,
    linktype: u32,
    packets: Vec<FlowPacket>,
}

#[derive(Clone, Debug)]
struct FlowPacket {
    packet: Packet,
    flow: usize,
    is_tcp: bool,
    is_to_server: bool,
    is_syn: bool,
    /// Where the ports are.
    transport_at: usize,
    /// Where the payload is.
    payload: std::ops::Range<usize>,
}

/// Which directions are captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// Both.
    Both,
    /// What clients send.
    Client,
    /// What servers send.
    Server,
}

/// Where in each flow the capture begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Before its first packet.
    Opening,
    /// With the nth packet that carries something, from 0: the handshake is missing.
    Packet(usize),
    /// Inside of that packet, as if a message had begun before it.
    Inside(usize),
}

/// What a capture point saw.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Which directions.
    pub sides: Sides,
    /// From where on.
    pub start: Start,
}

/// What a view shows.
#[derive(Debug)]
pub struct Shown {
    /// A capture file.
    pub file: Vec<u8>,
    /// Flows in it of which there are bytes.
    pub flows: u64,
}

impl Traffic {
    /// Reads the capture of that name.
    #[must_use]
    pub fn read(name: &str, path: &Path) -> Self {
        let capture = Capture::read(path);
        assert_eq!(capture.linktype, 1, "{name}: only Ethernet captures can be viewed");
        let mut counts: HashMap<u16, usize> = HashMap::new();
        for (source, destination) in capture.packets.iter().filter_map(|packet| ports(&packet.data)) {
            *counts.entry(source).or_default() += 1;
            *counts.entry(destination).or_default() += 1;
        }
        let most_used = counts.into_iter().max_by_key(|(_, count)| *count);
        let server_port = most_used.unwrap_or_else(|| panic!("{name}: no TCP or UDP")).0;
        let mut flows: HashMap<u16, usize> = HashMap::new();
        let parse = |packet: Packet| {
            let (source, destination) = ports(&packet.data)?;
            let client_port = if destination == server_port { source } else { destination };
            let next = flows.len();
            let flow = *flows.entry(client_port).or_insert(next);
            Some(FlowPacket::new(packet, flow, destination == server_port))
        };
        let packets = capture.packets.into_iter().filter_map(parse).collect();
        Self { name: name.to_owned(), server_port, flows: flows.len(), linktype: capture.linktype, packets }
    }

    /// The view of all flows, or of one of them, with another server port if one is given.
    #[must_use]
    pub fn show(&self, view: View, only: Option<usize>, server_port: u16) -> Shown {
        let mut seen: HashMap<usize, usize> = HashMap::new();
        let mut capture = Capture { linktype: self.linktype, packets: Vec::new() };
        // A datagram has no middle.
        if matches!(view.start, Start::Inside(_)) && self.packets.iter().any(|packet| !packet.is_tcp) {
            return Shown { file: capture.to_bytes(), flows: 0 };
        }
        for packet in self.packets.iter().filter(|packet| only.is_none_or(|flow| flow == packet.flow)) {
            let is_visible = match view.sides {
                Sides::Both => true,
                Sides::Client => packet.is_to_server,
                Sides::Server => !packet.is_to_server,
            };
            let count = seen.entry(packet.flow).or_default();
            let index = *count;
            if !is_visible {
                continue;
            }
            *count += usize::from(!packet.payload.is_empty());
            let shown = match view.start {
                Start::Opening => Some(packet.clone()),
                Start::Packet(from) | Start::Inside(from) if index < from || packet.is_syn => None,
                // An acknowledgment before the first byte would tell where the stream begins.
                Start::Packet(from) | Start::Inside(from) if index == from && packet.payload.is_empty() => None,
                Start::Inside(from) if index == from => Some(packet.without_beginning()),
                Start::Packet(_) | Start::Inside(_) => Some(packet.clone()),
            };
            capture.packets.extend(shown.map(|shown| shown.with_server_port(server_port)));
        }
        let first = match view.start {
            Start::Opening => 0,
            Start::Packet(from) | Start::Inside(from) => from,
        };
        let flows = seen.values().filter(|count| **count > first).count() as u64;
        Shown { file: capture.to_bytes(), flows }
    }

    /// What a flow's ends sent from its nth packet with bytes on, up to `most` bytes each, client first.
    #[must_use]
    pub fn heads(&self, flow: usize, from: usize, most: usize) -> (Vec<u8>, Vec<u8>) {
        let (mut client, mut server) = (Vec::new(), Vec::new());
        let carrying = self.packets.iter().filter(|packet| packet.flow == flow && !packet.payload.is_empty());
        for packet in carrying.skip(from) {
            let head = if packet.is_to_server { &mut client } else { &mut server };
            head.extend(&packet.packet.data[packet.payload.clone()]);
            head.truncate(most);
        }
        (client, server)
    }
}

impl FlowPacket {
    fn new(packet: Packet, flow: usize, is_to_server: bool) -> Self {
        let data = &packet.data;
        let transport_at = ETHERNET + usize::from(data[ETHERNET] & 15) * 4;
        let is_tcp = data[ETHERNET + 9] == TCP;
        let header = if is_tcp { usize::from(data[transport_at + 12] >> 4) * 4 } else { 8 };
        let end = ETHERNET + usize::from(u16::from_be_bytes([data[ETHERNET + 2], data[ETHERNET + 3]]));
        let payload = transport_at + header..end.min(data.len());
        let is_syn = is_tcp && data[transport_at + 13] & SYN != 0;
        Self { packet, flow, is_tcp, is_to_server, is_syn, transport_at, payload }
    }

    fn with_server_port(mut self, port: u16) -> Packet {
        let at = self.transport_at + if self.is_to_server { 2 } else { 0 };
        self.packet.data[at..at + 2].copy_from_slice(&port.to_be_bytes());
        self.packet
    }

    /// The segment without some of its first bytes.
    fn without_beginning(&self) -> Self {
        let len = self.payload.len();
        if len < 2 {
            return self.clone();
        }
        let cut = 1 + Random::new(self.packet.at).below(len - 1);
        let mut shorter = self.clone();
        let data = &mut shorter.packet.data;
        data.drain(self.payload.start..self.payload.start + cut);
        let total = u16::try_from(self.payload.end - ETHERNET - cut).expect("it was a packet");
        data[ETHERNET + 2..ETHERNET + 4].copy_from_slice(&total.to_be_bytes());
        let seq = self.transport_at + 4..self.transport_at + 8;
        let old = u32::from_be_bytes(data[seq.clone()].try_into().expect("4 bytes"));
        let new = old.wrapping_add(u32::try_from(cut).expect("a segment is short"));
        data[seq].copy_from_slice(&new.to_be_bytes());
        shorter.packet.origlen -= u32::try_from(cut).expect("a segment is short");
        shorter
    }
}

/// Source and destination port of a TCP or UDP packet in IPv4.
fn ports(data: &[u8]) -> Option<(u16, u16)> {
    let is_ours = data.get(12..14)? == [8, 0] && matches!(data.get(ETHERNET + 9)?, 6 | 17);
    let at = ETHERNET + usize::from(data.get(ETHERNET)? & 15) * 4;
    let port = |at: usize| data.get(at..at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    is_ours.then(|| Some((port(at)?, port(at + 2)?)))?
}
