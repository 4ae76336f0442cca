//! From a stream's window to the payload that a plugin is shown. As DeepFlow has it, that is a segment, cut to the
//! buffer's size; or else the contiguous bytes since the last record or the last turn-around, again with every segment,
//! until a record comes of them or they fill the buffer.

use super::flow::Lane;
use super::settings::Settings;
use crate::plugin::content::Message;

/// A window, and what may follow it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cutter<'a> {
    pub(super) settings: Settings,
    pub(super) window: &'a [u8],
    pub(super) offset: u64,
    /// Nothing contiguous can follow.
    pub(super) is_last: bool,
}

/// What to do with a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut<'a> {
    /// So many bytes are of no use.
    Pass(usize),
    /// This is a payload.
    Payload(&'a [u8]),
}

impl<'a> Cutter<'a> {
    /// `piece_at` is where the latest segment begins.
    pub(super) fn cut(&self, lane: &mut Lane, piece_at: u64) -> Cut<'a> {
        let is_turned = std::mem::take(&mut lane.is_turned);
        if self.window.is_empty() {
            return Cut::Pass(0);
        }
        let shown = lane.shown.min(self.window.len());
        if self.settings.is_stream && shown > 0 && (is_turned || shown == self.window.len()) {
            lane.shown = 0;
            return Cut::Pass(shown);
        }
        if !self.settings.is_stream && self.offset > piece_at {
            // The rest of a segment whose head the plugin has seen.
            return Cut::Pass(self.window.len());
        }
        Cut::Payload(self.window)
    }

    /// Whether the same bytes shall come again, with more behind them.
    pub(super) fn wants_more(&self, messages: &[Message]) -> bool {
        let has_room = self.window.len() < usize::from(self.settings.buf_size);
        self.settings.is_stream && messages.is_empty() && has_room && !self.is_last
    }
}

#[cfg(test)]
mod tests {
    use super::{Cut, Cutter};
    use crate::plugin::deepflow::flow::Lane;
    use crate::plugin::deepflow::settings::Settings;

    fn cutter(is_stream: bool, window: &[u8], offset: u64) -> Cutter<'_> {
        Cutter { settings: Settings { is_stream, buf_size: 256 }, window, offset, is_last: false }
    }

    #[test]
    fn a_segment_is_shown_once() {
        let mut lane = Lane::default();
        assert_eq!(cutter(false, b"head", 10).cut(&mut lane, 10), Cut::Payload(b"head"));
        assert_eq!(cutter(false, b"tail", 14).cut(&mut lane, 10), Cut::Pass(4));
        assert_eq!(cutter(false, b"next", 18).cut(&mut lane, 18), Cut::Payload(b"next"));
        assert!(!cutter(false, b"next", 18).wants_more(&[]));
    }

    #[test]
    fn a_stream_is_shown_from_its_turn_around_on() {
        let mut lane = Lane::default();
        assert_eq!(cutter(true, b"ab", 0).cut(&mut lane, 0), Cut::Payload(b"ab"));
        assert!(cutter(true, b"ab", 0).wants_more(&[]));
        lane.shown = 2;
        assert_eq!(cutter(true, b"abcd", 0).cut(&mut lane, 2), Cut::Payload(b"abcd"));
        (lane.shown, lane.is_turned) = (4, true);
        assert_eq!(cutter(true, b"abcdEF", 0).cut(&mut lane, 4), Cut::Pass(4));
        assert_eq!(cutter(true, b"EF", 4).cut(&mut lane, 4), Cut::Payload(b"EF"));
        assert!(!cutter(true, &[0; 256], 0).wants_more(&[]));
    }
}
