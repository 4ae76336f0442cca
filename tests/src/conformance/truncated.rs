//! The flows of a capture of the plugin's protocol, to a bare instance: whole, to see what calls cost, and truncated at any
//! place, streams as well as datagrams.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use protap::plugin::instance::Instance;

use super::captured::{capture, tcp, whole};
use super::driver::{Flow, WAYS, Way};
use super::subject::Subject;
use super::{Checked, Verdict, verdict};
use crate::pcap::{Capture, read_plain};
use crate::records::ports;
use crate::segment::SYN;
use protap_plugin::testing::Random;

/// Flows that are truncated, and places at which each is.
const TRUNCATED: (usize, usize) = (8, 60);

/// What was sent in a flow, in order; the key is the client's end, then the server's.
type Conversations = BTreeMap<(SocketAddr, SocketAddr), Vec<(Way, Vec<u8>)>>;

/// Real bytes, cut off at any place: the rest lost, or the stream ended.
pub(super) fn truncation(subject: &Subject) -> Verdict {
    match conversations(subject) {
        Ok(conversations) if conversations.is_empty() => {
            Verdict::Skipped("no flow of the plugin's in TCP or UDP over IPv4 on Ethernet".to_owned())
        }
        Ok(conversations) => verdict(truncate(subject, &conversations)),
        Err(why) => Verdict::Skipped(why),
    }
}

fn truncate(subject: &Subject, conversations: &Conversations) -> Checked {
    let (most_flows, places) = TRUNCATED;
    let mut random = Random::new(13);
    let mut instance = subject.instance()?;
    let mut runs = 0;
    for pieces in conversations.values().take(most_flows) {
        let total: usize = pieces.iter().map(|(_, bytes)| bytes.len()).sum();
        for place in 0..places {
            // The first places are those in the first message, one by one.
            let at = if place < places / 2 { place.min(total) } else { random.below(total) };
            for is_gap in [false, true] {
                cut_off(subject, &mut instance, pieces, at, is_gap).map_err(|why| format!("cut at {at}: {why}"))?;
                runs += 1;
            }
        }
    }
    Ok(format!("{runs} times"))
}

fn cut_off(
    subject: &Subject,
    instance: &mut Instance,
    pieces: &[(Way, Vec<u8>)],
    at: usize,
    is_gap: bool,
) -> Result<(), String> {
    let is_udp = subject.flow_flags() != 0;
    let mut flow = Flow::open(subject, instance)?;
    let mut rest = at;
    let mut last = None;
    for (way, bytes) in pieces {
        if last.replace(*way) != Some(*way) {
            flow.turn(*way);
        }
        let kept = rest.min(bytes.len());
        let missing = (bytes.len() - kept) as u64;
        let is_here = rest != usize::MAX && missing > 0;
        match (is_here, is_udp) {
            (false, _) => flow.bytes(instance, *way, bytes)?,
            (true, true) => flow.datagram(instance, *way, &bytes[..kept.max(1)], missing)?,
            (true, false) => {
                flow.bytes(instance, *way, &bytes[..kept])?;
                if is_gap {
                    flow.gap(instance, *way, missing)?;
                }
            }
        }
        if is_here && !is_gap {
            break;
        }
        rest = if is_here || rest == usize::MAX { usize::MAX } else { rest - kept };
    }
    WAYS.iter().try_for_each(|way| flow.end(instance, *way))?;
    flow.close(instance).map(drop)
}

/// Fuel and window of each call that the capture's flows cost.
pub(super) fn costs(subject: &Subject) -> Result<Vec<(u64, usize)>, String> {
    let mut costs = Vec::new();
    let mut instance = subject.instance()?;
    for pieces in conversations(subject).unwrap_or_default().values() {
        let mut flow = Flow::open(subject, &mut instance)?;
        pieces.iter().try_for_each(|(way, bytes)| flow.bytes(&mut instance, *way, bytes))?;
        costs.append(&mut flow.costs);
        flow.close(&mut instance)?;
    }
    Ok(costs)
}

/// What was sent in the flows of which the plugin makes records.
fn conversations(subject: &Subject) -> Result<Conversations, String> {
    let clients: Vec<(u16, u16)> = whole(subject)?.records.parsed().iter().map(ports).collect();
    let way = |source: SocketAddr, destination: SocketAddr| {
        if clients.contains(&(source.port(), destination.port())) {
            return Some(((source, destination), Way::ToServer));
        }
        let is_answer = clients.contains(&(destination.port(), source.port()));
        is_answer.then_some(((destination, source), Way::ToClient))
    };
    let mut conversations = Conversations::new();
    if subject.flow_flags() != 0 {
        let capture = Capture::parse(&read_plain(capture(subject))).ok_or("the capture is no classic pcap file")?;
        for (source, destination, payload) in capture.packets.iter().filter_map(|packet| datagram(&packet.data)) {
            if let Some((key, way)) = way(source, destination) {
                conversations.entry(key).or_default().push((way, payload.to_vec()));
            }
        }
        return Ok(conversations);
    }
    let mut next: HashMap<(SocketAddr, SocketAddr), u32> = HashMap::new();
    for segment in tcp(subject)? {
        let Some((key, way)) = way(segment.source, segment.destination) else { continue };
        let begin = segment.seq.wrapping_add(u32::from(segment.has(SYN)));
        let next = next.entry(segment.stream()).or_insert(begin);
        // What was sent again is left out; a capture that lacks bytes is told of as if it had them.
        if segment.payload.is_empty() || begin.wrapping_sub(*next) > u32::MAX / 2 {
            continue;
        }
        *next = segment.end();
        conversations.entry(key).or_default().push((way, segment.payload));
    }
    Ok(conversations)
}

/// Source, destination and payload of UDP over IPv4 on Ethernet.
fn datagram(frame: &[u8]) -> Option<(SocketAddr, SocketAddr, &[u8])> {
    let ip = frame.get(14..).filter(|_| frame.get(12..14) == Some(&[8, 0]))?;
    let header = usize::from(ip.first()? & 15) * 4;
    let udp = ip.get(header..).filter(|_| ip.get(9) == Some(&17))?;
    let address = |at: usize| ip.get(at..)?.first_chunk::<4>().copied();
    let number = |at: usize| udp.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
    let end = |address: [u8; 4], port: u16| SocketAddr::from((address, port));
    let (source, destination) = (end(address(12)?, number(0)?), end(address(16)?, number(2)?));
    Some((source, destination, udp.get(8..usize::from(number(4)?))?))
}
