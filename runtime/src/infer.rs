//! Inference: the first bytes of a flow in, the plugin that claims it out. The bytes are kept until somebody claims
//! them and has proven it with a message, so that they can be given to the next plugin if the first one rejects them.
//! Ports order the candidates and lower no evidence.

use protap_plugin::contract::{flag, probe};

use crate::packet::{Endpoint, Timestamp, Transport};
use crate::plugin::deepflow::FlowView;
use crate::plugin::instance::ProbeCall;
use crate::plugin::manifest::{HEAD, TransportName};
use crate::quarantine::Scene;
use crate::reassembly::{Direction, Heard};
use crate::record::ProcessPair;
use crate::running::RunningPlugins;

/// Payloads that a plugin is asked about before it has had its chances, as DeepFlow has it.
const MAX_JUDGED: usize = 128;

/// The beginning of a flow: what both ends sent, in the order in which it came.
#[derive(Debug, Default)]
pub struct Head {
    to_server: HeadStream,
    to_client: HeadStream,
    pieces: Vec<PieceHeader>,
    /// Behind so many pieces, bytes were lost.
    lost_behind: Option<usize>,
    answers: Vec<Answer>,
}

#[derive(Debug, Default)]
struct HeadStream {
    bytes: Vec<u8>,
    base: u64,
    is_mid_stream: bool,
}

/// Bytes that came at once.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Which way.
    pub direction: Direction,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Bytes of a datagram after them that were not captured.
    pub missing: u64,
    /// When.
    pub at: Timestamp,
    /// What their sender had of the opposite stream.
    pub heard: Heard,
}

#[derive(Clone, Copy, Debug)]
struct PieceHeader {
    direction: Direction,
    len: usize,
    missing: u64,
    at: Timestamp,
    heard: Heard,
}

/// What a plugin said of the head so far.
#[derive(Clone, Copy, Debug, Default)]
struct Answer {
    is_out: bool,
    /// It is not asked again before a head has that many bytes.
    more: usize,
    /// Of a plugin that is asked payload by payload: how many it has seen.
    seen: usize,
    /// What it claimed the flow with.
    claim: Option<Claim>,
}

/// A plugin's claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Index of the plugin.
    pub plugin: usize,
    /// Which end is the client; `None` if the bytes do not tell.
    pub client_sends: Option<Direction>,
    /// What the plugin wants to be told when the flow is opened.
    pub tag: u32,
}

/// What inference came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A plugin claims the flow.
    Claimed(Claim),
    /// More bytes are needed.
    NeedMore,
    /// Nobody claims it.
    Unclaimed,
    /// Nobody claims it, but a plugin was not asked, as it is in quarantine.
    Quarantined,
}

/// What the plugins say that are asked one after the other.
#[derive(Debug, Default)]
struct Asked {
    /// No more bytes will come.
    is_complete: bool,
    /// The first claim by the plugins' names, and the place of who makes it.
    likely: Option<(usize, Claim)>,
    /// Some need more bytes.
    waits: bool,
    /// Some may still say something, but hold nobody back.
    lingers: bool,
    is_quarantined: bool,
}

impl Asked {
    fn consider(&mut self, place: usize, claim: Option<Claim>) {
        let claim = claim.map(|claim| (place, claim));
        self.likely = self.likely.into_iter().chain(claim).min_by_key(|(place, _)| *place);
    }
}

/// What is known of a flow beside its bytes.
#[derive(Clone, Debug)]
pub struct FlowFacts {
    /// Names the flow.
    pub id: u64,
    /// TCP or UDP.
    pub transport: Transport,
    /// Both ends; the first one sends [`Direction::ToServer`].
    pub ends: (Endpoint, Endpoint),
    /// The handshake was seen.
    pub is_opened: bool,
    /// The processes of `ends`, if known.
    pub processes: Option<ProcessPair>,
    /// Capture time.
    pub now: Timestamp,
}

impl FlowFacts {
    /// Of a fault that its first bytes provoked: whoever opened the flow, or spoke first, is taken for its sender.
    #[must_use]
    pub fn scene(&self) -> Scene {
        Scene { ends: self.ends, sender: self.ends.0.ip, at: self.now }
    }
}

