//! Calls about flows whose bytes are random: whatever they are, the answers are legal, and depend on nothing but the flow.

use protap::plugin::instance::{Call, Instance};
use protap::plugin::manifest::TransportName;

use super::driver::{Flow, WAYS, Way};
use super::probing::bytes;
use super::subject::Subject;
use super::{Checked, Verdict, verdict};
use protap_plugin::testing::Random;

/// Random conversations of a check.
const CONVERSATIONS: u64 = 300;
/// Conversations that are compared.
const COMPARED: u64 = 60;
/// Flows that come and go between two halves of a conversation.
const BETWEEN: usize = 50_000;
/// Flags that no version of the contract knows.
const UNKNOWN_FLAGS: u32 = 1 << 31 | 1 << 24 | 1 << 20;

/// What happens in a conversation.
#[derive(Clone, Debug)]
enum Step {
    Bytes(Way, Vec<u8>),
    Gap(Way, u64),
    End(Way),
}

/// A conversation of random bytes; the same for the same seed.
fn conversation(seed: u64, has_gaps: bool) -> Vec<Step> {
    let mut random = Random::new(seed);
    let steps = 2 + random.below(10);
    let mut conversation: Vec<Step> = (0..steps)
        .map(|_| {
            let way = WAYS[random.below(2)];
            if has_gaps && random.below(3) == 0 {
                return Step::Gap(way, 1 + random.below(3000) as u64);
            }
            let longest = [8, 64, 512, 3000][random.below(4)];
            let len = 1 + random.below(longest);
            Step::Bytes(way, bytes(&mut random, len))
        })
        .collect();
    conversation.extend(WAYS.map(Step::End));
    conversation
}

fn step(flow: &mut Flow<'_>, instance: &mut Instance, step: &Step) -> Result<(), String> {
    match step {
        Step::Bytes(way, bytes) => flow.bytes(instance, *way, bytes),
        Step::Gap(way, len) => flow.gap(instance, *way, *len),
        Step::End(way) => flow.end(instance, *way),
    }
}

/// Runs a conversation, and gives its transcript.
fn run(subject: &Subject, instance: &mut Instance, steps: &[Step], extra_flags: u32) -> Result<Vec<String>, String> {
    let mut flow = Flow::open_with(subject, instance, extra_flags)?;
    for each in steps {
        step(&mut flow, instance, each)?;
    }
    flow.close(instance)
}

fn first_difference(a: &[String], b: &[String]) -> Option<String> {
    let at = a.iter().zip(b).position(|(a, b)| a != b).or((a.len() != b.len()).then_some(a.len().min(b.len())))?;
    let shown = |transcript: &[String]| {
        transcript.get(at).map_or("nothing".to_owned(), |line| line.chars().take(160).collect())
    };
    Some(format!("answer {at} is {} instead of {}", shown(b), shown(a)))
}

fn same(a: &[String], b: &[String], seed: u64) -> Result<(), String> {
    first_difference(a, b).map_or(Ok(()), |what| Err(format!("conversation {seed}: {what}")))
}

/// Half a conversation, many flows that come and go, the other half: as if they had not been there. What was the input
/// buffer still is.
pub(super) fn input(subject: &Subject) -> Checked {
    let steps = conversation(11, false);
    let (before, after) = steps.split_at(steps.len() / 2);
    let mut undisturbed = subject.instance()?;
    let expected = run(subject, &mut undisturbed, &steps, 0)?;
    let mut instance = subject.instance()?;
    let mut flow = Flow::open(subject, &mut instance)?;
    before.iter().try_for_each(|each| step(&mut flow, &mut instance, each))?;
    for _ in 0..BETWEEN {
        let handle = instance.open(subject.flow_flags(), subject.ports()).map_err(|error| error.to_string())?;
        instance.close(handle).map_err(|error| error.to_string())?;
    }
    after.iter().try_for_each(|each| step(&mut flow, &mut instance, each))?;
    same(&expected, &flow.close(&mut instance)?, 11)?;
    Ok(format!("the same after {BETWEEN} other flows"))
}

/// Random bytes, in pieces, both ways: legal answers, and an end of calls.
pub(super) fn parse(subject: &Subject) -> Checked {
    let mut instance = subject.instance()?;
    let mut calls = 0;
    for seed in 0..CONVERSATIONS {
        let steps: Vec<_> = conversation(seed, false).into_iter().filter(|s| matches!(s, Step::Bytes(..))).collect();
        let transcript = run(subject, &mut instance, &steps, 0).map_err(|why| format!("conversation {seed}: {why}"))?;
        calls += transcript.len();
    }
    Ok(format!("{calls} calls"))
}

/// Gaps anywhere: at once, after bytes, twice.
pub(super) fn gap(subject: &Subject) -> Checked {
    if !subject.takes(TransportName::Tcp) {
        return Ok("between datagrams there are none".to_owned());
    }
    let mut instance = subject.instance()?;
    for seed in 0..CONVERSATIONS {
        let steps: Vec<_> = conversation(seed, true).into_iter().filter(|s| !matches!(s, Step::End(_))).collect();
        let first = [Step::Gap(WAYS[usize::from(seed % 2 == 0)], 1 + seed)];
        let steps: Vec<Step> = first.into_iter().chain(steps).collect();
        run(subject, &mut instance, &steps, 0).map_err(|why| format!("conversation {seed}: {why}"))?;
    }
    Ok(format!("{CONVERSATIONS} conversations"))
}

