//! From first bytes to a plugin that parses the flow, and back: inference, the claim with its replay, the release.

use super::{Lane, Session, SessionContext, State, Streams};
use crate::infer::{Claim, FlowFacts, Head, Verdict};
use crate::packet::Transport;
use crate::reassembly::Direction;

/// Times that a flow caught in its middle is inferred anew at a turn-around: its first bytes may well have been the
/// rest of a long message, by which nobody could recognise it.
const MAX_FRESH_STARTS: u8 = 8;

/// Why nobody claims what a plugin handed over.
const TLS_AFTER_HANDOVER: &str = "tls after a handover";
/// Why nobody claims a flow that was caught in its middle.
pub(super) const UNCLAIMED_MID_STREAM: &str = "no plugin claims it (mid-stream)";

/// Why nobody claims a flow that a plugin was not asked about.
pub(super) const QUARANTINED: &str = "plugin quarantined";

impl Session {
    /// A flow caught in its middle that nobody claimed may be recognised by what begins here, also by some plugins while
    /// others still wait for more; and so may one that a plugin in quarantine was not asked about.
    pub(super) fn start_afresh(&mut self, cx: &SessionContext<'_>) {
        match self.state {
            State::Muted(reason @ UNCLAIMED_MID_STREAM) if self.may_start_afresh(reason) => self.fresh_starts += 1,
            State::Muted(QUARANTINED) if !self.is_quarantined(cx) => {}
            State::Inferring if self.may_start_afresh(UNCLAIMED_MID_STREAM) => {
                let asks_anew = self.head.as_mut().is_some_and(|head| head.turn_around(cx.plugins));
                self.fresh_starts += u8::from(asks_anew);
                return;
            }
            _ => return,
        }
        self.infer_afresh();
    }

    /// Whether what made the plugins pass may not hold for what comes later.
    pub(super) fn may_start_afresh(&self, reason: &'static str) -> bool {
        let is_mid_stream = self.transport == Transport::Tcp && !self.is_opened;
        match reason {
            UNCLAIMED_MID_STREAM => is_mid_stream && self.fresh_starts < MAX_FRESH_STARTS,
            QUARANTINED => true,
            _ => false,
        }
    }

    /// The flow is inferred anew, from what comes next.
    pub(super) fn infer_afresh(&mut self) {
        let mut head = if self.transport == Transport::Tcp { Head::mid_stream() } else { Head::default() };
        self.banned.iter().for_each(|plugin| head.exclude(*plugin));
        self.state = State::Inferring;
        self.head = Some(Box::new(head));
    }

    /// Whether some plugin must not be asked about the flow now.
    fn is_quarantined(&self, cx: &SessionContext<'_>) -> bool {
        (0..cx.plugins.len()).any(|index| cx.plugins.is_quarantined(index, self.ends, cx.now))
    }

    /// What inference may know.
    fn facts(&self, cx: &SessionContext<'_>) -> FlowFacts {
        FlowFacts {
            id: self.id,
            transport: self.transport,
            ends: self.ends,
            is_opened: self.is_opened,
            processes: self.processes.as_deref().map(|processes| processes.by_end.clone()),
            now: cx.now,
        }
    }

    pub(super) fn infer(&mut self, is_complete: bool, cx: &mut SessionContext<'_>) {
        let facts = self.facts(cx);
        let Some(head) = &mut self.head else { return };
        match head.infer(cx.plugins, &facts, is_complete) {
            Verdict::NeedMore => {}
            Verdict::Claimed(claim) => self.take_claim(claim, cx),
            verdict @ (Verdict::Unclaimed | Verdict::Quarantined) => {
                let reason = match unclaimed_reason(head, cx.plugins.is_empty()) {
                    _ if verdict == Verdict::Quarantined => QUARANTINED,
                    "tls" if self.handovers > 0 => TLS_AFTER_HANDOVER,
                    reason => reason,
                };
                let bytes = head.bytes(Direction::ToServer).len() + head.bytes(Direction::ToClient).len();
                cx.counters.unclaimed_bytes += bytes as u64;
                self.mute(reason);
            }
        }
    }

    /// Nothing can be added to what a direction began with, so it is now or never for that. If nobody claims it, what
    /// comes behind the gap may still be recognised.
    pub(super) fn infer_before_gap(&mut self, cx: &mut SessionContext<'_>) {
        let facts = self.facts(cx);
        let Some(head) = &mut self.head else { return };
        if let Some(claim) = head.infer_as_it_is(cx.plugins, &facts) {
            self.take_claim(claim, cx);
        }
    }

