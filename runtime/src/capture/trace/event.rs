//! An event as the ring holds it in, its fields out. Offsets and numbers are those of `bpf/event.h`, from which the build
//! script makes them; what the kernel wrote is checked like anything else that comes from outside.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::packet::Endpoint;
use crate::record::Via;

/// What `bpf/event.h` says.
#[allow(dead_code)]
pub(super) mod layout {
    include!(concat!(env!("OUT_DIR"), "/event_layout.rs"));
}

/// What happened on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sent,
    Received,
    /// This end opened the connection.
    Opened,
    /// This end was asked to.
    Accepted,
    FinSent,
    FinReceived,
    Reset,
    Gone,
    /// A TLS library's stream belongs to this connection.
    Tied,
    /// It does no more.
    Untied,
}

impl Kind {
    /// What came from the other end.
    pub(super) fn is_inbound(self) -> bool {
        matches!(self, Self::Received | Self::FinReceived)
    }
}

/// The header of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Nanoseconds of the monotonic clock.
    pub(super) at: u64,
    /// Names the socket in the kernel.
    pub(super) socket: u64,
    pub(super) tgid: u32,
    pub(super) comm: [u8; 16],
    pub(super) seq: u32,
    pub(super) ack: u32,
    /// Number of the first byte that this end received, or will.
    pub(super) first: u32,
    /// Bytes of the stream behind the payload that were not copied.
    pub(super) missing: u32,
    pub(super) kind: Kind,
    /// `EVENT_TLS` and the like.
    pub(super) flags: u8,
    pub(super) local: Endpoint,
    pub(super) remote: Endpoint,
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

impl Event {
    /// The event and its payload.
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        use layout as l;
        // Its length is known to the compiler, which so checks it once.
        let head: &[u8; l::EVENT_SIZE] = bytes.first_chunk()?;
        let [family] = field(head, l::EVENT_FIELD_FAMILY)?;
        let [flags] = field(head, l::EVENT_FIELD_FLAGS)?;
        let end = |address, port| {
            let ip = address_of(family, field(head, address)?)?;
            Some(Endpoint { ip, port: u16::from_ne_bytes(field(head, port)?) })
        };
        let event = Self {
            at: u64::from_ne_bytes(field(head, l::EVENT_FIELD_AT)?),
            socket: u64::from_ne_bytes(field(head, l::EVENT_FIELD_SOCKET)?),
            tgid: u32::from_ne_bytes(field(head, l::EVENT_FIELD_TGID)?),
            comm: field(head, l::EVENT_FIELD_COMM)?,
            seq: u32::from_ne_bytes(field(head, l::EVENT_FIELD_SEQ)?),
            ack: u32::from_ne_bytes(field(head, l::EVENT_FIELD_ACK)?),
            first: u32::from_ne_bytes(field(head, l::EVENT_FIELD_FIRST)?),
            missing: u32::from_ne_bytes(field(head, l::EVENT_FIELD_MISSING)?),
            kind: kind_of(u16::from_ne_bytes(field(head, l::EVENT_FIELD_KIND)?))?,
            flags,
            local: end(l::EVENT_FIELD_LOCAL, l::EVENT_FIELD_LOCAL_PORT)?,
            remote: end(l::EVENT_FIELD_REMOTE, l::EVENT_FIELD_REMOTE_PORT)?,
        };
        let len = u32::from_ne_bytes(field(head, l::EVENT_FIELD_LEN)?) as usize;
        Some((event, bytes.get(l::EVENT_SIZE..)?.get(..len)?))
    }

    /// It has that flag of `enum event_flag`.
    pub(super) fn has(&self, flag: u64) -> bool {
        u64::from(self.flags) & flag != 0
    }

    /// Bytes were moved.
    pub(super) fn is_data(&self) -> bool {
        matches!(self.kind, Kind::Sent | Kind::Received)
    }

    /// Sequence number behind its bytes, of which so many came along.
    pub(super) fn end(&self, len: u32) -> u32 {
        self.seq.wrapping_add(len).wrapping_add(self.missing)
    }

    /// Name of the process.
    pub(super) fn comm(&self) -> Cow<'_, str> {
        let end = self.comm.iter().position(|byte| *byte == 0).unwrap_or(self.comm.len());
        String::from_utf8_lossy(self.comm.get(..end).unwrap_or_default())
    }

    /// Where its bytes were seen.
    pub(super) fn via(&self) -> Via {
        match (self.has(layout::EVENT_TLS), self.has(layout::EVENT_LIKELY)) {
            (false, _) => Via::Socket,
            (true, false) => Via::Tls,
            (true, true) => Via::LikelyTls,
        }
    }
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

