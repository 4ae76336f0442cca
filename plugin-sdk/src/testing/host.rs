//! The miniature host: hands a plugin the bytes of a flow as the contract says, and holds it to the contract. Unlike
//! the real one it knows no capture, no time and no packets: what a test writes down is what the plugin gets.

use super::answer::{self, Answer};
use super::instance::{Plugin, fill};
use super::lane::{Lane, Mode, Tail};
use super::requests::Requests;
use super::seen::{Ending, Loss, Report, Seen, Violation};
use crate::contract::{ParseResult, flag, verb};
use crate::manifest::Manifest;
use crate::plugin::Direction;

/// Times that a plugin may find the bytes malformed without a message in between before it loses the flow.
const MAX_FRUITLESS_RESYNCS: u32 = 16;

/// One flow, and what the plugin said of it.
pub(super) struct Host<'a> {
    plugin: &'a mut dyn Plugin,
    manifest: Manifest,
    handle: u32,
    requests: Requests,
    lanes: [Lane; 2],
    last: Option<Direction>,
    fruitless_resyncs: u32,
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
        let report = Report::default();
        Ok(Self { plugin, manifest, handle, requests, lanes, last: None, fruitless_resyncs: 0, report })
    }

    /// Nothing is known of what came before.
    pub(super) fn begin_mid_stream(&mut self) {
        self.requests.lose_order();
        self.lanes.iter_mut().for_each(Lane::start_resync);
    }

    /// Bytes of a stream.
    pub(super) fn bytes(&mut self, direction: Direction, bytes: &[u8]) -> Result<(), Violation> {
        let turned = self.last.replace(direction).is_some_and(|last| last != direction);
        if turned && self.lane(direction.opposite()).is_lost() {
            self.requests.miss_answers(direction);
        }
        if turned && direction == Direction::ToServer {
            self.requests.find_order();
        }
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
        self.pump(direction, Tail::End)?;
        self.requests.give_up_parts(direction);
        Ok(())
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
            verb::MORE | verb::NEED if left > 0 && consumed > 0 && call.tail_flags() != 0 => Ok(Then::Again),
            verb::MORE if consumed == 0 && left > 0 && call.tail_flags() == 0 => {
                Err("neither bytes consumed nor more wanted".to_owned())
            }
            verb::NEED if result.amount <= left => Err(format!("needs {} bytes, {left} are there", result.amount)),
            verb::NEED if result.amount > window => Err(format!("needs {} bytes, more than a window", result.amount)),
            verb::SKIP if result.amount == 0 => Err("skips nothing".to_owned()),
            verb::LOST if call.flags & flag::GAP == 0 => Err("lost without a gap".to_owned()),
            verb::MORE | verb::NEED | verb::SKIP | verb::LOST => Ok(self.went_on(call, &result, left)),
            verb::INVALID => Ok(self.invalid(call, answer.reason)),
            verb => self.ended(verb, result.amount, answer.reason),
        }
    }

    fn take(&mut self, call: &Call, messages: Vec<Seen>) -> Result<(), String> {
        for mut seen in messages {
            self.fruitless_resyncs = 0;
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
        if (is(flag::DATAGRAM) || is(flag::END)) && !stays_in_window {
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

    fn invalid(&mut self, call: &Call, reason: String) -> Then {
        self.fruitless_resyncs += 1;
        if call.flags & flag::DATAGRAM == 0 {
            self.requests.give_up_parts(call.direction);
            self.requests.lose_order();
            let lane = self.lane(call.direction);
            // A resync that begins where the malformed bytes did would find them again.
            lane.consume(usize::from(lane.offset() == call.offset && call.len > 0));
            lane.mode = Mode::Resync { is_expected: false };
        }
        let offset = self.lane(call.direction).offset();
        if self.fruitless_resyncs > MAX_FRUITLESS_RESYNCS {
            self.report.ending = Ending::Rejected(reason.clone());
        }
        self.report.losses.push(Loss { direction: call.direction, offset, reason });
        if call.flags & flag::DATAGRAM == 0 { Then::Again } else { Then::Wait }
    }

    /// A gap was not bridged: the search for the next frame begins behind it.
    fn lost(&mut self, call: &Call) -> Then {
        let offset = call.offset + call.len as u64 + call.gap;
        self.report.losses.push(Loss { direction: call.direction, offset, reason: String::new() });
        self.requests.give_up_parts(call.direction);
        self.requests.lose_order();
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
            verb => return Err(format!("verb {verb} is no answer to a resync")),
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
