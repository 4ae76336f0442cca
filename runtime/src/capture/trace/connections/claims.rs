//! Callers that are on one socket at once, in the same direction. What a call moved is said to be the last bytes before the
//! stream's position when it ended; if another caller moved some in between, that is not so. Then one of the calls says that
//! its bytes begin before the end of what was claimed by then, and which of them is right cannot be known: none of those
//! that were not told yet is.
//!
//! The first wrong claim leaves a hole before it, and so waits to be told; the one that overlaps mostly comes meanwhile.

use super::{FAR, Turn};

/// One direction of a stream at one end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claims {
    /// Up to where bytes are claimed.
    end: Option<u32>,
    /// Claims below this are void.
    void: Option<u32>,
    /// The last turn of one that waits.
    turn: u64,
}

impl Claims {
    pub(super) fn at(seq: u32) -> Self {
        Self { end: Some(seq), void: None, turn: 0 }
    }

    /// A call claims these bytes; false if another one did.
    pub(super) fn claim(&mut self, seq: u32, end: u32) -> bool {
        let before = self.end.unwrap_or(seq);
        let overlap = before.wrapping_sub(seq);
        if overlap == 0 || overlap > FAR {
            self.end = Some(end);
            return true;
        }
        // It may reach farther than the others.
        let last = if end.wrapping_sub(before).cast_signed() > 0 { end } else { before };
        (self.end, self.void) = (Some(last), Some(last));
        false
    }

    /// Bytes up to there are claimed for certain.
    pub(super) fn reach(&mut self, end: u32) {
        if self.end.is_none_or(|before| end.wrapping_sub(before).cast_signed() > 0) {
            self.end = Some(end);
        }
    }

    /// Bytes are told in their order, though one of two calls began sooner and moved its bytes later.
    pub(super) fn in_order(&mut self, turn: Turn) -> Turn {
        let mut behind = |at: u64| {
            self.turn = self.turn.max(at);
            self.turn
        };
        match turn {
            Turn::At(at) => Turn::At(behind(at)),
            Turn::SpareAt(at) => Turn::SpareAt(behind(at)),
            Turn::Now | Turn::Never => turn,
        }
    }

    /// Whether a claim that waited has been found wrong since, or may be.
    pub(super) fn is_void(&self, seq: u32) -> bool {
        self.void.is_some_and(|void| seq.wrapping_sub(void).cast_signed() < 0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Claims, FAR, Turn};

    #[test]
    fn calls_one_after_another_claim_each_its_own() {
        let mut claims = Claims::at(u32::MAX - 4);
        for (seq, end) in [(u32::MAX - 4, 5), (5, 9), (100, 110), (110, 111)] {
            assert!(claims.claim(seq, end) && !claims.is_void(seq));
        }
    }

    /// Bytes 0 to 99 were sent, then 50 more by another thread, whichever ends first.
    #[test]
    fn of_two_calls_at_once_neither_is_believed() {
        for (first, second) in [((50, 150), (100, 150)), ((100, 150), (50, 150))] {
            let mut claims = Claims::at(0);
            assert!(claims.claim(first.0, first.1), "it may be after a file");
            assert!(!claims.claim(second.0, second.1));
            assert!(claims.is_void(first.0));
            assert!(claims.claim(150, 160) && !claims.is_void(150), "what comes after them is");
        }
    }

    #[test]
    fn turns_are_in_the_order_of_bytes() {
        let mut claims = Claims::at(0);
        assert_eq!(claims.in_order(Turn::At(6)), Turn::At(6));
        assert_eq!(claims.in_order(Turn::At(5)), Turn::At(6), "its call began sooner");
        assert_eq!(claims.in_order(Turn::SpareAt(7)), Turn::SpareAt(7));
        assert_eq!(claims.in_order(Turn::Now), Turn::Now);
    }

    #[test]
    fn what_is_far_away_is_another_stream() {
        let mut claims = Claims::at(2 * FAR);
        assert!(claims.claim(5, 10));
        assert!(!claims.claim(5, 10));
    }
}
