//! Lines: words between single spaces, ended by `\r\n` or `\n`. A line may be long (a `get` of a thousand keys), so
//! only its beginning is kept.

use protap_plugin::prelude::*;

/// Bytes of a line that are kept: enough for any line but a `get` of many keys.
const KEPT: usize = 2 << 10;
/// Longest line, in bytes.
const MAX_LINE: u64 = 1 << 20;

/// A line, as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Line {
    head: Vec<u8>,
    /// Its length, with its end.
    pub(crate) len: u64,
    /// Number of its words.
    pub(crate) word_count: u64,
    /// Whether its end was seen.
    pub(crate) is_ended: bool,
    is_in_word: bool,
}

impl Line {
    /// Reads a line from the stream.
    pub(crate) async fn read(stream: &Stream) -> Result<Self, Stop> {
        let mut line = Self::default();
        while !line.is_ended {
            stream.available(1).await?;
            let before = line.len;
            stream.peek(|bytes| line.push(bytes)).ok_or(Stop::Malformed("not a line of text"))?;
            stream.skip(line.len - before).await?;
        }
        Ok(line)
    }

    /// The line that `bytes` begin with, perhaps not to its end; `None` if it is not text.
    pub(crate) fn front(bytes: &[u8]) -> Option<Self> {
        let mut line = Self::default();
        line.push(bytes)?;
        Some(line)
    }

    /// The words that are kept.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        let text = std::str::from_utf8(&self.head).unwrap_or_default();
        text.split(' ').filter(|word| !word.is_empty())
    }

    /// The nth word, the command being word 0.
    pub(crate) fn word(&self, n: usize) -> &str {
        self.words().nth(n).unwrap_or_default()
    }

    /// The first word, without looking at the others.
    fn first(&self) -> &str {
        let end = self.head.iter().position(|byte| *byte == b' ').unwrap_or(self.head.len());
        self.head.get(..end).and_then(|word| std::str::from_utf8(word).ok()).unwrap_or_default()
    }

    /// The nth word as a number.
    pub(crate) fn number(&self, n: usize) -> Option<u64> {
        self.word(n).parse().ok()
    }

    /// Whether the beginning of the line may become `word`, or is it.
    pub(crate) fn begins_with(&self, word: &str) -> bool {
        if self.head.first() != word.as_bytes().first() {
            return false;
        }
        let first = self.first();
        first == word || !self.is_ended && self.word_count <= 1 && self.is_in_word && word.starts_with(first)
    }

    /// Takes bytes up to the line's end; `None` if they are not text.
    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        for byte in bytes {
            self.len += 1;
            match byte {
                b'\n' => {
                    self.is_ended = true;
                    return Some(());
                }
                b'\r' => continue,
                b' ' => self.is_in_word = false,
                0x21..=0x7e | 0x80.. => {
                    self.word_count += u64::from(!self.is_in_word);
                    self.is_in_word = true;
                }
                _ => return None,
            }
            if self.head.len() < KEPT {
                self.head.push(*byte);
            }
        }
        (self.len < MAX_LINE).then_some(())
    }
}
