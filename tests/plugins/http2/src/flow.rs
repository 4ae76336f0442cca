//! One connection: cuts each direction into frames, and hands them to the header blocks and exchanges that they belong
//! to. What is kept is bounded: a header table and a block in the making for each direction, and the open exchanges.

use protap_plugin::prelude::*;

use crate::block::Lane;
use crate::exchange::{Exchanges, Span};
use crate::frame::{CONTINUATION, DATA, FrameHeader, GOAWAY, HEADER, HEADERS, PREFACE, PUSH_PROMISE, RST_STREAM};
use crate::upgrade::{self, Front};
use crate::{ERROR, ERROR_CODE, LAST_STREAM, WINDOW, names};

/// Messages of one answer, after which it is taken.
const ENOUGH_MESSAGES: usize = 48;

/// What is kept of a connection.
#[derive(Debug, Default)]
pub struct Flow {
    to_server: Lane,
    to_client: Lane,
    exchanges: Exchanges,
}

/// What comes after a frame.
enum Step {
    /// That many bytes of the window are done with, and so many behind it.
    Passed(usize, u64),
    /// The window ends before there is enough of the frame.
    Need(u64),
    /// Not a frame.
    Invalid(&'static str),
    /// Not HTTP/2.
    Reject(&'static str),
}

/// A frame in the window, perhaps not to its end.
#[derive(Clone, Copy)]
pub(crate) struct Cut<'a> {
    pub(crate) header: FrameHeader,
    /// What there is of it behind its header.
    pub(crate) payload: &'a [u8],
    pub(crate) direction: Direction,
    pub(crate) span: Span,
}

impl Flow {
    /// Bytes of that direction were lost: its table is not known any more, nor what is open in it.
    pub(crate) fn forget(&mut self, direction: Direction) {
        self.lane(direction).forget();
        self.exchanges.forget(direction);
    }

    /// Parses as many frames as there are.
    pub(crate) fn parse(&mut self, input: &Input<'_>, output: &mut Output) -> Progress {
        let mut consumed = 0;
        loop {
            let rest = input.bytes.get(consumed..).unwrap_or_default();
            if rest.is_empty() || output.message_count() >= ENOUGH_MESSAGES {
                return match input.gap {
                    Some(_) if input.bytes.is_empty() => Progress::Lost,
                    _ => Progress::More(consumed),
                };
            }
            let offset = input.offset.saturating_add(consumed as u64);
            match self.frame(input, rest, offset, output) {
                Step::Passed(len, 0) => consumed += len,
                Step::Passed(len, amount) => return Progress::Skip { consumed: consumed + len, amount },
                Step::Need(_) if input.is_end => return Progress::More(input.bytes.len()),
                Step::Need(_) if input.gap.is_some() => return Progress::Lost,
                Step::Need(amount) => return Progress::Need { consumed, amount },
                Step::Invalid(reason) => return Progress::Invalid { consumed, reason },
                Step::Reject(_) if consumed > 0 => return Progress::More(consumed),
                Step::Reject(reason) => return Progress::Reject(reason),
            }
        }
    }

    fn frame(&mut self, input: &Input<'_>, rest: &[u8], offset: u64, output: &mut Output) -> Step {
        if rest.iter().zip(PREFACE).all(|(a, b)| a == b) {
            return if rest.len() < PREFACE.len() {
                Step::Need(PREFACE.len() as u64)
            } else {
                Step::Passed(PREFACE.len(), 0)
            };
        }
        if offset == 0 && rest.first().is_some_and(u8::is_ascii_uppercase) {
            return self.upgrade(input.direction, rest, output);
        }
        let Some(header) = FrameHeader::read(rest) else { return Step::Need(HEADER as u64) };
        if !header.is_possible() {
            return Step::Invalid("a frame that cannot be");
        }
        if !self.lane(input.direction).may_follow(header) {
            return Step::Invalid("a frame inside of a header block");
        }
        let len = usize::try_from(header.len()).map_or(rest.len(), |len| len.min(rest.len()));
        let missing = header.len() - len as u64;
        let wanted = header.len().min(wanted(header));
        if (len as u64) < wanted && wanted <= u64::from(WINDOW) && !input.is_last() {
            return Step::Need(wanted);
        }
        let span = Span { start: offset, end: offset.saturating_add(header.len()) };
        let payload = rest.get(HEADER..len).unwrap_or_default();
        self.take(Cut { header, payload, direction: input.direction, span }, output);
        Step::Passed(len, missing)
    }

    /// HTTP/1.1, up to where it becomes HTTP/2.
    fn upgrade(&mut self, direction: Direction, rest: &[u8], output: &mut Output) -> Step {
        let need = Step::Need(rest.len() as u64 + 1);
        match direction {
            Direction::ToServer => match upgrade::request(rest) {
                Front::Is(request) => {
                    self.exchanges.upgraded(&request, output);
                    Step::Passed(request.len, 0)
                }
                Front::Need => need,
                Front::No => Step::Reject("no upgrade to HTTP/2"),
            },
            Direction::ToClient => match upgrade::answer(rest) {
                Front::Is(len) => Step::Passed(len, 0),
                Front::Need => need,
                Front::No => Step::Reject("not upgraded to HTTP/2"),
            },
        }
    }

    fn take(&mut self, cut: Cut<'_>, output: &mut Output) {
        match cut.header.kind {
            DATA => self.exchanges.data(&cut, output),
            HEADERS | PUSH_PROMISE | CONTINUATION => {
                let lane = match cut.direction {
                    Direction::ToServer => &mut self.to_server,
                    Direction::ToClient => &mut self.to_client,
                };
                if let Some(block) = lane.take(&cut) {
                    self.exchanges.headers(&block, cut.direction, output);
                }
            }
            RST_STREAM => self.exchanges.reset(&cut, output),
            GOAWAY => go_away(&cut, output),
            _ => {}
        }
    }

    fn lane(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }
}

/// Bytes of a frame that have to be there before it is looked at.
fn wanted(header: FrameHeader) -> u64 {
    match header.kind {
        HEADERS | PUSH_PROMISE | CONTINUATION => header.len(),
        DATA if header.is_padded() => HEADER as u64 + 1,
        RST_STREAM => HEADER as u64 + 4,
        GOAWAY => HEADER as u64 + 8,
        _ => HEADER as u64,
    }
}

/// The end of the connection is near: which streams will still be served, and why. What else it says is left alone.
fn go_away(cut: &Cut<'_>, output: &mut Output) {
    let message = output.one_way("GOAWAY").span(cut.span.start, cut.span.end);
    let mut reader = Reader::new(cut.payload);
    let (Ok(last), Ok(code)) = (reader.u32_be(), reader.u32_be()) else { return message.header_only("cut").emit() };
    let message = message.code(code.into()).i64(LAST_STREAM, last & 0x7fff_ffff).i64(ERROR_CODE, code);
    if code == 0 { message.emit() } else { message.str(ERROR, names::error(code)).emit() }
}
