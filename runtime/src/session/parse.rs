//! The plugin's calls for one direction: hand it the window, and do what its verb says, until it wants more bytes
//! than there are. Whatever a plugin answers, each round either takes bytes away, waits for bytes, or ends.

use protap_plugin::contract::{ParseResult, verb};

use super::call::{Round, consumed};
use super::{MAX_FRUITLESS_RESYNCS, MAX_HANDOVERS, Session, SessionContext, State};
use crate::infer::Piece;
use crate::packet::Transport;
use crate::plugin::instance::CallError;
use crate::quarantine::Scene;
use crate::reassembly::{Direction, Heard};
use crate::running::{CallKind, Handle, Standing};
use crate::stream::{Mode, Tail};

/// What comes after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Another one.
    Again,
    /// More bytes.
    Wait,
}

impl Session {
    /// Calls the plugin as long as it makes something of the bytes there are.
    pub(super) fn parse(&mut self, direction: Direction, cx: &mut SessionContext<'_>) {
        while let State::Claimed { plugin, handle } = self.state {
            if !cx.plugins.is_present(plugin) {
                return self.release(plugin, "plugin removed", cx);
            }
            if cx.plugins.is_quarantined(plugin, self.ends, cx.now) {
                return self.pass_unseen(direction, cx);
            }
            let Some(handle) = self.current_handle(plugin, handle, cx) else { return };
            let Some(streams) = &mut self.streams else { return };
            let stream = &mut streams.lane_mut(direction).stream;
            if stream.is_skipping() && stream.tail != Tail::Ended {
                if !self.skip_on(direction, cx) {
                    return;
                }
                continue;
            }
            let max = cx.plugins.plugin_of(plugin, handle).map_or(0, |plugin| plugin.manifest.window as usize);
            let len = stream.window(max).len();
            let is_datagram = self.transport == Transport::Udp;
            let is_last = (stream.tail != Tail::Open || is_datagram) && len == stream.len();
            let has_enough = len > 0 && (len as u64 >= stream.need || len == max);
            if !(has_enough || is_last && (stream.tail != Tail::Open || len > 0)) {
                return;
            }
            let round = Round { plugin, direction, len, max, is_last };
            let next = match stream.mode {
                Mode::Synced => self.parse_once(round, handle, cx),
                Mode::Resync => self.resync_once(round, handle, cx),
            };
            match next {
                Ok(Next::Again) => {}
                Ok(Next::Wait) => return,
                Err(error) => return self.faulted(plugin, direction, &error, cx),
            }
        }
    }

    /// The handle to call the plugin with. After a rebuild the flow is opened anew, in resync; from an instance that makes
    /// room for its successor it is taken over between two messages.
    fn current_handle(&mut self, plugin: usize, handle: Handle, cx: &mut SessionContext<'_>) -> Option<Handle> {
        match cx.plugins.standing(plugin, handle) {
            Standing::Current => return Some(handle),
            Standing::Retiring if !self.swap(false, cx) => return Some(handle),
            Standing::Retiring => {}
            Standing::Gone => {
                let handle = self.reopen(plugin, cx)?;
                cx.counters.reopened += 1;
                self.lose(Direction::ToServer, cx);
                self.lose(Direction::ToClient, cx);
                return Some(handle);
            }
        }
        if let State::Claimed { handle, .. } = self.state { Some(handle) } else { None }
    }

    /// Opens the flow in the running instance.
    pub(super) fn reopen(&mut self, plugin: usize, cx: &mut SessionContext<'_>) -> Option<Handle> {
        match cx.plugins.open(plugin, self.open_flags(), self.ports(), 0) {
            Ok(handle) => {
                self.state = State::Claimed { plugin, handle };
                Some(handle)
            }
            Err(error) => {
                self.faulted(plugin, Direction::ToServer, &error, cx);
                None
            }
        }
    }

    /// While skipping there are no bytes to parse. Says whether there is something to do behind a gap.
    fn skip_on(&mut self, direction: Direction, cx: &mut SessionContext<'_>) -> bool {
        let Some(streams) = &mut self.streams else { return false };
        let absorbed = streams.lane_mut(direction).stream.absorb_gap();
        if absorbed == 0 {
            return false;
        }
        cx.counters.absorbed_bytes += absorbed;
        self.count(cx, |stats| stats.truncated_bytes += absorbed);
        self.complete(direction, cx);
        true
    }

