//! One flow from stream events to records: inference until a plugin claims it, then the plugin's calls, then pairing.
//! This is where the plugin's verbs take effect. Nothing here knows packets or files; what was lost is counted, and
//! what a plugin says is checked before it is believed.

mod call;
mod claim;
mod complete;
mod counters;
mod ends;
mod hooks;
mod parse;
mod parts;
mod swap;

use std::collections::VecDeque;

use self::complete::Waiting;
pub use self::counters::SessionCounters;
use self::ends::EndProcesses;
use self::parts::Parts;
use crate::infer::{Claim, Head, Piece};
use crate::packet::{Endpoint, Timestamp, Transport};
use crate::pair::{Pairing, PairingFlow, UnderWay};
use crate::reassembly::{CloseReason, Direction, Heard, StreamEvent};
use crate::record::{Outlet, Output, Spares};
use crate::running::{Handle, PluginStats, RunningPlugins};
use crate::stream::{Mode, Stream, Tail};

/// Times that a flow may be resynchronised without a message in between before its plugin loses it.
const MAX_FRUITLESS_RESYNCS: u32 = 16;
/// Times that a flow is handed over: protocols start within protocols, but plugins that hand a flow to themselves or to
/// one another, at the byte where they got it, would never end.
const MAX_HANDOVERS: u8 = 8;

/// What a session works with besides its own state.
#[derive(Debug)]
pub struct SessionContext<'a> {
    /// The shard's plugins.
    pub plugins: &'a mut RunningPlugins,
    /// Where records and facts go.
    pub out: &'a mut Vec<Output>,
    /// What records are made of.
    pub spares: &'a mut Spares,
    /// Where losses are counted.
    pub counters: &'a mut SessionCounters,
    /// Capture time.
    pub now: Timestamp,
    /// A record for each response instead of one for each request.
    pub has_each_response: bool,
}

/// What became of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Inferring,
    Claimed { plugin: usize, handle: Handle },
    Muted(&'static str),
}

/// A flow's session.
#[derive(Debug)]
pub struct Session {
    /// Names the flow.
    id: u64,
    ends: (Endpoint, Endpoint),
    /// The processes of `ends`, once one is known.
    processes: Option<Box<EndProcesses>>,
    transport: Transport,
    is_opened: bool,
    /// The end which sends `ToServer` is the server for the plugin.
    is_turned: bool,
    state: State,
    head: Option<Box<Head>>,
    streams: Option<Box<Streams>>,
    pairing: Option<Box<Pairing>>,
    /// In-order pairing is out of step until a turn-around.
    is_out_of_step: bool,
    last_direction: Option<Direction>,
    fruitless_resyncs: u32,
    fresh_starts: u8,
    handovers: u8,
    /// Why nobody claimed it when it was given up last.
    given_up_for: Option<&'static str>,
    /// Plugins that failed on the flow's bytes.
    banned: Vec<usize>,
    /// The head is being given to a plugin; whoever does that deals with a release.
    is_replaying: bool,
}

/// Both directions of a claimed flow.
#[derive(Debug)]
struct Streams {
    to_server: Lane,
    to_client: Lane,
}

/// One direction of a claimed flow.
#[derive(Debug, Default)]
struct Lane {
    stream: Stream,
    waiting: VecDeque<Waiting>,
    parts: Parts,
    /// Bytes that the messages of both take in memory, but for requests, which are pending.
    held: usize,
    /// Ends of the messages so far: where the next one begins at the earliest.
    floor: u64,
    /// Whether there was a message.
    has_message: bool,
}

impl Lane {
    fn new(base: u64, is_mid_stream: bool) -> Self {
        let mode = if is_mid_stream { Mode::Resync } else { Mode::Synced };
        Self { stream: Stream::new(base, mode), floor: base, ..Self::default() }
    }
}

impl Streams {
    fn lane(&self, direction: Direction) -> &Lane {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    fn lane_mut(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }
}

impl Session {
    /// A session of a flow whose first end sends `ToServer`.
    #[must_use]
    pub fn new(ends: (Endpoint, Endpoint), transport: Transport) -> Self {
        let head = if transport == Transport::Tcp { Head::mid_stream() } else { Head::default() };
        Self {
            id: 0,
            ends,
            processes: None,
            transport,
            is_opened: false,
            is_turned: false,
            state: State::Inferring,
            head: Some(Box::new(head)),
            streams: None,
            pairing: None,
            is_out_of_step: false,
            last_direction: None,
            fruitless_resyncs: 0,
            fresh_starts: 0,
            handovers: 0,
            given_up_for: None,
            banned: Vec::new(),
            is_replaying: false,
        }
    }

