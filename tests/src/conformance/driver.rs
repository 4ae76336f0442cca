//! One flow, handed to an instance as the contract says, with every answer held against the contract: the host's part of
//! parse, resync and gaps, at its plainest. It keeps a transcript of all answers, by which two runs are compared. No
//! request is ever pending here: what pairing adds is seen in the checks that run a capture through the engine.

mod verbs;

use protap::plugin::content::{ContentReader, Replaced};
use protap::plugin::instance::{Call, Instance};
use protap::record::Spares;
use protap_plugin::contract::memory::Memory;
use protap_plugin::contract::{ParseResult, flag, tag};

use super::subject::Subject;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    ToServer,
    ToClient,
}

/// Both ways.
pub(super) const WAYS: [Way; 2] = [Way::ToServer, Way::ToClient];

/// What comes behind the bytes that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Open,
    Gap(u64),
    End,
    Datagram(u64),
}

#[derive(Debug, Default)]
struct Lane {
    base: u64,
    bytes: Vec<u8>,
    need: u64,
    skip: u64,
    is_lost: bool,
    hints: u32,
}

/// A flow.
#[derive(Debug)]
pub(super) struct Flow<'a> {
    subject: &'a Subject,
    pub(super) handle: u32,
    lanes: [Lane; 2],
    is_over: bool,
    fruitless: u32,
    /// Bits that every call gets besides.
    pub(super) extra_flags: u32,
    /// What was answered, call by call.
    pub(super) transcript: Vec<String>,
    /// Messages so far.
    pub(super) messages: usize,
    /// Fuel and length of the window of each call of parse.
    pub(super) costs: Vec<(u64, usize)>,
}

/// One call.
#[derive(Clone, Copy, Debug)]
struct Round {
    way: Way,
    flags: u32,
    offset: u64,
    len: usize,
    gap: u64,
    is_last: bool,
    is_resync: bool,
}

impl<'a> Flow<'a> {
    pub(super) fn open(subject: &'a Subject, instance: &mut Instance) -> Result<Self, String> {
        Self::open_with(subject, instance, 0)
    }

    pub(super) fn open_with(subject: &'a Subject, instance: &mut Instance, extra: u32) -> Result<Self, String> {
        let flags = subject.flow_flags() | extra;
        let handle = instance.open(flags, subject.ports()).map_err(|error| format!("open: {error}"))?;
        if handle == 0 {
            return Err("open: no room for a flow".to_owned());
        }
        Ok(Self {
            subject,
            handle,
            lanes: Default::default(),
            is_over: false,
            fruitless: 0,
            extra_flags: extra,
            transcript: Vec::new(),
            messages: 0,
            costs: Vec::new(),
        })
    }

