//! Requests: an array of strings, or a line of words. The first names the command; of the others only those are
//! looked at that say what the response will be like, or where the keys are.
//!
//! ```text
//! *2\r\n$3\r\nGET\r\n$3\r\nkey\r\n      what clients send
//! GET key\r\n                           what people type
//! ```

use protap_plugin::{Source, Stop, Stream, Text, Texts, at_once};

use crate::command::{self, Command, Keys, Name, Verb};
use crate::pass::Pass;
use crate::read;
use crate::wire::{self, Size};

/// Arguments that are looked at: enough for the options of XREADGROUP in front of its keys.
const LOOKED_AT: usize = 12;
/// Longest argument that is kept to be looked at.
const MAX_WORD: u64 = 32;
/// Keys of one request that are emitted, if any, and bytes of each.
const MAX_KEYS: usize = 64;
const MAX_KEY: u64 = 256;
/// Longest inline request. Servers take 64 KiB, but nobody types that.
const MAX_LINE: usize = 4 << 10;

/// What a request says.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) name: Option<Name>,
    pub(crate) subcommand: Option<&'static str>,
    pub(crate) verb: Verb,
    spec: Option<Keys>,
    /// Arguments, the command's name included.
    pub(crate) count: u64,
    words: [Text; LOOKED_AT],
    pub(crate) keys: Vec<Text>,
}

#[at_once]
impl Request {
    /// Reads what comes next; `None` if it is nothing, as an empty line.
    pub(crate) async fn read(&mut self, stream: &Stream<impl Source>, wants_keys: bool) -> Result<Option<()>, Stop> {
        stream.available(1).await?;
        if stream.peek(|bytes| bytes.first() != Some(&b'*')) {
            return self.line(stream, wants_keys).await;
        }
        let head = read::head(stream).await?;
        match head.size {
            Size::Items(0) => Ok(None),
            Size::Line => Ok(None),
            Size::Items(count) => {
                self.count = count;
                self.arguments(stream, wants_keys).await.map(Some)
            }
            _ => Err(Stop::Malformed("a request without a number of arguments")),
        }
    }

    async fn arguments(&mut self, stream: &Stream<impl Source>, wants_keys: bool) -> Result<(), Stop> {
        let len = read::string(stream).await?;
        let mut name = None;
        if let Some(len) = usize::try_from(len).ok().filter(|len| *len <= command::MAX_NAME) {
            stream.available(len).await?;
            name = stream.peek(|bytes| bytes.get(..len).and_then(Name::of));
        }
        stream.skip(len).await?;
        read::end_of_string(stream).await?;
        self.called(name);
        let has_words = name.and_then(|name| name.command()).is_some_and(Command::has_words);
        for index in 1..self.count {
            let wants_more = wants_keys && self.keys.len() < MAX_KEYS;
            if index >= LOOKED_AT as u64 && !wants_more {
                return Pass::over(self.count - index).run(stream).await;
            }
            let len = read::string(stream).await?;
            let is_key = wants_more && stream.with_texts(|texts| self.is_key(index, texts));
            let kept = match () {
                () if is_key => len.min(MAX_KEY),
                () if has_words && index < LOOKED_AT as u64 && len <= MAX_WORD => len,
                () => 0,
            };
            let text = read::beginning(stream, kept).await?;
            stream.skip(len - kept).await?;
            read::end_of_string(stream).await?;
            if kept > 0 {
                self.argument(stream, index, text, is_key);
            }
        }
        Ok(())
    }

    async fn line(&mut self, stream: &Stream<impl Source>, wants_keys: bool) -> Result<Option<()>, Stop> {
        let line = stream.text_until(b'\n', MAX_LINE).await?;
        let mut words = stream.with_texts(|texts| words(texts.get(line)))?.into_iter();
        self.count = words.len() as u64;
        for index in 0..self.count {
            let Some((start, end)) = words.next() else { break };
            let word = line.part(start..end);
            if index == 0 {
                self.called(stream.with_texts(|texts| Name::of(texts.get(word))));
                continue;
            }
            let wants_more = wants_keys && self.keys.len() < MAX_KEYS;
            let is_key = wants_more && stream.with_texts(|texts| self.is_key(index, texts));
            self.argument(stream, index, word, is_key);
        }
        match (self.count, self.name) {
            (0, _) => Ok(None),
            (_, None) => Err(Stop::Malformed("neither an array nor a line that names a command")),
            _ => Ok(Some(())),
        }
    }
}

impl Request {
    /// Takes the command's name.
    fn called(&mut self, name: Option<Name>) {
        let command = name.and_then(|name| name.command());
        self.verb = command.map_or(Verb::Plain, |command| command.verb);
        self.spec = command.map(|command| command.keys);
        self.name = name;
    }

