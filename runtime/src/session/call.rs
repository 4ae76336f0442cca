//! One call of a flow's plugin: what it is told, what its answer must look like, and the messages and facts in it.

use protap_plugin::contract::{ParseResult, flag, verb};

use super::hooks::Hooked;
use super::{Session, SessionContext};
use crate::packet::Transport;
use crate::plugin::deepflow::FlowView;
use crate::plugin::instance::CallError;
use crate::reassembly::Direction;
use crate::record::Output;
use crate::running::{Answer, CallKind, Handle, ParseArguments};
use crate::stream::{Stream, Tail};

/// What a call was about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) plugin: usize,
    pub(super) direction: Direction,
    /// Length of the window.
    pub(super) len: usize,
    /// Most that the window can hold.
    pub(super) max: usize,
    /// Nothing contiguous can follow the window.
    pub(super) is_last: bool,
}

impl Session {
    /// Makes the call, and takes messages and facts from the answer.
    pub(super) fn call(
        &mut self,
        kind: CallKind,
        round: Round,
        handle: Handle,
        cx: &mut SessionContext<'_>,
    ) -> Result<ParseResult, CallError> {
        let direction = self.open_flags_of(round.direction);
        let Some(streams) = &mut self.streams else { return Err(CallError::Violation("no streams")) };
        let stream = &streams.lane_mut(round.direction).stream;
        let flags = call_flags(kind, round, stream, direction);
        let gap = if let Tail::Gap(len) = stream.tail { len } else { 0 };
        let (offset, window) = (stream.base(), stream.window(round.max));
        let flow = FlowView {
            id: self.id,
            transport: self.transport,
            ends: self.ends,
            processes: self.processes.as_deref().map(|processes| &processes.by_end),
            is_from_first: round.direction == Direction::ToServer,
            is_response: flags & flag::TO_CLIENT != 0,
            now: cx.now,
        };
        let piece_at = stream.piece_at;
        if let Some(pairing) = &mut self.pairing {
            pairing.set_heard(stream.marks.heard(offset));
        }
        let arguments = ParseArguments { handle, flags, offset, window, gap, now: cx.now, piece_at, flow: &flow };
        let mut answer = cx.plugins.parse(round.plugin, kind, &arguments, (&mut self.pairing, cx.spares))?;
        check(kind, round, &answer)?;
        if !cx.plugins.hooked().is_empty() {
            let hooked = Hooked { plugin: round.plugin, handle, offset, window, flow, banned: &mut self.banned };
            hooked.call(&mut answer.messages, cx);
        }
        if let (false, Some(plugin)) = (answer.facts.is_empty(), cx.plugins.plugin_of(round.plugin, handle)) {
            let facts = answer.facts.into_iter();
            cx.out.extend(facts.map(|fact| Output::Fact(plugin.identity.clone(), fact)));
        }
        self.take_messages(round.direction, &mut answer.messages, cx);
        cx.plugins.keep_room(answer.messages);
        Ok(answer.result)
    }

    pub(super) fn open_flags(&self) -> u32 {
        if self.transport == Transport::Udp { flag::DATAGRAM } else { 0 }
    }

    fn open_flags_of(&self, direction: Direction) -> u32 {
        let to_client = (direction == Direction::ToClient) ^ self.is_turned;
        self.open_flags() | if to_client { flag::TO_CLIENT } else { 0 }
    }
}

fn call_flags(kind: CallKind, round: Round, stream: &Stream, direction: u32) -> u32 {
    let base = Some(stream.base());
    let is = |is_set, bit| if is_set { bit } else { 0 };
    let tail = match stream.tail {
        Tail::Gap(_) if round.is_last && kind == CallKind::Parse => flag::GAP,
        Tail::Ended if round.is_last => flag::END,
        _ => 0,
    };
    let hints = match kind {
        CallKind::Parse => 0,
        CallKind::Resync => {
            let is_expected = stream.expected_at == base || stream.is_at_boundary();
            is(stream.turnaround_at == base, flag::TURNAROUND)
                | is(is_expected, flag::EXPECTED)
                | is(stream.is_at_boundary(), flag::BOUNDARY)
        }
    };
    direction | tail | hints
}

/// Whether an answer makes sense, before anything of it is believed.
fn check(kind: CallKind, round: Round, answer: &Answer) -> Result<(), CallError> {
    let Answer { result, messages, facts } = answer;
    let left = (round.len - consumed(result, round)?) as u64;
    let why = match (kind, result.verb) {
        (CallKind::Resync, _) if !(messages.is_empty() && facts.is_empty()) => {
            "says something while it looks for a frame"
        }
        (CallKind::Parse, verb::FOUND..) => "an unknown verb",
        (CallKind::Parse, verb::SKIP) if result.amount == 0 => "skips nothing",
        (CallKind::Parse, _) if round.is_last => return Ok(()),
        (CallKind::Parse, verb::MORE) if result.consumed == 0 => "no progress",
        (CallKind::Parse, verb::NEED) if result.amount <= left => "needs no more than it was given",
        (CallKind::Parse, verb::NEED) if result.amount > round.max as u64 => "needs more than its window",
        (CallKind::Parse, verb::LOST) => "lost without a gap",
        _ => return Ok(()),
    };
    Err(CallError::Violation(why))
}

pub(super) fn consumed(result: &ParseResult, round: Round) -> Result<usize, CallError> {
    match usize::try_from(result.consumed) {
        Ok(consumed) if consumed <= round.len => Ok(consumed),
        _ => Err(CallError::Violation("consumed more than it was given")),
    }
}