    fn parse_once(&mut self, round: Round, handle: Handle, cx: &mut SessionContext<'_>) -> Result<Next, CallError> {
        let result = self.call(CallKind::Parse, round, handle, cx)?;
        let Some(streams) = &mut self.streams else { return Ok(Next::Wait) };
        let lane = streams.lane_mut(round.direction);
        lane.stream.marks.forget_before(lane.floor);
        let consumed = consumed(&result, round)?;
        let left = (round.len - consumed) as u64;
        let stream = &mut lane.stream;
        let is_datagram = self.transport == Transport::Udp;
        match result.verb {
            verb::MORE | verb::NEED if round.is_last && consumed < round.len && consumed > 0 => {
                stream.consume(consumed);
                Ok(Next::Again)
            }
            verb::MORE | verb::NEED | verb::LOST if round.is_last => Ok(self.last_bytes_done(round, cx)),
            verb::MORE => {
                stream.consume(consumed);
                stream.need = 1;
                // Behind the window there may be more.
                Ok(if stream.is_empty() { Next::Wait } else { Next::Again })
            }
            verb::NEED => {
                stream.consume(consumed);
                stream.need = result.amount;
                Ok(Next::Again)
            }
            verb::SKIP if is_datagram || stream.tail == Tail::Ended => {
                stream.consume(consumed);
                if result.amount >= left {
                    return Ok(self.last_bytes_done(round, cx));
                }
                stream.skip(result.amount);
                Ok(Next::Again)
            }
            verb::SKIP => {
                stream.consume(consumed);
                stream.skip(result.amount);
                stream.need = 1;
                Ok(Next::Again)
            }
            verb::INVALID => {
                cx.counters.malformed += 1;
                stream.consume(consumed.max(1));
                Ok(self.lost_its_way(round, cx))
            }
            _ => self.leave(round, &result, cx),
        }
    }

    /// Verbs with which the plugin leaves the flow.
    fn leave(&mut self, round: Round, result: &ParseResult, cx: &mut SessionContext<'_>) -> Result<Next, CallError> {
        match result.verb {
            verb::REJECT => {
                cx.counters.rejected += 1;
                self.release(round.plugin, "rejected", cx);
                Ok(Next::Wait)
            }
            verb::OPAQUE => {
                self.give_up_all_parts("opaque", cx);
                let now = cx.now;
                self.with_pairing(cx, |pairing, flow, out| pairing.close(flow, None, "opaque", now, out));
                self.give_up_claim(cx);
                self.mute("opaque");
                Ok(Next::Wait)
            }
            verb::HANDOVER => {
                self.hand_over(round.direction, result.amount, cx);
                Ok(Next::Wait)
            }
            _ => Err(CallError::Violation("an unknown verb")),
        }
    }

    fn resync_once(&mut self, round: Round, handle: Handle, cx: &mut SessionContext<'_>) -> Result<Next, CallError> {
        if round.len == 0 {
            return Ok(self.last_bytes_done(round, cx));
        }
        let result = self.call(CallKind::Resync, round, handle, cx)?;
        let Some(streams) = &mut self.streams else { return Ok(Next::Wait) };
        let lane = streams.lane_mut(round.direction);
        let consumed = consumed(&result, round)?;
        let stream = &mut lane.stream;
        cx.counters.resync_bytes += consumed as u64;
        stream.consume(consumed);
        stream.need = 1;
        lane.floor = stream.base();
        let left = (round.len - consumed) as u64;
        if consumed > 0 && !self.is_out_of_step && !self.is_from_server(round.direction) {
            // Requests may have been among them, whose answers come first.
            self.lose_order(cx);
        }
        let Some(streams) = &mut self.streams else { return Ok(Next::Wait) };
        let stream = &mut streams.lane_mut(round.direction).stream;
        match result.verb {
            verb::FOUND if consumed < round.len => {
                stream.mode = Mode::Synced;
                Ok(Next::Again)
            }
            verb::CANDIDATE if result.amount > stream.base() && !round.is_last => {
                stream.expected_at = Some(result.amount);
                stream.skip(result.amount - stream.base());
                Ok(Next::Again)
            }
            verb::MORE if consumed > 0 && !stream.is_empty() => Ok(Next::Again),
            verb::MORE | verb::NEED | verb::CANDIDATE if round.is_last => Ok(self.last_bytes_done(round, cx)),
            verb::MORE if consumed > 0 => Ok(Next::Wait),
            verb::NEED if result.amount > left && result.amount <= round.max as u64 => {
                stream.need = result.amount;
                Ok(Next::Again)
            }
            // Not even a full window was enough to tell: this place is no frame's start.
            verb::NEED if consumed == 0 && round.len == round.max => {
                stream.consume(1);
                Ok(Next::Again)
            }
            _ => Err(CallError::Violation("an impossible answer to resync")),
        }
    }

    /// The bytes before a gap, before the stream's end, or of a datagram are done with.
    fn last_bytes_done(&mut self, round: Round, cx: &mut SessionContext<'_>) -> Next {
        let Some(streams) = &mut self.streams else { return Next::Wait };
        let stream = &mut streams.lane_mut(round.direction).stream;
        stream.consume(stream.len());
        stream.need = 1;
        match stream.tail {
            Tail::Gap(_) => {
                stream.pass_gap();
                if self.transport == Transport::Tcp {
                    self.lose(round.direction, cx);
                }
                Next::Wait
            }
            Tail::Ended | Tail::Open => Next::Wait,
        }
    }

