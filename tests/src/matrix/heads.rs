//! Heads of flows that are nobody's: random bytes, text, lengths with something plausible behind them, and the real
//! heads of other protocols with some of their bytes changed. Given to a plugin's probe directly.

use protap_plugin::contract::flag;

use super::traffic::Traffic;
use protap_plugin::testing::Random;

/// Longest head, in bytes. (A frame's header is in the first few dozen.)
const LONGEST: usize = 1024;

/// How a head is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generator {
    /// Uniform bytes.
    Uniform,
    /// Lines of words and numbers.
    Text,
    /// Lengths, big-endian or little-endian, and as many bytes behind them.
    Lengths,
    /// Heads of other protocols' flows, changed.
    Changed,
}

/// All of them.
pub const GENERATORS: [Generator; 4] = [Generator::Uniform, Generator::Text, Generator::Lengths, Generator::Changed];

/// What a probe gets to see.
#[derive(Clone, Debug)]
pub struct RandomHead {
    /// What A sent.
    pub a: Vec<u8>,
    /// What B sent.
    pub b: Vec<u8>,
    /// Bits of [`flag`].
    pub flags: u32,
}

/// A source of heads.
#[derive(Debug)]
pub struct HeadSource<'a> {
    random: Random,
    others: Vec<&'a Traffic>,
}

impl<'a> HeadSource<'a> {
    /// Heads that come of `seed`, and of the traffic of other protocols.
    #[must_use]
    pub fn new(seed: u64, others: Vec<&'a Traffic>) -> Self {
        Self { random: Random::new(seed), others }
    }

    /// The next head. Most are as complete as they will ever be, so that "more" is no way out.
    pub fn next(&mut self, generator: Generator) -> RandomHead {
        let (a, b) = match generator {
            Generator::Changed => self.changed(),
            _ => (self.head(generator), if self.one_in(2) { Vec::new() } else { self.head(generator) }),
        };
        let mut flags = if self.one_in(4) { 0 } else { flag::HEADS_COMPLETE };
        // A handshake that was seen, one that was not, a flow caught in its middle.
        flags |= match self.random.below(3) {
            0 => flag::A_OPENED,
            1 => 0,
            _ => flag::A_MID_STREAM | flag::B_MID_STREAM,
        };
        RandomHead { a, b, flags }
    }

    fn head(&mut self, generator: Generator) -> Vec<u8> {
        let most = if self.one_in(2) { 64 } else { LONGEST };
        let len = 1 + self.random.below(most);
        let mut head = Vec::with_capacity(len);
        while head.len() < len {
            match generator {
                Generator::Text => self.line(&mut head),
                Generator::Lengths => self.frame(&mut head),
                Generator::Uniform | Generator::Changed => head.extend(self.word()),
            }
        }
        // A capture begins and ends where it does.
        head.truncate(if self.one_in(2) { len } else { head.len() });
        head
    }

    /// A line that begins with no command: one that does would be what it looks like.
    fn line(&mut self, head: &mut Vec<u8>) {
        const FIRST: [&str; 8] = ["hello", "user:", "a=b", "{\"id\":", "<x>", "GET /", "220", "> "];
        const WORDS: [&str; 24] = [
            "get", "set", "GET", "SELECT", "hello", "PING", "user", "END", "OK", "+", "-", "*", "$", ":", "/", "a=b",
            "HTTP/1.1", "null", "{\"id\":", "}", "<x>", "0", "-1", "\t",
        ];
        head.extend(FIRST[self.random.below(FIRST.len())].bytes());
        for _ in 0..=self.random.below(6) {
            match self.random.below(4) {
                0 => head.extend(self.random.below(100_000).to_string().bytes()),
                1 => head.extend(
                    (0..=self.random.below(12)).map(|_| b' ' + u8::try_from(self.random.below(95)).unwrap_or(0)),
                ),
                _ => head.extend(WORDS[self.random.below(WORDS.len())].bytes()),
            }
            head.extend([b" ", "".as_bytes(), b":"][self.random.below(3)]);
        }
        head.extend([b"\r\n".as_slice(), b"\n", b"\0"][self.random.below(3)]);
    }

    /// A length of 1 to 4 bytes that counts itself or not, behind or before a byte for a type, and a body: zeros, small
    /// numbers, words with lengths, random bytes.
    fn frame(&mut self, head: &mut Vec<u8>) {
        let mut body = Vec::new();
        for _ in 0..self.random.below(20) {
            let most = if self.one_in(2) { 20 } else { 3000 };
            let number = self.random.below(most);
            match self.random.below(6) {
                0 => body.extend([0; 4]),
                1 => body.extend(&u32::try_from(number).unwrap_or(0).to_be_bytes()[self.random.below(4)..]),
                2 => body.extend(&u32::try_from(number).unwrap_or(0).to_le_bytes()[..1 + self.random.below(4)]),
                3 => {
                    let word = &b"topic-name.test_7"[..self.random.below(17)];
                    body.extend(&u32::try_from(word.len()).unwrap_or(0).to_be_bytes()[self.random.below(4)..]);
                    body.extend(word);
                }
                4 => body.extend(b"\x02name\0"),
                _ => body.extend(&self.word()[..self.random.below(8)]),
            }
        }
        let width = 1 + self.random.below(4);
        let own = if self.one_in(2) { width } else { 0 };
        let len = u32::try_from(body.len() + own).unwrap_or(0);
        if self.one_in(3) {
            head.push(u8::try_from(self.random.below(256)).unwrap_or(0));
        }
        if self.one_in(2) {
            head.extend(&len.to_be_bytes()[4 - width..]);
        } else {
            head.extend(&len.to_le_bytes()[..width]);
        }
        head.extend(body);
    }

    /// Both heads of a flow of another protocol, with bytes changed, dropped or put in.
    fn changed(&mut self) -> (Vec<u8>, Vec<u8>) {
        let traffic = self.others[self.random.below(self.others.len())];
        let (flow, from) = (self.random.below(traffic.flows), self.random.below(6));
        let (mut a, mut b) = traffic.heads(flow, from, LONGEST);
        for head in [&mut a, &mut b] {
            for _ in 0..1 + self.random.below(8) {
                if head.is_empty() {
                    break;
                }
                let most = if self.one_in(2) { head.len().min(24) } else { head.len() };
                let at = self.random.below(most);
                let byte = u8::try_from(self.random.below(256)).unwrap_or(0);
                match self.random.below(5) {
                    0 => drop(head.remove(at)),
                    1 => head.insert(at, byte),
                    2 => head[at] ^= 1 << (byte & 7),
                    3 => head[at] = byte & 15,
                    _ => head[at] = byte,
                }
            }
        }
        match self.random.below(4) {
            0 => (a, Vec::new()),
            1 => (b, a),
            _ => (a, b),
        }
    }

    fn word(&mut self) -> [u8; 8] {
        (self.random.below(usize::MAX) as u64).to_le_bytes()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.random.below(n) == 0
    }
}
