//! Ciphertext that its program moves itself comes before the TLS library is asked for the plaintext, and so before it is known
//! that nobody needs it. What begins as TLS does is held for a moment; if no library tells of the connection by then, it is
//! told after all, so that the flow counts as what it is: encrypted. So is, once it ends, a connection of which a library made
//! the ciphertext, but was asked for the plaintext in a way that is not probed.

use super::{Connection, Made, Payload};
use crate::capture::trace::event::Event;
use crate::packet::Timestamp;

/// How long, in nanoseconds: a TLS handshake over a long way.
const HOLD: u64 = 2_000_000_000;
/// Bytes that are kept, enough to see what it is. The rest is missing.
const HEAD: usize = 512;

/// The first ciphertext of a connection.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) event: Event,
    pub(super) head: Vec<u8>,
    pub(super) at: Timestamp,
}

/// What becomes of an event.
pub(super) enum Seal {
    /// It is held or, behind one that is, dropped.
    Held,
    /// It is told, after what was held.
    Open(Option<Box<Sealed>>),
}

impl Connection {
    /// Tells what was held; how many bytes.
    pub(super) fn unseal(&mut self, sealed: Sealed, into: &mut Vec<Made>) -> u64 {
        let Sealed { event, head, at } = sealed;
        let before = into.len();
        self.segments(&event, head.len(), at, into);
        let bytes = head.len() as u64;
        if let Some(made) = into.get_mut(before..).and_then(<[Made]>::last_mut) {
            made.payload = Payload::Kept(head);
        }
        bytes
    }

    /// To be asked of each event before a library tells of the connection.
    pub(super) fn seal(&mut self, event: &Event, payload: &[u8], at: Timestamp) -> Seal {
        match &self.sealed {
            Some(sealed) if event.is_data() && at < sealed.at.saturating_add(HOLD) => Seal::Held,
            Some(_) => Seal::Open(self.sealed.take()),
            None if !event.is_data() || !is_record(payload) => Seal::Open(None),
            None if self.is_announced && !is_hello(payload) => Seal::Open(None),
            None => {
                let head = payload.get(..HEAD).unwrap_or(payload);
                let missing = u32::try_from(payload.len() - head.len()).unwrap_or(u32::MAX);
                let event = Event { missing: event.missing.saturating_add(missing), ..*event };
                self.sealed = Some(Box::new(Sealed { event, head: head.to_vec(), at }));
                Seal::Held
            }
        }
    }
}

/// The header of a TLS record (RFC 8446, section 5.1): content type, version 3.x.
pub(super) fn is_record(payload: &[u8]) -> bool {
    matches!(payload, [20..=23, 3, 0..=4, ..])
}

/// A ClientHello or a ServerHello, which may come behind plain bytes (STARTTLS) that must not begin so by chance.
fn is_hello(payload: &[u8]) -> bool {
    matches!(payload, [22, 3, 0..=4, _, _, 1..=2, 0, ..])
}
