//! Finds the next frame after a loss, by nothing but the plugin's own eye for frames.

use crate::plugin::{Frame, Input, Resync};

/// Positions tried in one call; a longer window is searched in several, as a call has little time.
const MAX_POSITIONS: usize = 64 << 10;
/// Positions at which no decision was possible, after which the search waits for more bytes.
const MAX_UNDECIDED: usize = 64;
/// Frames behind the first that are looked at: two leave no doubt.
const MAX_CHAIN: usize = 2;
/// A frame up to this length is waited for, to see what its end and the one behind it say. How bytes were cut then
/// decides nothing, and its message is not given up as that of a candidate is.
const MAX_AWAITED: u64 = 4 << 10;

/// Finds the next frame start by trying every position: a frame counts if `is_pending` knows its id, if the host says
/// that a frame most likely starts there, or if others are chained to it: one that the window ends in or behind, or
/// two. Failing that, one that is chained to just one other counts. A short one whose end has not come is waited for; a
/// long one is a candidate. What it gives up: the frames before the one that confirms a candidate, and those
/// whose header `frame` does not know.
pub fn resync_by_frames(
    input: &Input<'_>,
    frame: impl Fn(&[u8]) -> Frame,
    is_pending: impl Fn(&[u8]) -> bool,
) -> Resync {
    if input.is_boundary && !input.bytes.is_empty() {
        return Resync::Found(0);
    }
    let mut search = Search::default();
    for at in 0..input.bytes.len().min(MAX_POSITIONS) {
        let rest = input.bytes.get(at..).unwrap_or_default();
        let is_likely = at == 0 && input.is_likely_start;
        match frame(rest) {
            // Nothing follows, or what it waits for is there: then this is not a frame.
            Frame::Need(amount) if input.is_last() || amount <= rest.len() => {}
            Frame::Need(amount) if is_likely => return Resync::Need { consumed: 0, amount },
            Frame::Need(amount) => {
                if search.wait(at, amount) {
                    break;
                }
            }
            Frame::Invalid(_) | Frame::Len(0) => {}
            Frame::Len(_) if is_likely || is_pending(rest) => return Resync::Found(at),
            Frame::Len(len) => match follow(rest, len, &frame) {
                Chain::Confirmed => return Resync::Found(at),
                Chain::Weak => drop(search.weak.get_or_insert(at)),
                Chain::Open if len <= MAX_AWAITED && !input.is_last() => {
                    if search.wait(at, (rest.len() + 1).max(len as usize)) {
                        break;
                    }
                }
                Chain::Open => drop(search.open.get_or_insert((at, len))),
                Chain::Broken => {}
            },
        }
    }
    search.conclude(input)
}

/// What the frames behind a frame say of it.
enum Chain {
    /// It is one.
    Confirmed,
    /// One frame follows, and then none.
    Weak,
    /// The window does not tell.
    Open,
    /// It is none.
    Broken,
}

fn follow(rest: &[u8], len: u64, frame: impl Fn(&[u8]) -> Frame) -> Chain {
    let mut rest = rest;
    let mut len = len;
    for confirmed in 0..=MAX_CHAIN {
        rest = usize::try_from(len).ok().and_then(|len| rest.get(len..)).unwrap_or_default();
        let next = if rest.is_empty() { Frame::Need(1) } else { frame(rest) };
        len = match next {
            Frame::Len(_) if confirmed + 1 == MAX_CHAIN => return Chain::Confirmed,
            Frame::Len(len) if len > 0 => len,
            Frame::Need(_) if confirmed == 0 => return Chain::Open,
            Frame::Need(_) => return Chain::Confirmed,
            Frame::Len(_) | Frame::Invalid(_) if confirmed == 0 => return Chain::Broken,
            Frame::Len(_) | Frame::Invalid(_) => return Chain::Weak,
        };
    }
    Chain::Confirmed
}

/// What was found on the way, in case nothing better comes.
#[derive(Default)]
struct Search {
    weak: Option<usize>,
    /// First frame that the window's end leaves unconfirmed, with its length.
    open: Option<(usize, u64)>,
    /// First position that could not be decided, with the bytes that it takes.
    undecided: Option<(usize, usize)>,
    undecided_count: usize,
}

impl Search {
    /// The position takes so many bytes to decide. Returns whether there are enough such positions.
    fn wait(&mut self, at: usize, amount: usize) -> bool {
        self.undecided.get_or_insert((at, amount));
        self.undecided_count += 1;
        self.undecided_count >= MAX_UNDECIDED
    }

    fn conclude(self, input: &Input<'_>) -> Resync {
        if let Some(at) = self.weak {
            return Resync::Found(at);
        }
        let searched = input.bytes.len().min(MAX_POSITIONS);
        let is_cut_short = searched < input.bytes.len();
        match (self.open, self.undecided) {
            // What begins before the candidate may be the better one.
            (Some((at, _)), Some((first, amount))) if first < at => Resync::Need { consumed: first, amount },
            // The rest of the window may hold a confirmed one.
            (Some((at, _)), _) if is_cut_short && at > 0 => Resync::Need { consumed: at, amount: 1 },
            (Some((at, len)), _) => {
                Resync::Candidate { at, next: input.offset.saturating_add(at as u64).saturating_add(len) }
            }
            (None, Some((first, amount))) => Resync::Need { consumed: first, amount },
            (None, None) => Resync::Need { consumed: searched, amount: 1 },
        }
    }
}
