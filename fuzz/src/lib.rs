//! What the plugins' targets share: the fuzzer's bytes as a conversation, and as the heads of a flow.
//!
//! ```text
//! conversation   flags: u8, then steps until the bytes end
//! step           op: u8, len: u16 (little-endian), bytes [len, or what there is]
//!                op & 1   direction: to the server, to the client
//!                op >> 1  0 to 63   bytes that arrive in pieces of that many bytes; 0 is at once
//!                         64        the next `len` bytes are lost (none follow in the script)
//!                         65        the stream ends (likewise)
//!                         66        `len` more zero bytes (likewise): long values at the cost of three bytes; all such
//!                                   steps together come to 64 KiB at most
//! ```

use protap_plugin::testing::{Replay, Report, probe_heads};
use protap_plugin::{Direction, Heads, Parser, Transport};

/// Bits of a conversation's flags: it begins in the middle of both streams.
const MID_STREAM: u8 = 1;
/// The server's port is the protocol's.
const KNOWN_PORT: u8 = 2;
/// A's SYN was seen.
const A_OPENED: u8 = 4;
/// Head B begins in the middle of its stream, whatever A's does.
const B_MID_STREAM: u8 = 8;
/// No more will come than these heads.
const COMPLETE: u8 = 16;

/// Steps that are taken of a script; what follows them adds nothing but time.
const MAX_STEPS: usize = 64;

/// Zero bytes that all steps together may ask for. Four of them are a whole frame in places: more would only make messages
/// that are all alike.
const MAX_ZEROS: usize = 64 << 10;

/// Probes the heads of the conversation, and replays it twice: in its pieces, and each step at once. A panic, a breach
/// of the contract, and messages that depend on where the bytes are cut are findings.
pub fn plugin<P: Parser>(port: u16, data: &[u8]) {
    let Some((flags, script)) = data.split_first() else { return };
    let mut zeros = 0;
    let is_within = |step: &Step<'_>| {
        zeros += if matches!(step.what, What::Zeros) { usize::from(step.len) } else { 0 };
        zeros <= MAX_ZEROS
    };
    let steps: Vec<Step<'_>> = Script(script).take(MAX_STEPS).take_while(is_within).collect();
    probe::<P>(port, *flags, &steps);
    let [cut, whole] = [true, false].map(|is_cut| {
        let replay = Replay::new::<P>();
        let replay = if flags & MID_STREAM == 0 { replay } else { replay.mid_stream() };
        steps.iter().fold(replay, |replay, step| step.add(replay, is_cut)).run()
    });
    // Where the next frame is found after a loss may depend on what is there when it is looked for.
    let is_certain = |report: &Report| flags & MID_STREAM == 0 && report.losses.is_empty();
    if is_certain(&cut) && is_certain(&whole) {
        assert_eq!(cut.messages, whole.messages, "cut, and whole");
        assert_eq!((cut.facts, cut.ending), (whole.facts, whole.ending), "cut, and whole");
    }
}

/// Asks about the first bytes of each direction.
fn probe<P: Parser>(port: u16, flags: u8, steps: &[Step<'_>]) {
    let is = |bit| flags & bit != 0;
    let head = |direction| {
        let mut sent = steps.iter().filter(|step| step.direction == direction);
        sent.find(|step| !step.bytes.is_empty()).map_or(&[][..], |step| step.bytes)
    };
    let _verdict = probe_heads::<P>(&Heads {
        a: head(Direction::ToServer),
        b: head(Direction::ToClient),
        a_port: 50_000,
        b_port: if is(KNOWN_PORT) { port } else { 50_001 },
        transport: Transport::Tcp,
        a_opened: is(A_OPENED),
        a_is_mid_stream: is(MID_STREAM),
        b_is_mid_stream: is(MID_STREAM | B_MID_STREAM),
        is_complete: is(COMPLETE),
    });
}

/// What happens next.
struct Step<'a> {
    direction: Direction,
    what: What,
    len: u16,
    bytes: &'a [u8],
}

enum What {
    Bytes { piece: usize },
    Gap,
    End,
    Zeros,
}

impl Step<'_> {
    fn add(&self, replay: Replay, is_cut: bool) -> Replay {
        match self.what {
            What::Gap => replay.gap(self.direction, u64::from(self.len).max(1)),
            What::End => replay.end(self.direction),
            What::Zeros => replay.bytes(self.direction, vec![0; usize::from(self.len)]),
            What::Bytes { piece } if piece > 0 && is_cut => {
                self.bytes.chunks(piece).fold(replay, |replay, piece| replay.bytes(self.direction, piece))
            }
            What::Bytes { .. } => replay.bytes(self.direction, self.bytes),
        }
    }
}

struct Script<'a>(&'a [u8]);

impl<'a> Iterator for Script<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        let ([op, low, high], rest) = self.0.split_first_chunk()?;
        let len = u16::from_le_bytes([*low, *high]);
        let what = match op >> 1 {
            64 => What::Gap,
            65 => What::End,
            66 => What::Zeros,
            piece => What::Bytes { piece: usize::from(piece & 63) },
        };
        let taken = if matches!(what, What::Bytes { .. }) { usize::from(len).min(rest.len()) } else { 0 };
        let (bytes, rest) = rest.split_at(taken);
        self.0 = rest;
        let direction = if op & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
        Some(Step { direction, what, len, bytes })
    }
}
