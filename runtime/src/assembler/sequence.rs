//! 32-bit sequence numbers in, 64-bit positions out, and back.
//!
//! A position grows for ever, so that a stream may be longer than 4 GiB; the sequence number is its low half, shifted.
//! Positions begin at 2^32 rather than 0, so that bytes before the first one seen have a position as well.

/// How far from the next expected byte a segment or an ACK may lie, either way, and still belong to the connection.
///
/// TCP allows windows of 1 GiB, but at that size one stray packet in four would open a hole of hundreds of megabytes.
/// 64 MiB is ten times what Linux gives a receiver by default. A loss longer than this makes a run of strays, which
/// starts the flow afresh ([`STRAY_RUN`](super::STRAY_RUN)).
pub(crate) const WINDOW: u32 = 64 << 20;

/// The position of the sequence number that a stream was first seen at.
pub(super) const ORIGIN: u64 = 1 << 32;

/// The mapping of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SequenceSpace {
    origin: u32,
}

impl SequenceSpace {
    /// Gives `seq` the position [`ORIGIN`].
    pub(super) fn with_origin(seq: u32) -> Self {
        Self { origin: seq }
    }

    /// The position of `seq`, or nothing if it is more than [`WINDOW`] away from position `near`.
    pub(super) fn position(self, seq: u32, near: u64) -> Option<u64> {
        let distance = seq.wrapping_sub(self.seq(near)).cast_signed();
        if distance.unsigned_abs() > WINDOW {
            return None;
        }
        near.checked_add_signed(distance.into())
    }

    /// The sequence number at `position`; [`ORIGIN`] is 0 modulo 2^32, so the low half is the distance.
    pub(super) fn seq(self, position: u64) -> u32 {
        self.origin.wrapping_add(position as u32)
    }
}

/// Whether sequence number `a` comes before `b`, modulo 2^32 (RFC 9293, section 3.4).
pub(super) fn is_before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

#[cfg(test)]
mod tests {
    use super::{ORIGIN, SequenceSpace, WINDOW, is_before};

    #[test]
    fn positions_go_on_past_the_wrap_around() {
        let space = SequenceSpace::with_origin(u32::MAX);
        assert_eq!(space.position(u32::MAX, ORIGIN), Some(ORIGIN));
        assert_eq!(space.position(0, ORIGIN), Some(ORIGIN + 1));
        assert_eq!(space.position(u32::MAX - 1, ORIGIN), Some(ORIGIN - 1));
        let far = ORIGIN + (5 << 32) + 7;
        assert_eq!(space.position(space.seq(far), far - 1000), Some(far));
    }

    #[test]
    fn position_is_unknown_outside_the_window() {
        let space = SequenceSpace::with_origin(1000);
        assert_eq!(space.position(1000 + WINDOW, ORIGIN), Some(ORIGIN + u64::from(WINDOW)));
        assert_eq!(space.position(1000 + WINDOW + 1, ORIGIN), None);
        assert_eq!(space.position(1000_u32.wrapping_sub(WINDOW + 1), ORIGIN), None);
    }

    #[test]
    fn before_is_modular() {
        assert!(is_before(u32::MAX, 0) && is_before(1, 2) && !is_before(2, 2) && !is_before(0, u32::MAX));
    }
}