    /// Both directions begin in the middle of their streams.
    pub(super) fn lose(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.is_lost = true);
    }

    /// Where the next bytes of that way lie.
    pub(super) fn set_offset(&mut self, way: Way, offset: u64) {
        self.lane(way).base = offset;
    }

    /// Bytes of a stream; of a flow of datagrams, one of those.
    pub(super) fn bytes(&mut self, instance: &mut Instance, way: Way, bytes: &[u8]) -> Result<(), String> {
        if self.subject.flow_flags() & flag::DATAGRAM != 0 {
            return self.datagram(instance, way, bytes, 0);
        }
        self.push(way, bytes);
        self.pump(instance, way, Tail::Open)
    }

    /// The sender began to speak after its peer.
    pub(super) fn turn(&mut self, way: Way) {
        let lane = self.lane(way);
        if lane.is_lost {
            lane.base += lane.bytes.len() as u64;
            lane.bytes.clear();
            (lane.need, lane.hints) = (0, flag::TURNAROUND);
        }
    }

    /// A datagram of which the capture lacks the last `missing` bytes.
    pub(super) fn datagram(
        &mut self,
        instance: &mut Instance,
        way: Way,
        bytes: &[u8],
        missing: u64,
    ) -> Result<(), String> {
        let cut = bytes.get(..self.subject.window()).unwrap_or(bytes);
        let missing = missing + (bytes.len() - cut.len()) as u64;
        self.push(way, cut);
        let result = self.pump(instance, way, Tail::Datagram(missing));
        let lane = self.lane(way);
        lane.base += lane.bytes.len() as u64 + missing;
        lane.bytes.clear();
        (lane.skip, lane.need) = (0, 0);
        result
    }

    /// Bytes that are missing for good.
    pub(super) fn gap(&mut self, instance: &mut Instance, way: Way, len: u64) -> Result<(), String> {
        if self.subject.flow_flags() & flag::DATAGRAM != 0 {
            return Ok(());
        }
        self.pump(instance, way, Tail::Gap(len))
    }

    /// The end of a stream.
    pub(super) fn end(&mut self, instance: &mut Instance, way: Way) -> Result<(), String> {
        self.lane(way).skip = 0;
        self.pump(instance, way, Tail::End)
    }

    pub(super) fn close(self, instance: &mut Instance) -> Result<Vec<String>, String> {
        instance.close(self.handle).map_err(|error| format!("close: {error}"))?;
        Ok(self.transcript)
    }

    fn lane(&mut self, way: Way) -> &mut Lane {
        let [to_server, to_client] = &mut self.lanes;
        if way == Way::ToServer { to_server } else { to_client }
    }

    fn push(&mut self, way: Way, bytes: &[u8]) {
        let lane = self.lane(way);
        let skipped = usize::try_from(lane.skip).unwrap_or(usize::MAX).min(bytes.len());
        lane.skip -= skipped as u64;
        lane.base += skipped as u64;
        lane.bytes.extend_from_slice(&bytes[skipped..]);
    }

    fn pump(&mut self, instance: &mut Instance, way: Way, mut tail: Tail) -> Result<(), String> {
        while !self.is_over {
            if let Tail::Gap(gap) = &mut tail {
                let lane = self.lane(way);
                let absorbed = lane.skip.min(*gap);
                lane.skip -= absorbed;
                lane.base += absorbed;
                *gap -= absorbed;
                if *gap == 0 {
                    return Ok(());
                }
            }
            let Some(round) = self.next_round(way, tail) else { return Ok(()) };
            let window = self.lane(way).bytes[..round.len].to_vec();
            let result = self.call(instance, round, &window)?;
            let is_done = if round.is_resync { self.resynced(round, &result) } else { self.parsed(round, &result) };
            if is_done.map_err(|why| self.blame(round, &result, &why))? {
                if let Tail::Gap(gap) = tail {
                    self.lane(way).base += gap;
                }
                return Ok(());
            }
        }
        Ok(())
    }

    fn next_round(&mut self, way: Way, tail: Tail) -> Option<Round> {
        let (max, shared) = (self.subject.window(), self.subject.flow_flags() | self.extra_flags);
        let lane = self.lane(way);
        let len = lane.bytes.len().min(max);
        let is_last = tail != Tail::Open && len == lane.bytes.len();
        if !is_last && (len == 0 || (len as u64) < lane.need && len < max) {
            return None;
        }
        let is_resync = lane.is_lost;
        if is_resync && len == 0 {
            if let Tail::Gap(gap) = tail {
                lane.base += gap;
            }
            return None;
        }
        let mut flags = shared | if way == Way::ToClient { flag::TO_CLIENT } else { 0 };
        let mut gap = 0;
        match tail {
            Tail::Gap(missing) | Tail::Datagram(missing) if is_last && missing > 0 && !is_resync => {
                (flags, gap) = (flags | flag::GAP, missing);
            }
            Tail::End if is_last => flags |= flag::END,
            _ => {}
        }
        if is_resync {
            flags |= lane.hints;
        }
        Some(Round { way, flags, offset: lane.base, len, gap, is_last, is_resync })
    }

    fn call(&mut self, instance: &mut Instance, round: Round, window: &[u8]) -> Result<ParseResult, String> {
        let call = Call { handle: self.handle, flags: round.flags, offset: round.offset, gap: round.gap, now: 1 };
        let name = if round.is_resync { "resync" } else { "parse" };
        let address = if round.is_resync {
            instance.resync(&call, window, &mut None)
        } else {
            instance.parse(&call, window, &mut None)
        };
        let at =
            |why: String| format!("{name} of {} bytes at {}, flags {}: {why}", round.len, round.offset, round.flags);
        let address = address.map_err(|error| at(error.to_string()))?;
        if let (Some(fuel), false) = (instance.fuel_used(), round.is_resync) {
            self.costs.push((fuel, round.len));
        }
        let (result, text, messages) = self.read(instance.memory(), address).map_err(at)?;
        if round.is_resync && (messages > 0 || result.fact_count > 0) {
            return Err(at("a resync emits messages".to_owned()));
        }
        self.messages += messages;
        let shown = format!("{name} {} {} {} {text}", result.verb, result.consumed, result.amount);
        self.transcript.push(shown);
        Ok(result)
    }

    fn read(&self, memory: Memory<'_>, address: u32) -> Result<(ParseResult, String, usize), String> {
        let result = memory.result(address).map_err(|fault| fault.to_string())?;
        let (mut replaced, mut spares, mut messages) = (Replaced::default(), Spares::default(), Vec::new());
        let mut reader = ContentReader::new(memory, &self.subject.plugin().identity, &mut replaced, &mut spares);
        let said = |error: protap::plugin::instance::CallError| error.to_string();
        memory.string("reason", result.reason).map_err(|fault| fault.to_string())?;
        reader.messages(&result, &mut messages).map_err(said)?;
        let facts = reader.facts(&result).map_err(said)?;
        for message in memory.messages(&result).map_err(|fault| fault.to_string())? {
            let mut seen = Vec::new();
            for attribute in memory.attributes(&message).map_err(|fault| fault.to_string())? {
                let entry = &self.subject.manifest().attributes[usize::from(attribute.index)];
                let is_right = match attribute.tag {
                    tag::STR | tag::REF => entry.value_type == "str",
                    tag::I64 => entry.value_type == "i64",
                    tag::F64 => entry.value_type == "f64",
                    tag::BOOL => entry.value_type == "bool" && attribute.value <= 1,
                    _ => entry.value_type == "list",
                };
                if !is_right {
                    return Err(format!("attribute {} is not of type {}", entry.name, entry.value_type));
                }
                if seen.contains(&attribute.index) {
                    return Err(format!("attribute {} is there twice", entry.name));
                }
                seen.push(attribute.index);
            }
        }
        Ok((result, format!("{messages:?} {facts:?}"), messages.len()))
    }

    fn take(&mut self, way: Way, len: u64) {
        let lane = self.lane(way);
        let taken = usize::try_from(len).unwrap_or(usize::MAX).min(lane.bytes.len());
        lane.bytes.drain(..taken);
        lane.base += taken as u64;
    }

    fn blame(&self, round: Round, result: &ParseResult, why: &str) -> String {
        let name = if round.is_resync { "resync" } else { "parse" };
        let Round { len, offset, flags, gap, .. } = round;
        let ParseResult { verb, consumed, amount, .. } = result;
        format!(
            "{name} of {len} bytes at {offset}, flags {flags}, gap {gap}: verb {verb}, consumed {consumed}, amount {amount}: {why}"
        )
    }
}
