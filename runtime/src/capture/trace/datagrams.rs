//! UDP: each datagram is a segment by itself. Where both ends of a conversation are traced, the one that was heard first
//! tells, and the other only says whose it is. A socket that is bound to no address gets the one by which the other end
//! calls it, if that end is traced; else it stays unspecified.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;

use lru::LruCache;

use super::connections::{Key, Made, Payload, key};
use super::event::{Event, Kind};
use super::process_names::ProcessNames;
use crate::packet::{Endpoint, Segment, TcpFields, Timestamp, Transport};
use crate::record::Process;

/// Conversations, addresses and sockets remembered; the least recently used is forgotten.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();
/// An end that was silent for so long does not tell any more, in nanoseconds.
const SILENCE: u64 = 5_000_000_000;

/// The two ends of a conversation.
#[derive(Debug, Default)]
struct Conversation {
    /// Whether the lower end tells, and when it did so last.
    teller: Option<(bool, Timestamp)>,
    low: Option<Arc<Process>>,
    high: Option<Arc<Process>>,
}

impl Conversation {
    fn tells(&mut self, is_low: bool, at: Timestamp) -> bool {
        let is_told = self.teller.is_none_or(|(teller, last)| teller == is_low || at.saturating_sub(last) > SILENCE);
        if is_told {
            self.teller = Some((is_low, at));
        }
        is_told
    }
}

/// All conversations.
#[derive(Debug)]
pub(super) struct Datagrams {
    conversations: LruCache<Key, Conversation>,
    /// By which address somebody calls a port.
    called: LruCache<(Endpoint, u16), IpAddr>,
    /// Numbers that a socket's next datagrams have, sent and received.
    numbers: LruCache<(u64, bool), u32>,
    lost: u64,
}

impl Default for Datagrams {
    fn default() -> Self {
        Self {
            conversations: LruCache::new(REMEMBERED),
            called: LruCache::new(REMEMBERED),
            numbers: LruCache::new(REMEMBERED),
            lost: 0,
        }
    }
}

impl Datagrams {
    /// Sees an event as it comes from the ring.
    pub(super) fn arrive(&mut self, event: &Event, processes: &mut ProcessNames) {
        self.count(event);
        let local = self.locate(event);
        let key = key(local, event.remote);
        let conversation = self.conversations.get_or_insert_mut(key, Conversation::default);
        let end = if local == key.0 { &mut conversation.low } else { &mut conversation.high };
        *end = Some(processes.of(event));
    }

    /// The datagram, unless the other end tells of it.
    pub(super) fn segment(&mut self, event: &Event, payload_len: usize, at: Timestamp) -> Option<Made> {
        let (local, remote) = (self.locate(event), event.remote);
        let key = key(local, remote);
        let conversation = self.conversations.get_or_insert_mut(key, Conversation::default);
        if !conversation.tells(local == key.0, at) {
            return None;
        }
        let (source, destination) = if event.kind == Kind::Sent { (local, remote) } else { (remote, local) };
        let (low, high) = (conversation.low.clone(), conversation.high.clone());
        let processes = if source == key.0 { [low, high] } else { [high, low] };
        let payload_len = u32::try_from(payload_len).unwrap_or(u32::MAX).saturating_add(event.missing);
        let tcp = TcpFields::default();
        let segment =
            Segment { transport: Transport::Udp, source, destination, tcp, payload: &[], payload_len, at, packet: 0 };
        Some(Made { segment, processes: Rc::new(processes), payload: Payload::Own })
    }

    /// Datagrams whose events were lost.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// A number behind the next one is that of a caller that was overtaken, or the kernel side began to count anew.
    fn count(&mut self, event: &Event) {
        let next = event.seq.wrapping_add(1);
        let known = self.numbers.get_or_insert_mut((event.socket, event.kind == Kind::Sent), || event.seq);
        let ahead = event.seq.wrapping_sub(*known).cast_signed();
        if ahead >= 0 {
            self.lost += u64::from(ahead.unsigned_abs());
            *known = next;
        } else if event.seq == 0 {
            *known = next;
        } else {
            self.lost = self.lost.saturating_sub(1);
        }
    }

    fn locate(&mut self, event: &Event) -> Endpoint {
        let Endpoint { ip, port } = event.local;
        if !ip.is_unspecified() {
            self.called.put((event.local, event.remote.port), event.remote.ip);
            return event.local;
        }
        if let Some(ip) = self.called.get(&(event.remote, port)) {
            return Endpoint { ip: *ip, port };
        }
        let ip = if event.remote.ip.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { ip };
        Endpoint { ip, port }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Datagrams, Event, Kind, ProcessNames};
    use crate::packet::Endpoint;

    fn end(ip: &str, port: u16) -> Endpoint {
        Endpoint { ip: ip.parse::<IpAddr>().unwrap(), port }
    }

    fn event(kind: Kind, local: Endpoint, remote: Endpoint, seq: u32) -> Event {
        let socket = u64::from(local.port);
        Event {
            at: 0,
            socket,
            tgid: 1,
            comm: [0; 16],
            seq,
            ack: 0,
            first: 0,
            missing: 0,
            kind,
            flags: 4,
            local,
            remote,
        }
    }

    #[test]
    fn a_datagram_seen_at_both_ends_is_told_once_though_one_end_has_no_address() {
        let (mut datagrams, mut processes) = (Datagrams::default(), ProcessNames::default());
        let (client, server) = (end("127.0.0.1", 40_000), end("127.0.0.1", 53));
        let events = [
            event(Kind::Sent, client, server, 0),
            event(Kind::Received, end("::", 53), client, 0),
            event(Kind::Sent, end("::", 53), client, 0),
            event(Kind::Received, client, server, 0),
        ];
        let mut told = Vec::new();
        for event in &events {
            datagrams.arrive(event, &mut processes);
            told.extend(datagrams.segment(event, 10, 0).map(|made| (made.segment.source, made.segment.destination)));
        }
        assert_eq!(told, [(client, server), (server, client)]);
    }

    #[test]
    fn numbers_that_never_come_are_lost_datagrams() {
        let (mut datagrams, mut processes) = (Datagrams::default(), ProcessNames::default());
        for seq in [5, 6, 9, 8, 10, 0, 1] {
            datagrams.arrive(&event(Kind::Sent, end("::1", 1), end("::1", 2), seq), &mut processes);
        }
        assert_eq!(datagrams.lost(), 1, "7");
    }
}