impl Head {
    /// The beginning of a flow that is caught in its middle, as far as is known.
    #[must_use]
    pub fn mid_stream() -> Self {
        let mut head = Self::default();
        head.to_server.is_mid_stream = true;
        head.to_client.is_mid_stream = true;
        head
    }

    /// Takes the next bytes of a direction.
    pub fn push(&mut self, piece: &Piece<'_>, offset: u64) {
        let Piece { direction, bytes, missing, at, heard } = *piece;
        let stream = self.stream_mut(direction);
        if stream.bytes.is_empty() {
            stream.base = offset;
        }
        stream.bytes.extend_from_slice(bytes);
        self.pieces.push(PieceHeader { direction, len: bytes.len(), missing, at, heard });
    }

    /// Bytes of a direction are missing: what came before them is of no use for inference.
    pub fn forget(&mut self, direction: Direction) {
        *self.stream_mut(direction) = HeadStream { is_mid_stream: true, ..HeadStream::default() };
        self.pieces.retain(|piece| piece.direction != direction);
        self.answers.iter_mut().for_each(|answer| answer.seen = self.pieces.len());
        self.lost_behind = Some(self.pieces.len());
    }

    /// Behind how many pieces bytes were lost, if any were.
    #[must_use]
    pub fn lost_behind(&self) -> Option<usize> {
        self.lost_behind
    }

    /// Whether the direction begins in the middle of a stream.
    pub fn set_mid_stream(&mut self, direction: Direction, is_mid_stream: bool) {
        self.stream_mut(direction).is_mid_stream = is_mid_stream;
    }

    /// Bytes collected.
    #[must_use]
    pub fn len(&self) -> usize {
        self.to_server.bytes.len() + self.to_client.bytes.len()
    }

    /// Whether the direction begins in the middle of a stream.
    #[must_use]
    pub fn is_mid_stream(&self, direction: Direction) -> bool {
        self.stream(direction).is_mid_stream
    }

