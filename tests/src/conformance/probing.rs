//! Probes with heads that nobody's client sent.

use protap::plugin::instance::{Instance, ProbeCall};
use protap::plugin::manifest::TransportName;
use protap_plugin::contract::{flag, probe};

use super::Checked;
use super::driver::{Flow, WAYS};
use super::subject::Subject;
use protap_plugin::testing::Random;

/// Heads of random bytes that are probed.
const HEADS: usize = 10_000;
/// Heads whose verdicts are compared.
const COMPARED: usize = 500;
/// Longest random head, in bytes.
const LONGEST: usize = 300;

struct Head {
    a: Vec<u8>,
    b: Vec<u8>,
    flags: u32,
    ports: u32,
}

impl Head {
    fn random(subject: &Subject, random: &mut Random) -> Self {
        let (a_len, b_len) = (1 + random.below(LONGEST), random.below(LONGEST));
        let flags = [flag::A_OPENED, flag::A_MID_STREAM, flag::B_MID_STREAM, flag::HEADS_COMPLETE];
        let flags = flags.into_iter().filter(|_| random.below(2) == 1).sum::<u32>();
        let is_udp = !subject.takes(TransportName::Tcp);
        let ports = [subject.ports(), 50_000 | 50_001 << 16][random.below(2)];
        let a = bytes(random, a_len);
        Self { a, b: bytes(random, b_len), flags: flags | if is_udp { flag::DATAGRAM } else { 0 }, ports }
    }

    fn ask(&self, instance: &mut Instance) -> Result<u64, String> {
        let call = ProbeCall { a: &self.a, b: &self.b, flags: self.flags, ports: self.ports };
        instance.probe(&call).map_err(|error| format!("{error}: {}", self.shown()))
    }
}

impl Head {
    fn shown(&self) -> String {
        let shown = |bytes: &[u8]| -> String {
            let hex: String = bytes.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
            format!("{hex}{} ({} bytes)", if bytes.len() > 32 { "..." } else { "" }, bytes.len())
        };
        format!("A {}, B {}, flags {}", shown(&self.a), shown(&self.b), self.flags)
    }
}

/// Bytes of a kind: any, small numbers, text in lines, or the same byte again and again.
pub(super) fn bytes(random: &mut Random, len: usize) -> Vec<u8> {
    let kind = random.below(8);
    let same = random.below(256);
    let byte = |random: &mut Random| match kind {
        0..=3 => random.below(256),
        4 => random.below(4) * random.below(20),
        5 | 6 => usize::from(b"GET abc 09\r\n*$+-:\"{}"[random.below(20)]),
        _ => same,
    };
    (0..len).map(|_| u8::try_from(byte(random)).expect("below 256")).collect()
}

/// The same heads give the same verdicts, whatever was asked, opened or parsed between.
pub(super) fn pure(subject: &Subject) -> Checked {
    let mut random = Random::new(1);
    let heads: Vec<Head> = (0..COMPARED).map(|_| Head::random(subject, &mut random)).collect();
    let mut instance = subject.instance()?;
    let first: Vec<u64> = heads.iter().map(|head| head.ask(&mut instance)).collect::<Result<_, _>>()?;
    let compare = |index: usize, verdict: u64, when: &str| {
        if verdict == first[index] {
            return Ok(());
        }
        Err(format!("{:#x} at first, {verdict:#x} {when}: {}", first[index], heads[index].shown()))
    };
    for index in (0..heads.len()).rev() {
        compare(index, heads[index].ask(&mut instance)?, "in another order")?;
    }
    let mut other = subject.instance()?;
    for index in 0..heads.len() {
        let mut flow = Flow::open(subject, &mut other)?;
        let way = WAYS[index % 2];
        // What the flow makes of it is for other checks.
        let _ = flow.bytes(&mut other, way, &heads[index].a);
        compare(index, heads[index].ask(&mut other)?, "with other calls between")?;
        flow.close(&mut other)?;
    }
    Ok(format!("{COMPARED} heads, three times"))
}

/// Random bytes bring no probe down, and are certainly nobody's protocol.
pub(super) fn random(subject: &Subject) -> Checked {
    let mut random = Random::new(2);
    let mut instance = subject.instance()?;
    let mut likely = 0;
    for _ in 0..HEADS {
        let head = Head::random(subject, &mut random);
        let [verdict, client, ..] = head.ask(&mut instance)?.to_le_bytes();
        if verdict > probe::CERTAIN || client > probe::CLIENT_B {
            return Err(format!("verdict {verdict}, client {client}: no such numbers"));
        }
        if verdict == probe::CERTAIN {
            return Err(format!("it is certain of random bytes: {}", head.shown()));
        }
        likely += usize::from(verdict == probe::LIKELY);
    }
    Ok(format!("{HEADS} heads, {likely} of them likely"))
}

/// Who waits for more waits for more than one of the heads has, and for no more than a head can have.
pub(super) fn more(subject: &Subject) -> Checked {
    let mut random = Random::new(3);
    let mut instance = subject.instance()?;
    let mut waits = 0;
    for _ in 0..HEADS {
        let mut head = Head::random(subject, &mut random);
        head.flags &= !flag::HEADS_COMPLETE;
        // Short heads are those that a plugin waits to see more of.
        let (keep_a, keep_b) = (random.below(12) + 1, random.below(12));
        head.a.truncate(keep_a);
        head.b.truncate(keep_b);
        let answer = head.ask(&mut instance)?;
        if answer.to_le_bytes()[0] != probe::MORE {
            continue;
        }
        waits += 1;
        let (wanted, shorter) = (answer >> 32, head.a.len().min(head.b.len()) as u64);
        if wanted <= shorter || wanted > 16 << 10 {
            return Err(format!("it waits for {wanted} bytes, and the shorter head has {shorter}"));
        }
    }
    Ok(format!("{waits} of {HEADS} short heads"))
}