    /// Names the flow, for plugins that keep something of each.
    #[must_use]
    pub fn with_id(self, id: u64) -> Self {
        Self { id, ..self }
    }

    /// The SYN of that direction was seen: its stream begins with its first byte, and who opened the flow is known. An
    /// order may have given the flow to a plugin before.
    pub fn set_opened(&mut self, direction: Direction) {
        self.is_opened = true;
        let lane = self.streams.as_mut().map(|streams| streams.lane_mut(direction));
        if lane.as_ref().is_some_and(|lane| lane.stream.end() > 0) {
            return;
        }
        if let Some(lane) = lane {
            lane.stream.mode = Mode::Synced;
        }
        if let Some(head) = &mut self.head {
            head.set_mid_stream(direction, false);
        }
    }

    /// Whether nobody will claim the flow, as long as the plugins stay the same.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        matches!(self.state, State::Muted(reason) if !self.may_start_afresh(reason))
    }

    /// The plugin that claimed the flow, or why nobody has.
    pub fn claim(&self) -> Result<usize, &'static str> {
        match self.state {
            State::Claimed { plugin, .. } => Ok(plugin),
            State::Muted(reason) => Err(reason),
            State::Inferring if self.head.as_ref().is_none_or(|head| head.is_empty()) => {
                Err(self.given_up_for.unwrap_or("no data"))
            }
            State::Inferring => Err("too short to tell"),
        }
    }

    /// Port of the server, as far as is known: that of the end which did not open the connection; without a
    /// handshake, the lower one.
    #[must_use]
    pub fn server_port(&self) -> u16 {
        if self.is_opened { self.ends.1.port } else { self.ends.0.port.min(self.ends.1.port) }
    }

    /// A plugin was ordered for the flow, whatever its bytes.
    pub fn assign(&mut self, plugin: usize, client_sends: Option<Direction>, cx: &mut SessionContext<'_>) {
        self.take_claim(Claim { plugin, client_sends, tag: 0 }, cx);
    }

    /// Takes the next event of the flow's streams.
    pub fn observe(&mut self, event: StreamEvent<'_>, cx: &mut SessionContext<'_>) {
        match event {
            StreamEvent::Data { direction, offset, bytes, at, heard, .. } => {
                self.data(Piece { direction, bytes, missing: 0, at, heard }, offset, cx);
            }
            StreamEvent::Gap { direction, len, .. } => self.gap(direction, len, cx),
            StreamEvent::Close { direction, reason, at, .. } => self.close(direction, reason, at, cx),
        }
    }

    /// A datagram: a payload that is whole in itself, but for `missing` bytes that the capture cut off.
    pub fn datagram(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        missing: u64,
        at: Timestamp,
        cx: &mut SessionContext<'_>,
    ) {
        let offset = self.streams.as_mut().map_or(0, |streams| streams.lane_mut(direction).stream.end());
        self.data(Piece { direction, bytes, missing, at, heard: Heard::ALL }, offset, cx);
    }

    /// Nothing more will come of this flow: what waits is given up.
    pub fn finish(&mut self, reason: &'static str, cx: &mut SessionContext<'_>) {
        if self.state == State::Inferring && self.head.as_ref().is_some_and(|head| !head.is_empty()) {
            self.infer(true, cx);
        }
        for direction in [Direction::ToServer, Direction::ToClient] {
            self.end(direction, cx);
        }
        let now = cx.now;
        self.with_pairing(cx, |pairing, flow, out| pairing.close(flow, None, reason, now, out));
        self.close_handle(cx);
    }

    /// Gives up requests that waited too long; when the next one will have.
    pub fn expire(&mut self, cx: &mut SessionContext<'_>) -> Option<Timestamp> {
        let now = cx.now;
        let asked_by = [Direction::ToServer, Direction::ToClient].map(|direction| self.under_way(direction));
        let under_way = if self.is_turned { [asked_by[1], asked_by[0]] } else { asked_by };
        self.with_pairing(cx, |pairing, flow, out| pairing.expire(flow, now, under_way, out)).flatten()
    }

    /// What comes of requests of that direction, and of their answers, and has not ended.
    fn under_way(&self, direction: Direction) -> UnderWay {
        let Some(streams) = &self.streams else { return UnderWay::default() };
        UnderWay {
            request: streams.lane(direction).stream.marks.last(),
            answer: streams.lane(direction.opposite()).unfinished(),
        }
    }

    /// Bytes that the flow keeps.
    #[must_use]
    pub fn buffered(&self) -> usize {
        let head = self.head.as_ref().map_or(0, |head| head.len());
        let of_lane = |lane: &Lane| lane.stream.len() + lane.held;
        let lanes = self.streams.as_ref().map_or(0, |s| of_lane(&s.to_server) + of_lane(&s.to_client));
        head + lanes + self.pairing.as_ref().map_or(0, |pairing| pairing.held())
    }

    /// Gives back the memory that is not needed while nothing comes.
    pub fn shrink(&mut self) {
        if let Some(pairing) = &mut self.pairing {
            pairing.shrink();
        }
        if let Some(streams) = &mut self.streams {
            for lane in [&mut streams.to_server, &mut streams.to_client] {
                lane.stream.shrink();
                lane.waiting.shrink_to_fit();
            }
        }
    }

    /// Counts for the plugin that claimed the flow.
    fn count(&self, cx: &mut SessionContext<'_>, count: impl FnOnce(&mut PluginStats)) {
        if let State::Claimed { plugin, .. } = self.state {
            cx.plugins.count(plugin, count);
        }
    }

    /// Whether requests wait.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        self.pairing.as_ref().is_some_and(|pairing| !pairing.is_empty())
    }

    fn data(&mut self, piece: Piece<'_>, offset: u64, cx: &mut SessionContext<'_>) {
        let is_turnaround = self.last_direction.replace(piece.direction) != Some(piece.direction);
        if is_turnaround {
            self.start_afresh(cx);
        }
        if let Some(head) = &mut self.head {
            head.push(&piece, offset);
        }
        match self.state {
            State::Muted(_) => cx.counters.unclaimed_bytes += piece.bytes.len() as u64,
            State::Inferring => self.infer(false, cx),
            State::Claimed { .. } => {
                self.feed(&piece, is_turnaround, cx);
                if self.head.as_ref().is_some_and(|head| head.is_full()) || self.has_proof() {
                    self.head = None;
                }
            }
        }
    }

    /// Hands bytes to the plugin that claimed the flow.
    fn feed(&mut self, piece: &Piece<'_>, is_turnaround: bool, cx: &mut SessionContext<'_>) {
        if is_turnaround {
            self.miss_answers(piece.direction, cx);
        }
        let Some(streams) = &mut self.streams else { return };
        let lane = streams.lane_mut(piece.direction);
        if is_turnaround {
            if lane.stream.mode == Mode::Resync && !lane.stream.is_at_boundary() {
                let dropped = lane.stream.drop_unsynced();
                cx.counters.resync_bytes += dropped;
            }
            lane.stream.turnaround_at = Some(lane.stream.end());
            self.is_out_of_step &= (piece.direction == Direction::ToClient) ^ self.is_turned;
        }
        let (bytes, missing) = match self.state {
            State::Claimed { plugin, handle } if self.transport == Transport::Udp => {
                let window = cx.plugins.plugin_of(plugin, handle).map_or(0, |plugin| plugin.manifest.window as usize);
                fit(piece, window)
            }
            _ => (piece.bytes, piece.missing),
        };
        let skipped = lane.stream.push(bytes, piece.at, piece.heard);
        if lane.stream.mode == Mode::Resync {
            cx.counters.resync_bytes += skipped;
        }
        if missing > 0 {
            lane.stream.tail = Tail::Gap(missing);
        }
        self.complete(piece.direction, cx);
        self.parse(piece.direction, cx);
    }

    /// The sender of that direction speaks after its peer. If that is still in resync, its answers went by unread: requests
    /// that are answered in order must not wait for the next one.
    fn miss_answers(&mut self, direction: Direction, cx: &mut SessionContext<'_>) {
        let Some(streams) = &mut self.streams else { return };
        let answers = &streams.lane_mut(direction.opposite()).stream;
        if answers.mode == Mode::Resync && !answers.is_at_boundary() {
            let (now, asked_by_server) = (cx.now, (direction == Direction::ToClient) ^ self.is_turned);
            self.with_pairing(cx, |pairing, flow, out| pairing.lose_in_order(flow, Some(asked_by_server), now, out));
        }
    }

    fn gap(&mut self, direction: Direction, len: u64, cx: &mut SessionContext<'_>) {
        if self.state == State::Inferring {
            self.infer_before_gap(cx);
            if self.state == State::Inferring {
                if let Some(head) = &mut self.head {
                    head.forget(direction);
                }
                return;
            }
        }
        self.head = None;
        self.count(cx, |stats| stats.gaps += 1);
        // The client has asked, unheard: what follows is no turn-around, and the next answers are not to that.
        if (direction == Direction::ToServer) ^ self.is_turned {
            self.last_direction = Some(direction);
        }
        if let Some(streams) = &mut self.streams {
            streams.lane_mut(direction).stream.tail = Tail::Gap(len);
            self.parse(direction, cx);
            self.complete(direction, cx);
        }
    }

    fn close(&mut self, direction: Direction, reason: CloseReason, at: Timestamp, cx: &mut SessionContext<'_>) {
        self.end(direction, cx);
        if reason == CloseReason::Rst {
            // Nothing follows in either direction: what is there of an answer belongs to its request, whoever gave up.
            self.end(direction.opposite(), cx);
        }
        // The FIN of the side that owes the answers says that they will not come; a RST, that none will.
        let answered_by_server = (direction == Direction::ToClient) ^ self.is_turned;
        let owed_by = (reason == CloseReason::Fin).then_some(answered_by_server);
        if owed_by.is_none() {
            self.give_up_all_parts("closed", cx);
        }
        self.with_pairing(cx, |pairing, flow, out| pairing.close(flow, owed_by, "closed", at, out));
    }

    /// The stream of a direction has ended, which its plugin is told once. Datagrams are no stream: a call without one
    /// would look like an empty one.
    fn end(&mut self, direction: Direction, cx: &mut SessionContext<'_>) {
        if let Some(streams) = &mut self.streams {
            let tail = &mut streams.lane_mut(direction).stream.tail;
            if *tail == Tail::Ended {
                return;
            }
            *tail = Tail::Ended;
            if self.transport == Transport::Tcp {
                self.parse(direction, cx);
            }
            self.complete(direction, cx);
            self.give_up_parts(direction, "closed", cx);
        }
    }

    /// What a record needs to know of the flow, and the flow's pending requests.
    fn pairing_flow<'s>(
        &'s mut self,
        plugins: &'s RunningPlugins,
        has_each_response: bool,
    ) -> Option<(PairingFlow<'s>, &'s mut Option<Box<Pairing>>)> {
        let State::Claimed { plugin, handle } = self.state else { return None };
        let plugin = &plugins.plugin_of(plugin, handle)?.identity;
        let (id, ends, is_turned) = (self.id, self.ends(), self.is_turned);
        let process = self.processes.as_deref_mut().map(|processes| processes.by_role(is_turned));
        Some((PairingFlow { id, ends, process, plugin, has_each_response }, &mut self.pairing))
    }

    /// Does something to the pending requests, if there are any; the records that come of it go out.
    fn with_pairing<T>(
        &mut self,
        cx: &mut SessionContext<'_>,
        act: impl FnOnce(&mut Pairing, &PairingFlow<'_>, &mut Outlet<'_>) -> T,
    ) -> Option<T> {
        let (flow, pairing) = self.pairing_flow(cx.plugins, cx.has_each_response)?;
        Some(act(pairing.as_mut()?, &flow, &mut Outlet { out: cx.out, spares: cx.spares }))
    }
}

/// Of a datagram that is longer than the plugin's window, what fits; the rest counts as missing.
fn fit<'a>(piece: &Piece<'a>, window: usize) -> (&'a [u8], u64) {
    let bytes = piece.bytes.get(..window).unwrap_or(piece.bytes);
    (bytes, piece.missing.saturating_add((piece.bytes.len() - bytes.len()) as u64))
}
