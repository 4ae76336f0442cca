//! The miniature host: hands a plugin the bytes of a flow as the contract says, and holds it to the contract. Unlike
//! the real one it knows no capture, no time and no packets: what a test writes down is what the plugin gets.

use super::answer::{self, Answer};
use super::lane::{Lane, Mode, Tail};
use super::requests::Requests;
use super::seen::{Ending, Loss, Report, Seen, Violation};
use crate::contract::{ParseResult, flag, verb};
use crate::guest::{Guest, Parser};
use crate::manifest::Manifest;
use crate::plugin::Direction;

/// A plugin, whatever its type.
pub(super) trait Plugin {
    fn manifest(&self) -> Manifest;
    fn input(&mut self, len: usize) -> &mut [u8];
    fn configure(&mut self, len: usize) -> u32;
    fn open(&mut self) -> u32;
    fn close(&mut self, handle: u32);
    fn parse(&mut self, handle: u32, flags: u32, offset: u64, len: usize, gap: u64) -> u32;
    fn resync(&mut self, handle: u32, flags: u32, offset: u64, len: usize) -> u32;
    fn memory(&self) -> &[u8];
}

impl<P: Parser> Plugin for Guest<P> {
    fn manifest(&self) -> Manifest {
        P::MANIFEST
    }
    fn input(&mut self, len: usize) -> &mut [u8] {
        self.input(len)
    }
    fn configure(&mut self, len: usize) -> u32 {
        self.configure(len)
    }
    fn open(&mut self) -> u32 {
        self.open()
    }
    fn close(&mut self, handle: u32) {
        self.close(handle);
    }
    fn parse(&mut self, handle: u32, flags: u32, offset: u64, len: usize, gap: u64) -> u32 {
        self.parse(handle, flags, offset, len, gap)
    }
    fn resync(&mut self, handle: u32, flags: u32, offset: u64, len: usize) -> u32 {
        self.resync(handle, flags, offset, len)
    }
    fn memory(&self) -> &[u8] {
        self.memory()
    }
}

/// Puts `bytes` into the plugin's input buffer.
pub(super) fn fill(plugin: &mut dyn Plugin, bytes: &[&[u8]]) {
    let len = bytes.iter().map(|part| part.len()).sum();
    let mut input = plugin.input(len);
    for part in bytes {
        let Some((head, rest)) = core::mem::take(&mut input).split_at_mut_checked(part.len()) else { return };
        head.copy_from_slice(part);
        input = rest;
    }
}

/// One flow, and what the plugin said of it.
pub(super) struct Host<'a> {
    plugin: &'a mut dyn Plugin,
    manifest: Manifest,
    handle: u32,
    requests: Requests,
    lanes: [Lane; 2],
    last: Option<Direction>,
    report: Report,
}

/// What to do after a call.
enum Then {
    /// Call again.
    Again,
    /// Wait for more bytes.
    Wait,
}

impl<'a> Host<'a> {
    pub(super) fn new(plugin: &'a mut dyn Plugin, requests: Requests) -> Result<Self, Violation> {
        let manifest = plugin.manifest();
        let handle = plugin.open();
        if handle == 0 {
            return Err(Violation { call: "open".to_owned(), what: "no room for the first flow".to_owned() });
        }
        let lanes = Default::default();
        Ok(Self { plugin, manifest, handle, requests, lanes, last: None, report: Report::default() })
    }

    /// Bytes of a stream.
    pub(super) fn bytes(&mut self, direction: Direction, bytes: &[u8]) -> Result<(), Violation> {
        let turned = self.last.replace(direction).is_some_and(|last| last != direction);
        self.lane(direction).push(bytes, turned);
        self.pump(direction, Tail::More)
    }

    /// Bytes that are missing for good.
    pub(super) fn gap(&mut self, direction: Direction, len: u64) -> Result<(), Violation> {
        self.pump(direction, Tail::Gap(len))?;
        self.lane(direction).pass_gap(len);
        Ok(())
    }

    /// The end of a stream.
    pub(super) fn end(&mut self, direction: Direction) -> Result<(), Violation> {
        self.pump(direction, Tail::End)
    }

