//! Inference: the first bytes of a flow in, the plugin that claims it out. The bytes are kept until somebody claims
//! them and has proven it with a message, so that they can be given to the next plugin if the first one rejects them.
//! Ports order the candidates and lower no evidence.

mod head;

use protap_plugin::contract::{flag, probe};

pub use self::head::{Head, Piece};
use crate::packet::{Endpoint, Timestamp, Transport};
use crate::plugin::deepflow::FlowView;
use crate::plugin::instance::ProbeCall;
use crate::plugin::manifest::{HEAD, TransportName};
use crate::quarantine::Scene;
use crate::reassembly::Direction;
use crate::record::ProcessPair;
use crate::running::RunningPlugins;

/// Payloads that a plugin is asked about before it has had its chances, as DeepFlow has it.
const MAX_JUDGED: usize = 128;

/// What a plugin said of the head so far.
#[derive(Clone, Copy, Debug, Default)]
struct Answer {
    /// It claims nothing that begins where it was asked about.
    is_out: bool,
    /// It is out of the question, whatever comes.
    is_barred: bool,
    /// Bytes of each direction that came before what it is asked about.
    from: [usize; 2],
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
    /// The plugin is out of the question for this flow.
    pub fn exclude(&mut self, plugin: usize) {
        if self.answers.len() <= plugin {
            self.answers.resize(plugin + 1, Answer::default());
        }
        if let Some(answer) = self.answers.get_mut(plugin) {
            answer.is_barred = true;
        }
    }

    /// The other end speaks now in a flow that was caught in its middle: plugins that made nothing of what came before are
    /// asked about what comes, while others still wait. Whether there are such plugins.
    pub fn turn_around(&mut self, plugins: &RunningPlugins) -> bool {
        let from = [self.to_server.bytes.len(), self.to_client.bytes.len()];
        let mut is_any = false;
        for (index, answer) in self.answers.iter_mut().enumerate() {
            let is_judge = plugins.plugin(index).is_some_and(|plugin| plugin.deepflow().is_some());
            if answer.is_out && !answer.is_barred && !is_judge {
                *answer = Answer { from, ..Answer::default() };
                is_any = true;
            }
        }
        is_any
    }

    /// The plugin in that slot is another one now: it has not been asked yet.
    pub fn forget_answer(&mut self, plugin: usize) {
        if let Some(answer) = self.answers.get_mut(plugin) {
            *answer = Answer::default();
        }
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
        if !is_candidate || answer.is_out || answer.is_barred {
            return None;
        }
        if plugins.is_quarantined(index, facts.ends, facts.now) {
            asked.is_quarantined = true;
            return None;
        }
        if is_judge {
            let answer = self.judge(index, answer, plugins, facts);
            asked.lingers |= !answer.is_out;
            // Behind all who can say how sure they are.
            asked.consider(place + plugins.len(), answer.claim);
            self.remember(index, answer);
            return None;
        }
        let call = self.call(facts, asked.is_complete, answer.from);
        if !asked.is_complete && call.a.len().max(call.b.len()) < answer.more {
            asked.waits = true;
            return None;
        }
        let packed = plugins.probe(index, &call).unwrap_or_else(|error| {
            plugins.fault(index, &error, &facts.scene());
            u64::from(probe::NO)
        });
        let (said, certainty) = read(packed, index);
        let answer = Answer { from: answer.from, ..said };
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

    fn call(&self, facts: &FlowFacts, is_complete: bool, from: [usize; 2]) -> ProbeCall<'_> {
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
            a: self.to_server.bytes.get(from[0]..len_a).unwrap_or_default(),
            b: self.to_client.bytes.get(from[1]..len_b).unwrap_or_default(),
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