    /// Takes another argument as far as it was kept.
    fn argument(&mut self, stream: &Stream<impl Source>, index: u64, text: Text, is_key: bool) {
        if is_key {
            self.keys.push(text);
        }
        if let Some(word) = usize::try_from(index).ok().and_then(|index| self.words.get_mut(index)) {
            *word = text;
        }
        if let (1, Some(Name::Known(command))) = (index, &self.name) {
            let is_said = |known: &&&str| stream.with_texts(|texts| self.says(1, known, texts));
            self.subcommand = command.subcommands.iter().find(is_said).copied();
            if let Some(subcommand) = self.subcommand {
                self.spec = Some(command::subcommand_keys(command.name, subcommand));
            }
        }
    }

    /// The nth argument, if it is short.
    pub(crate) fn word<'a>(&self, index: usize, texts: Texts<'a>) -> &'a [u8] {
        self.words.get(index).map_or(&[], |text| texts.get(*text))
    }

    /// Whether the nth argument is that word.
    pub(crate) fn says(&self, index: usize, word: &str, texts: Texts<'_>) -> bool {
        self.word(index, texts).eq_ignore_ascii_case(word.as_bytes())
    }

    /// Number of keys, and whether they are channels; `None` if the command is not known.
    pub(crate) fn key_count(&self, texts: Texts<'_>) -> Option<(u64, bool)> {
        let (first, last, step) = self.key_range(texts)?;
        let count = if first > last { 0 } else { (last - first) / step + 1 };
        let extra = u64::from(self.spec == Some(Keys::Stored) && self.count > 1);
        Some((count + extra, matches!(self.spec, Some(Keys::Channels | Keys::Channel))))
    }

    /// Where STREAMS stands, and whether BLOCK does before it.
    pub(crate) fn streams(&self, texts: Texts<'_>) -> (Option<u64>, bool) {
        // In front of them, XREADGROUP has two names of the user's.
        let from = if self.says(1, "GROUP", texts) { 4 } else { 1 };
        let mut is_blocking = false;
        for index in from..LOOKED_AT {
            if self.says(index, "STREAMS", texts) {
                return (Some(index as u64), is_blocking);
            }
            is_blocking |= self.says(index, "BLOCK", texts);
        }
        (None, is_blocking)
    }

    fn is_key(&self, index: u64, texts: Texts<'_>) -> bool {
        let in_range = self
            .key_range(texts)
            .is_some_and(|(first, last, step)| (first..=last).contains(&index) && (index - first).is_multiple_of(step));
        in_range || self.spec == Some(Keys::Stored) && index == 1
    }

    /// First and last of the arguments that are keys, and the step from one to the next.
    fn key_range(&self, texts: Texts<'_>) -> Option<(u64, u64, u64)> {
        let end = self.count.saturating_sub(1);
        let counted = |at: u64| {
            let number = usize::try_from(at).ok().and_then(|at| wire::number(self.word(at, texts))).unwrap_or(0);
            (at + 1, at.saturating_add(number).min(end), 1)
        };
        Some(match self.spec? {
            Keys::None => (1, 0, 1),
            Keys::Range(first, last, step) => {
                let back = u64::from(last.unsigned_abs());
                let last = if last < 0 { self.count.saturating_sub(back) } else { back };
                (first, last.min(end), step)
            }
            Keys::Counted(at) => counted(at),
            Keys::Stored => counted(2),
            Keys::Streams => match self.streams(texts).0 {
                Some(at) => (at + 1, at + end.saturating_sub(at) / 2, 1),
                None => (1, 0, 1),
            },
            Keys::Channels => (1, end, 1),
            Keys::Channel => (1, end.min(1), 1),
        })
    }
}

/// The words of a line, which may be quoted.
fn words(line: &[u8]) -> Result<Vec<(usize, usize)>, Stop> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(begin) = line.get(at..).and_then(|rest| rest.iter().position(|byte| !byte.is_ascii_whitespace())) {
        let start = at + begin;
        let rest = line.get(start..).unwrap_or_default();
        if !rest.iter().all(|byte| byte.is_ascii_whitespace() || *byte >= b' ') {
            return Err(Stop::Malformed("not a line of text"));
        }
        let (from, len) = match rest {
            [quote @ (b'"' | b'\''), quoted @ ..] => {
                (1, closing(quoted, *quote).ok_or(Stop::Malformed("a quote without an end"))?)
            }
            _ => (0, rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len())),
        };
        words.push((start + from, start + from + len));
        at = start + from + len + from;
    }
    Ok(words)
}

/// Where a quoted word ends.
fn closing(quoted: &[u8], quote: u8) -> Option<usize> {
    let mut is_escaped = false;
    quoted.iter().position(|byte| {
        let closes = *byte == quote && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        closes
    })
}