    /// The plugin found the bytes malformed. One that does so again and again is not the right one.
    fn lost_its_way(&mut self, round: Round, cx: &mut SessionContext<'_>) -> Next {
        let is_datagram = self.transport == Transport::Udp;
        if !is_datagram {
            self.lose(round.direction, cx);
        }
        self.fruitless_resyncs += 1;
        if self.fruitless_resyncs > MAX_FRUITLESS_RESYNCS {
            cx.counters.rejected += 1;
            self.release(round.plugin, "malformed", cx);
            return Next::Wait;
        }
        if is_datagram { self.last_bytes_done(round, cx) } else { Next::Again }
    }

    /// Bytes were lost: the next frame's start is looked for, and in-order pairing is out of step.
    /// A datagram is whole in itself: the next one starts a frame, and only messages in parts are given up.
    pub(super) fn lose(&mut self, direction: Direction, cx: &mut SessionContext<'_>) {
        self.give_up_parts(direction, "lost", cx);
        if let Some(streams) = &mut self.streams {
            let lane = streams.lane_mut(direction);
            lane.stream.need = 1;
            if self.transport == Transport::Udp {
                return;
            }
            lane.stream.mode = Mode::Resync;
            cx.counters.resyncs += 1;
            self.count(cx, |stats| stats.resyncs += 1);
        }
        self.lose_order(cx);
    }

    /// From `offset` on another protocol begins: the flow is inferred anew.
    fn hand_over(&mut self, direction: Direction, offset: u64, cx: &mut SessionContext<'_>) {
        self.give_up_all_parts("handover", cx);
        let now = cx.now;
        self.with_pairing(cx, |pairing, flow, out| pairing.close(flow, None, "handover", now, out));
        self.give_up_claim(cx);
        self.handovers += 1;
        if self.handovers > MAX_HANDOVERS {
            cx.counters.rejected += 1;
            return self.mute("handover");
        }
        let Some(mut streams) = self.streams.take() else { return };
        self.pairing = None;
        self.state = State::Inferring;
        self.is_replaying = false;
        self.head = Some(Box::default());
        for side in [direction, direction.opposite()] {
            let stream = &mut streams.lane_mut(side).stream;
            if side == direction {
                stream.skip(offset.saturating_sub(stream.base()));
            }
            let (base, rest) = (stream.base(), stream.window(usize::MAX));
            if let (false, Some(head)) = (rest.is_empty(), &mut self.head) {
                let piece = Piece { direction: side, bytes: rest, missing: 0, at: cx.now, heard: Heard::ALL };
                head.push(&piece, base);
            }
        }
        // Whoever is asked about nothing may well say no.
        if self.head.as_ref().is_some_and(|head| !head.is_empty()) {
            self.infer(false, cx);
        }
    }

    /// The flow's plugin is in quarantine: what comes passes unseen, and what waits for an answer will not know it.
    fn pass_unseen(&mut self, direction: Direction, cx: &mut SessionContext<'_>) {
        let now = cx.now;
        self.with_pairing(cx, |pairing, flow, out| pairing.close(flow, None, "plugin quarantined", now, out));
        let Some(streams) = &mut self.streams else { return };
        if streams.lane_mut(direction).stream.mode == Mode::Synced {
            self.lose(direction, cx);
        }
        let Some(streams) = &mut self.streams else { return };
        let stream = &mut streams.lane_mut(direction).stream;
        cx.counters.quarantined_bytes += stream.drop_unsynced();
        stream.pass_gap();
    }

    /// Tells the plugin that the flow is not its own any more.
    pub(super) fn close_handle(&mut self, cx: &mut SessionContext<'_>) {
        if let State::Claimed { plugin, handle } = self.state
            && let Err(error) = cx.plugins.close(plugin, handle)
        {
            self.blame(plugin, Direction::ToServer, &error, cx);
        }
    }

    /// The plugin failed on bytes of that direction.
    fn blame(&self, plugin: usize, direction: Direction, error: &CallError, cx: &mut SessionContext<'_>) {
        let sender = if direction == Direction::ToServer { self.ends.0 } else { self.ends.1 };
        cx.plugins.fault(plugin, error, &Scene { ends: self.ends, sender: sender.ip, at: cx.now });
    }

    /// The plugin failed on this flow's bytes: the flow is closed to it for good.
    fn faulted(&mut self, plugin: usize, direction: Direction, error: &CallError, cx: &mut SessionContext<'_>) {
        self.blame(plugin, direction, error, cx);
        cx.counters.faulted += 1;
        self.banned.push(plugin);
        if let State::Claimed { handle, .. } = self.state {
            cx.plugins.give_up(plugin, handle);
        }
        self.release(plugin, "plugin fault", cx);
    }
}