/// Streams that end, with nothing or with anything before that.
pub(super) fn end(subject: &Subject) -> Checked {
    let mut instance = subject.instance()?;
    run(subject, &mut instance, &WAYS.map(Step::End), 0).map_err(|why| format!("at once: {why}"))?;
    for seed in 0..CONVERSATIONS {
        let steps = conversation(seed, false);
        run(subject, &mut instance, &steps, 0).map_err(|why| format!("conversation {seed}: {why}"))?;
    }
    Ok(format!("{CONVERSATIONS} conversations"))
}

/// Streams whose beginning is not known, at offsets beyond 4 GiB.
pub(super) fn resync(subject: &Subject) -> Checked {
    if !subject.takes(TransportName::Tcp) {
        // It must be there, and is not called for datagrams.
        return Ok("datagrams need none".to_owned());
    }
    let mut instance = subject.instance()?;
    for seed in 0..CONVERSATIONS {
        let mut flow = Flow::open(subject, &mut instance)?;
        flow.lose();
        WAYS.iter().for_each(|way| flow.set_offset(*way, seed << 33));
        let mut last = None;
        for each in conversation(seed, true) {
            if let Step::Bytes(way, _) = &each
                && last.replace(*way) != Some(*way)
            {
                flow.turn(*way);
            }
            step(&mut flow, &mut instance, &each).map_err(|why| format!("conversation {seed}: {why}"))?;
        }
        flow.close(&mut instance)?;
    }
    Ok(format!("{CONVERSATIONS} conversations"))
}

/// Datagrams of random bytes, empty ones, long ones, and such that the capture cut.
pub(super) fn datagrams(subject: &Subject) -> Verdict {
    if !subject.takes(TransportName::Udp) {
        return Verdict::Skipped("it takes no datagrams".to_owned());
    }
    if subject.takes(TransportName::Tcp) {
        return Verdict::Skipped("of a plugin for both transports, the streams are checked".to_owned());
    }
    verdict(random_datagrams(subject))
}

fn random_datagrams(subject: &Subject) -> Checked {
    let mut random = Random::new(7);
    let mut instance = subject.instance()?;
    for _ in 0..CONVERSATIONS {
        let mut flow = Flow::open(subject, &mut instance)?;
        for _ in 0..6 {
            let longest = [9, 60, 600, 2 * subject.window()][random.below(4)];
            let len = 1 + random.below(longest);
            let missing = random.below(3) * random.below(900);
            let datagram = bytes(&mut random, len);
            flow.datagram(&mut instance, WAYS[random.below(2)], &datagram, missing as u64)?;
        }
        WAYS.iter().try_for_each(|way| flow.end(&mut instance, *way))?;
        flow.close(&mut instance)?;
    }
    Ok(format!("{} datagrams", CONVERSATIONS * 6))
}

/// Bits that a later version may set change nothing.
pub(super) fn unknown_flags(subject: &Subject) -> Checked {
    for seed in 0..COMPARED {
        let steps = conversation(seed, true);
        let plain = run(subject, &mut subject.instance()?, &steps, 0)?;
        let extra = run(subject, &mut subject.instance()?, &steps, UNKNOWN_FLAGS)?;
        same(&plain, &extra, seed)?;
    }
    Ok(format!("{COMPARED} conversations"))
}

/// A flow whose handle was another's begins as any other does.
pub(super) fn reuse(subject: &Subject) -> Checked {
    let mut instance = subject.instance()?;
    let mut handles = std::collections::HashSet::new();
    let mut reused = 0;
    for seed in 0..COMPARED {
        let steps = conversation(seed, true);
        let expected = run(subject, &mut subject.instance()?, &steps, 0)?;
        let mut flow = Flow::open(subject, &mut instance)?;
        reused += usize::from(!handles.insert(flow.handle));
        steps.iter().try_for_each(|each| step(&mut flow, &mut instance, each))?;
        same(&expected, &flow.close(&mut instance)?, seed)?;
    }
    Ok(format!("{reused} of {COMPARED} handles were used before"))
}

/// A flow's answers do not depend on the flows that are open beside it.
pub(super) fn isolation(subject: &Subject) -> Checked {
    for seed in 0..COMPARED {
        let (steps, others) = (conversation(seed, true), conversation(seed + 1000, true));
        let expected = run(subject, &mut subject.instance()?, &steps, 0)?;
        let mut instance = subject.instance()?;
        let mut flow = Flow::open(subject, &mut instance)?;
        let mut other = Flow::open(subject, &mut instance)?;
        for (index, each) in steps.iter().enumerate() {
            if let Some(beside) = others.get(index) {
                step(&mut other, &mut instance, beside)?;
            }
            step(&mut flow, &mut instance, each)?;
        }
        same(&expected, &flow.transcript, seed)?;
    }
    Ok(format!("{COMPARED} pairs of flows"))
}

/// The same calls to two instances give the same answers, and the same fuel burns.
pub(super) fn determinism(subject: &Subject) -> Checked {
    let fuel = |instance: &mut Instance, handle: u32| {
        let call = Call { handle, flags: subject.flow_flags(), offset: 0, gap: 0, now: 1 };
        instance.parse(&call, b"\0", &mut None).map(|_| instance.fuel_used()).map_err(|error| error.to_string())
    };
    let (mut one, mut two) = (subject.instance()?, subject.instance()?);
    for seed in 0..COMPARED {
        let steps = conversation(seed, true);
        let first = run(subject, &mut one, &steps, 0)?;
        same(&first, &run(subject, &mut two, &steps, 0)?, seed)?;
    }
    let handles = [&mut one, &mut two].map(|instance| instance.open(subject.flow_flags(), subject.ports()));
    let [Ok(a), Ok(b)] = handles else { return Err("no flow can be opened".to_owned()) };
    if fuel(&mut one, a)? != fuel(&mut two, b)? {
        return Err("the same call burns another amount of fuel".to_owned());
    }
    Ok(format!("{COMPARED} conversations"))
}