    /// One datagram.
    pub(super) fn datagram(&mut self, direction: Direction, bytes: &[u8]) -> Result<(), Violation> {
        self.lane(direction).push(bytes, false);
        self.pump(direction, Tail::Datagram)?;
        self.lane(direction).drop_rest();
        Ok(())
    }

    pub(super) fn finish(mut self) -> Report {
        self.plugin.close(self.handle);
        self.report.unread = self.lanes.each_ref().map(Lane::buffered);
        self.report.unanswered = self.requests.len();
        self.report.log = self.requests.log();
        self.report
    }

    fn lane(&mut self, direction: Direction) -> &mut Lane {
        let [to_server, to_client] = &mut self.lanes;
        match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        }
    }

    /// Calls the plugin as long as there is something new to tell it.
    fn pump(&mut self, direction: Direction, tail: Tail) -> Result<(), Violation> {
        while self.report.ending == Ending::Open {
            let window = self.manifest.window_len() as usize;
            let Some(call) = self.lane(direction).next_call(direction, window, tail) else { return Ok(()) };
            let bytes = self.lane(direction).window(call.len).to_vec();
            fill(self.plugin, &[&bytes]);
            self.requests.turn_to(direction);
            let answer = self.call(&call).map_err(|what| call.violation(what))?;
            let then = if call.is_resync { self.resynced(&call, answer) } else { self.parsed(&call, answer) };
            match then.map_err(|what| call.violation(what))? {
                Then::Again => {}
                Then::Wait => return Ok(()),
            }
        }
        Ok(())
    }

    fn call(&mut self, call: &Call) -> Result<Answer, String> {
        let Call { flags, offset, len, gap, direction, is_resync } = *call;
        let address = if is_resync {
            self.plugin.resync(self.handle, flags, offset, len)
        } else {
            self.plugin.parse(self.handle, flags, offset, len, gap)
        };
        let answer = answer::read(self.plugin.memory(), address, &self.manifest, direction)?;
        if answer.result.consumed as usize > len {
            return Err(format!("{} bytes consumed of {len}", answer.result.consumed));
        }
        Ok(answer)
    }

    fn parsed(&mut self, call: &Call, answer: Answer) -> Result<Then, String> {
        let result = answer.result;
        self.take(call, answer.messages)?;
        self.report.facts.extend(answer.facts);
        let consumed = result.consumed as usize;
        let left = (call.len - consumed) as u64;
        let window = u64::from(self.manifest.window_len());
        self.lane(call.direction).consume(consumed);
        match result.verb {
            verb::MORE if left > 0 && consumed > 0 => Ok(Then::Again),
            verb::MORE if left > 0 && call.tail_flags() == 0 => {
                Err("neither bytes consumed nor more wanted".to_owned())
            }
            verb::NEED if result.amount <= left => Err(format!("needs {} bytes, {left} are there", result.amount)),
            verb::NEED if result.amount > window => Err(format!("needs {} bytes, more than a window", result.amount)),
            verb::SKIP if result.amount == 0 && consumed == 0 => Err("neither consumes nor skips".to_owned()),
            verb::LOST if call.flags & flag::GAP == 0 => Err("lost without a gap".to_owned()),
            verb::MORE | verb::NEED | verb::SKIP | verb::LOST => Ok(self.went_on(call, &result, left)),
            verb::INVALID => self.invalid(call, &answer.reason),
            verb => self.ended(verb, result.amount, answer.reason),
        }
    }

    fn take(&mut self, call: &Call, messages: Vec<Seen>) -> Result<(), String> {
        for mut seen in messages {
            if seen.start > call.offset + call.len as u64 {
                return Err(format!("a message that starts at {}, behind the window", seen.start));
            }
            seen.answers = self.requests.take(&seen)?;
            self.report.messages.push(seen);
        }
        Ok(())
    }

    /// What becomes of the bytes after an answer that is none of the last ones.
    fn went_on(&mut self, call: &Call, result: &ParseResult, left: u64) -> Then {
        let is = |bit| call.flags & bit != 0;
        let skipped = if result.verb == verb::SKIP { result.amount } else { 0 };
        let stays_in_window = skipped > 0 && skipped < left;
        if is(flag::DATAGRAM) || (is(flag::END) && !stays_in_window) {
            return Then::Wait;
        }
        if is(flag::GAP) && skipped <= left && !stays_in_window {
            return self.lost(call);
        }
        let lane = self.lane(call.direction);
        lane.skip(skipped);
        if result.verb == verb::NEED {
            lane.need(result.amount);
        }
        Then::Again
    }

    fn invalid(&mut self, call: &Call, reason: &str) -> Result<Then, String> {
        let offset = self.lane(call.direction).offset();
        let loss = Loss { direction: call.direction, offset, reason: reason.to_owned() };
        if self.report.losses.last() == Some(&loss) {
            return Err(format!("found a frame where it then found none: {reason}"));
        }
        self.report.losses.push(loss);
        if call.flags & flag::DATAGRAM != 0 {
            return Ok(Then::Wait);
        }
        self.requests.forget_order();
        self.lane(call.direction).mode = Mode::Resync { is_expected: false };
        Ok(Then::Again)
    }

    /// A gap was not bridged: the search for the next frame begins behind it.
    fn lost(&mut self, call: &Call) -> Then {
        let offset = call.offset + call.len as u64 + call.gap;
        self.report.losses.push(Loss { direction: call.direction, offset, reason: String::new() });
        self.requests.forget_order();
        self.lane(call.direction).start_resync();
        Then::Wait
    }

    fn ended(&mut self, verb: u32, amount: u64, reason: String) -> Result<Then, String> {
        self.report.ending = match verb {
            verb::REJECT => Ending::Rejected(reason),
            verb::OPAQUE => Ending::Opaque(reason),
            verb::HANDOVER => Ending::Handover(amount, reason),
            verb => return Err(format!("unknown verb {verb}")),
        };
        Ok(Then::Wait)
    }

    fn resynced(&mut self, call: &Call, answer: Answer) -> Result<Then, String> {
        let result = answer.result;
        let consumed = result.consumed as usize;
        let left = (call.len - consumed) as u64;
        if !answer.messages.is_empty() {
            return Err("messages from a resync".to_owned());
        }
        let window = u64::from(self.manifest.window_len());
        let is_last = call.tail_flags() != 0;
        let lane = self.lane(call.direction);
        lane.consume(consumed);
        lane.mode = Mode::Resync { is_expected: false };
        match result.verb {
            verb::FOUND => lane.mode = Mode::Parse,
            verb::MORE if consumed == 0 => return Err("neither bytes consumed nor more wanted".to_owned()),
            verb::MORE => {}
            verb::NEED if is_last => return Ok(Then::Wait),
            verb::NEED if result.amount <= left || result.amount > window => {
                return Err(format!("needs {} bytes, {left} are there, the window is {window}", result.amount));
            }
            verb::NEED => lane.need(result.amount),
            verb::CANDIDATE => {
                let ahead = result.amount.checked_sub(lane.offset()).filter(|ahead| *ahead > 0);
                lane.skip(ahead.ok_or("a candidate whose next frame lies before it")?);
                lane.mode = Mode::Resync { is_expected: true };
            }
            verb => return self.ended(verb, result.amount, answer.reason),
        }
        Ok(Then::Again)
    }
}

/// The arguments of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) is_resync: bool,
    pub(super) direction: Direction,
    pub(super) flags: u32,
    pub(super) offset: u64,
    pub(super) len: usize,
    pub(super) gap: u64,
}

impl Call {
    fn tail_flags(&self) -> u32 {
        self.flags & (flag::GAP | flag::END | flag::DATAGRAM)
    }

    fn violation(&self, what: String) -> Violation {
        let Self { is_resync, direction, flags, offset, len, gap } = self;
        let name = if *is_resync { "resync" } else { "parse" };
        let call = format!("{name} {direction:?} at {offset}, {len} bytes, flags {flags:#x}, gap {gap}");
        Violation { call, what }
    }
}