    /// Whether as much was collected as is ever kept.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.to_server.bytes.len() >= HEAD || self.to_client.bytes.len() >= HEAD || self.pieces.len() >= HEAD
    }

    /// Whether nothing was collected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Stream offset of the first byte of a direction.
    #[must_use]
    pub fn base(&self, direction: Direction) -> u64 {
        self.stream(direction).base
    }

    /// First bytes of a direction.
    #[must_use]
    pub fn bytes(&self, direction: Direction) -> &[u8] {
        &self.stream(direction).bytes
    }

    /// The plugin is out of the question for this flow.
    pub fn exclude(&mut self, plugin: usize) {
        if self.answers.len() <= plugin {
            self.answers.resize(plugin + 1, Answer::default());
        }
        if let Some(answer) = self.answers.get_mut(plugin) {
            answer.is_out = true;
        }
    }

    /// The plugin in that slot is another one now: it has not been asked yet.
    pub fn forget_answer(&mut self, plugin: usize) {
        if let Some(answer) = self.answers.get_mut(plugin) {
            *answer = Answer::default();
        }
    }

    /// The collected bytes, piece by piece, in the order in which they came, each with its stream offset.
    pub fn replay(&self) -> impl Iterator<Item = (Piece<'_>, u64)> {
        let rest = |stream: &'_ HeadStream| (stream.base, 0..stream.bytes.len());
        let (mut to_server, mut to_client) = (rest(&self.to_server), rest(&self.to_client));
        self.pieces.iter().map(move |&PieceHeader { direction, len, missing, at, heard }| {
            let (offset, rest) = if direction == Direction::ToServer { &mut to_server } else { &mut to_client };
            let end = rest.start.saturating_add(len).min(rest.end);
            let bytes = self.bytes(direction).get(rest.start..end).unwrap_or_default();
            let piece = (Piece { direction, bytes, missing, at, heard }, *offset);
            rest.start = end;
            *offset = offset.saturating_add(bytes.len() as u64);
            piece
        })
    }

    /// Asks the plugins that are still in question. `is_complete` if no more bytes will come. Those whose servers usually
    /// live at one of the flow's ports come first: if one of them is certain, the others need not even be started.
    pub fn infer(&mut self, plugins: &mut RunningPlugins, facts: &FlowFacts, is_complete: bool) -> Verdict {
        if self.answers.len() < plugins.len() {
            self.answers.resize(plugins.len(), Answer::default());
        }
        let is_complete = is_complete || self.is_full();
        let ports = [facts.ends.0.port, facts.ends.1.port];
        let mut asked = Asked { is_complete, ..Asked::default() };
        for lives_here in [true, false] {
            let mut places = 0..;
            while let Some((place, index)) = places.next().and_then(|place| Some((place, plugins.nth(place)?))) {
                if lives_at(plugins, index, ports) == lives_here
                    && let Some(claim) = self.ask((place, index), plugins, facts, &mut asked)
                {
                    return Verdict::Claimed(claim);
                }
            }
        }
        let Asked { likely, waits, lingers, is_quarantined, .. } = asked;
        match likely {
            Some((_, claim)) if is_complete || !waits => Verdict::Claimed(claim),
            Some(_) => Verdict::NeedMore,
            None if (waits || lingers) && !is_complete => Verdict::NeedMore,
            None if is_quarantined => Verdict::Quarantined,
            None => Verdict::Unclaimed,
        }
    }

    /// Asks one plugin, which has that place among them and that index, unless it is out of the question; gives its claim if
    /// it is certain.
    fn ask(
        &mut self,
        (place, index): (usize, usize),
        plugins: &mut RunningPlugins,
        facts: &FlowFacts,
        asked: &mut Asked,
    ) -> Option<Claim> {
        let answer = self.answers.get(index).copied().unwrap_or_default();
        let plugin = plugins.plugin(index)?;
        let is_candidate = plugin.manifest.transports.iter().any(|name| match name {
            TransportName::Tcp => facts.transport == Transport::Tcp,
            TransportName::Udp => facts.transport == Transport::Udp,
        });
        let is_judge = plugin.deepflow().is_some();
        if !is_candidate || answer.is_out {
            return None;
        }
        if plugins.is_quarantined(index, facts.ends, facts.now) {
            asked.is_quarantined = true;
            return None;
        }
        if is_judge {
            let answer = self.judge(index, answer, plugins, facts);
            asked.lingers |= !answer.is_out;
            asked.consider(place, answer.claim);
            self.remember(index, answer);
            return None;
        }
        let longest = self.to_server.bytes.len().max(self.to_client.bytes.len());
        if !asked.is_complete && longest < answer.more {
            asked.waits = true;
            return None;
        }
        let packed = plugins.probe(index, &self.call(facts, asked.is_complete)).unwrap_or_else(|error| {
            plugins.fault(index, &error, &facts.scene());
            u64::from(probe::NO)
        });
        let (answer, certainty) = read(packed, index);
        self.remember(index, answer);
        match certainty {
            Some((true, claim)) => return Some(claim),
            Some((false, claim)) => asked.consider(place, Some(claim)),
            None => asked.waits |= !answer.is_out,
        }
        None
    }

    fn remember(&mut self, plugin: usize, answer: Answer) {
        if let Some(slot) = self.answers.get_mut(plugin) {
            *slot = answer;
        }
    }

    /// Asks a plugin that is asked payload by payload about those that it has not seen. It holds nobody else back.
    fn judge(&self, index: usize, mut answer: Answer, plugins: &mut RunningPlugins, facts: &FlowFacts) -> Answer {
        for (piece, _) in self.replay().skip(answer.seen) {
            if answer.claim.is_some() || answer.is_out {
                break;
            }
            answer.seen += 1;
            answer.is_out = answer.seen >= MAX_JUDGED;
            let view = FlowView {
                id: facts.id,
                transport: facts.transport,
                ends: facts.ends,
                processes: facts.processes.as_ref(),
                is_from_first: piece.direction == Direction::ToServer,
                is_response: piece.direction == Direction::ToClient,
                now: piece.at,
            };
            match plugins.check(index, piece.bytes, &view) {
                Ok(None) => {}
                Ok(Some(checked)) => {
                    let asker = match checked.is_response {
                        Some(true) => Some(piece.direction.opposite()),
                        Some(false) => Some(piece.direction),
                        // A plugin that says nothing else is taken to have seen a request, unless it is known who asks.
                        None => (!facts.is_opened).then_some(piece.direction),
                    };
                    answer.claim = Some(Claim { plugin: index, client_sends: asker, tag: checked.tag() });
                }
                Err(error) => {
                    plugins.fault(index, &error, &facts.scene());
                    answer.is_out = true;
                }
            }
        }
        answer
    }

    /// Whether a plugin claims what there is. One that does not may be asked again.
    pub fn infer_as_it_is(&mut self, plugins: &mut RunningPlugins, facts: &FlowFacts) -> Option<Claim> {
        if self.is_empty() {
            return None;
        }
        let answers = self.answers.clone();
        let verdict = self.infer(plugins, facts, true);
        self.answers = answers;
        // How many bytes were wanted meant the bytes that are forgotten now.
        self.answers.iter_mut().for_each(|answer| answer.more = 0);
        if let Verdict::Claimed(claim) = verdict { Some(claim) } else { None }
    }

    fn call(&self, facts: &FlowFacts, is_complete: bool) -> ProbeCall<'_> {
        let (len_a, len_b) = (self.head_len(facts, Direction::ToServer), self.head_len(facts, Direction::ToClient));
        let mut flags = 0;
        for (is_set, bit) in [
            (facts.is_opened, flag::A_OPENED),
            (facts.transport == Transport::Udp, flag::DATAGRAM),
            (self.to_server.is_mid_stream, flag::A_MID_STREAM),
            (self.to_client.is_mid_stream, flag::B_MID_STREAM),
            (is_complete, flag::HEADS_COMPLETE),
        ] {
            flags |= if is_set { bit } else { 0 };
        }
        ProbeCall {
            a: self.to_server.bytes.get(..len_a).unwrap_or_default(),
            b: self.to_client.bytes.get(..len_b).unwrap_or_default(),
            flags,
            ports: u32::from(facts.ends.0.port) | u32::from(facts.ends.1.port) << 16,
        }
    }

    /// Of a stream, the probe sees up to [`HEAD`] bytes; of datagrams, the first one.
    fn head_len(&self, facts: &FlowFacts, direction: Direction) -> usize {
        let all = self.bytes(direction).len().min(HEAD);
        match facts.transport {
            Transport::Tcp => all,
            Transport::Udp => {
                let first = self.pieces.iter().find(|piece| piece.direction == direction);
                first.map_or(0, |piece| piece.len.min(all))
            }
        }
    }

    fn stream(&self, direction: Direction) -> &HeadStream {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    fn stream_mut(&mut self, direction: Direction) -> &mut HeadStream {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }
}

/// Whether servers of that plugin usually live at one of the ports.
fn lives_at(plugins: &RunningPlugins, plugin: usize, ports: [u16; 2]) -> bool {
    plugins.plugin(plugin).is_some_and(|plugin| ports.iter().any(|port| plugin.manifest.ports.contains(port)))
}

/// Reads a probe's answer: what to remember of it, and a claim with its certainty.
fn read(packed: u64, plugin: usize) -> (Answer, Option<(bool, Claim)>) {
    let [verdict, client, ..] = packed.to_le_bytes();
    let client_sends = match client {
        probe::CLIENT_A => Some(Direction::ToServer),
        probe::CLIENT_B => Some(Direction::ToClient),
        _ => None,
    };
    let claim = Claim { plugin, client_sends, tag: 0 };
    match verdict {
        probe::CERTAIN => (Answer::default(), Some((true, claim))),
        probe::LIKELY => (Answer::default(), Some((false, claim))),
        probe::MORE => {
            let more = usize::try_from(packed >> 32).unwrap_or(usize::MAX);
            (Answer { more, ..Answer::default() }, None)
        }
        _ => (Answer { is_out: true, ..Answer::default() }, None),
    }
}

#[cfg(test)]
mod tests;