/// A v4-mapped address stands for the IPv4 address that is on the wire.
fn address_of(family: u8, bytes: [u8; 16]) -> Option<IpAddr> {
    match family {
        AF_INET => {
            let [a, b, c, d, ..] = bytes;
            Some(Ipv4Addr::new(a, b, c, d).into())
        }
        AF_INET6 => Some(Ipv6Addr::from(bytes).to_canonical()),
        _ => None,
    }
}

fn kind_of(kind: u16) -> Option<Kind> {
    Some(match u64::from(kind) {
        layout::EVENT_SENT => Kind::Sent,
        layout::EVENT_RECEIVED => Kind::Received,
        layout::EVENT_OPENED => Kind::Opened,
        layout::EVENT_ACCEPTED => Kind::Accepted,
        layout::EVENT_FIN_SENT => Kind::FinSent,
        layout::EVENT_FIN_RECEIVED => Kind::FinReceived,
        layout::EVENT_RESET => Kind::Reset,
        layout::EVENT_GONE => Kind::Gone,
        layout::EVENT_TIED => Kind::Tied,
        layout::EVENT_UNTIED => Kind::Untied,
        _ => return None,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Event, Kind, layout};

    /// The event of a `write` of two bytes at that time by `redis`, from 127.0.0.1:6379 to 127.0.0.1:40000.
    pub(in super::super) fn written(at: u64) -> Vec<u8> {
        let mut bytes = vec![0; layout::EVENT_SIZE];
        let mut put = |offset: usize, field: &[u8]| bytes[offset..offset + field.len()].copy_from_slice(field);
        put(layout::EVENT_FIELD_AT, &at.to_ne_bytes());
        put(layout::EVENT_FIELD_SEQ, &1000u32.to_ne_bytes());
        put(layout::EVENT_FIELD_LEN, &2u32.to_ne_bytes());
        put(layout::EVENT_FIELD_KIND, &1u16.to_ne_bytes());
        put(layout::EVENT_FIELD_FAMILY, &[2]);
        put(layout::EVENT_FIELD_LOCAL, &[127, 0, 0, 1]);
        put(layout::EVENT_FIELD_REMOTE, &[127, 0, 0, 1]);
        put(layout::EVENT_FIELD_LOCAL_PORT, &6379u16.to_ne_bytes());
        put(layout::EVENT_FIELD_REMOTE_PORT, &40_000u16.to_ne_bytes());
        put(layout::EVENT_FIELD_COMM, b"redis");
        bytes.extend(b"hi");
        bytes
    }

    #[test]
    fn an_event_has_its_fields_and_its_payload() {
        let bytes = written(7);
        let (event, payload) = Event::parse(&bytes).unwrap();
        assert_eq!((event.at, event.seq, event.kind, payload), (7, 1000, Kind::Sent, b"hi".as_slice()));
        assert_eq!((event.local.to_string(), event.remote.port), ("127.0.0.1:6379".to_owned(), 40_000));
        assert_eq!(event.comm(), "redis");
    }

    #[test]
    fn mapped_addresses_are_those_on_the_wire() {
        let mut bytes = written(7);
        bytes[layout::EVENT_FIELD_FAMILY] = 10;
        bytes[layout::EVENT_FIELD_LOCAL..layout::EVENT_FIELD_LOCAL + 16]
            .copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3]);
        assert_eq!(Event::parse(&bytes).unwrap().0.local.to_string(), "10.1.2.3:6379");
    }

    #[test]
    fn an_event_cut_anywhere_or_of_unknown_kind_is_none() {
        let bytes = written(7);
        for len in 0..bytes.len() {
            assert!(Event::parse(&bytes[..len]).is_none(), "{len}");
        }
        let mut unknown = bytes;
        unknown[layout::EVENT_FIELD_KIND] = 99;
        assert!(Event::parse(&unknown).is_none());
    }
}