    /// A plugin claims the flow: it gets all the bytes so far, in the order in which they came.
    pub(super) fn take_claim(&mut self, claim: Claim, cx: &mut SessionContext<'_>) {
        let handle = match cx.plugins.open(claim.plugin, self.open_flags(), self.ports(), claim.tag) {
            Ok(handle) => handle,
            Err(error) => {
                cx.plugins.fault(claim.plugin, &error, &self.facts(cx).scene());
                if let Some(head) = &mut self.head {
                    head.exclude(claim.plugin);
                }
                return self.infer(false, cx);
            }
        };
        cx.plugins.count(claim.plugin, |stats| stats.claims += 1);
        self.state = State::Claimed { plugin: claim.plugin, handle };
        self.is_turned = claim.client_sends == Some(Direction::ToClient);
        self.fruitless_resyncs = 0;
        let head = self.head.take().unwrap_or_default();
        let lane = |direction| Lane::new(head.base(direction), head.is_mid_stream(direction));
        self.streams =
            Some(Box::new(Streams { to_server: lane(Direction::ToServer), to_client: lane(Direction::ToClient) }));
        if self.replay(&head, cx) {
            return;
        }
        if self.state == State::Inferring {
            let mut head = head;
            head.exclude(claim.plugin);
            self.head = Some(head);
            self.infer(false, cx);
        } else if !self.has_proof() {
            self.head = Some(head);
        }
    }

    /// Says whether the plugin handed the flow over meanwhile: then the rest of the head is that of a new flow.
    fn replay(&mut self, head: &Head, cx: &mut SessionContext<'_>) -> bool {
        self.is_replaying = true;
        let handovers = self.handovers;
        let mut last = None;
        for (index, (piece, offset)) in head.replay().enumerate() {
            if head.lost_behind() == Some(index) {
                self.lose_order(cx);
            }
            if self.handovers > handovers {
                self.data(piece, offset, cx);
                continue;
            }
            let is_turnaround = last.replace(piece.direction) != Some(piece.direction);
            self.feed(&piece, is_turnaround, cx);
        }
        if head.lost_behind().is_some_and(|behind| behind >= head.replay().count()) {
            self.lose_order(cx);
        }
        self.is_replaying = false;
        self.handovers > handovers
    }

    /// Answers, or what they answer, were lost: requests without an id cannot be paired before the client speaks anew.
    pub(super) fn lose_order(&mut self, cx: &mut SessionContext<'_>) {
        let now = cx.now;
        self.is_out_of_step = true;
        self.with_pairing(cx, |pairing, flow, out| pairing.lose_in_order(flow, None, now, out));
    }

    /// Whether the plugin that claimed the flow has made a message of it.
    pub(super) fn has_proof(&self) -> bool {
        self.streams.as_ref().is_some_and(|streams| streams.to_server.has_message || streams.to_client.has_message)
    }

    /// The plugin gives the flow back, or lost it: the others are asked, if the head is still there.
    pub(super) fn release(&mut self, plugin: usize, reason: &'static str, cx: &mut SessionContext<'_>) {
        self.give_up_all_parts(reason, cx);
        let now = cx.now;
        self.with_pairing(cx, |pairing, flow, out| pairing.close(flow, None, reason, now, out));
        (self.streams, self.pairing) = (None, None);
        self.give_up_claim(cx);
        self.state = State::Inferring;
        match &mut self.head {
            Some(head) => {
                head.exclude(plugin);
                self.infer(false, cx);
            }
            None if self.is_replaying => {}
            None => self.mute(reason),
        }
    }

    /// The flow is its plugin's no more.
    pub(super) fn give_up_claim(&mut self, cx: &mut SessionContext<'_>) {
        self.close_handle(cx);
        if let State::Claimed { plugin, .. } = self.state {
            cx.plugins.count(plugin, |stats| stats.left += 1);
        }
    }

    pub(super) fn mute(&mut self, reason: &'static str) {
        (self.state, self.given_up_for) = (State::Muted(reason), Some(reason));
        (self.head, self.streams, self.pairing) = (None, None, None);
    }
}

fn unclaimed_reason(head: &Head, has_no_plugins: bool) -> &'static str {
    // TLSPlaintext of a ClientHello or ServerHello (RFC 8446, section 5.1): handshake, major version 3.
    let is_tls = |bytes: &[u8]| matches!(bytes, [0x16, 3, 0..=4, ..]);
    if has_no_plugins {
        "no plugin loaded"
    } else if is_tls(head.bytes(Direction::ToServer)) || is_tls(head.bytes(Direction::ToClient)) {
        "tls"
    } else if head.is_mid_stream(Direction::ToServer) || head.is_mid_stream(Direction::ToClient) {
        UNCLAIMED_MID_STREAM
    } else {
        "no plugin claims it"
    }
}
