//! A message, from its header to its last record.
//!
//! ```text
//! id 2; flags 2; questions 2; answers 2; authorities 2; additionals 2
//! question: name; type 2; class 2           flags: QR 1, opcode 4, AA 1, TC 1, RD 1, RA 1, Z 1, AD 1, CD 1, RCODE 4
//! record:   name; type 2; class 2; TTL 4; length 2; data
//! ```
//! <https://www.rfc-editor.org/rfc/rfc1035#section-4>, and of EDNS <https://www.rfc-editor.org/rfc/rfc6891#section-6>

use protap_plugin::{ReadError, Reader};

use crate::codes::{OPT, SOA};
use crate::name;

/// Bytes of the header.
pub(crate) const HEADER: usize = 12;
/// Least bytes of a record: an empty name, and what has a fixed length.
pub(crate) const MIN_RECORD: usize = 11;

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: u16,
    flags: u16,
    pub(crate) questions: u16,
    pub(crate) answers: u16,
    pub(crate) authorities: u16,
    pub(crate) additionals: u16,
}

impl Header {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, ReadError> {
        let mut reader = Reader::new(bytes);
        Ok(Self {
            id: reader.u16_be()?,
            flags: reader.u16_be()?,
            questions: reader.u16_be()?,
            answers: reader.u16_be()?,
            authorities: reader.u16_be()?,
            additionals: reader.u16_be()?,
        })
    }

    pub(crate) fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    pub(crate) fn opcode(&self) -> u8 {
        (self.flags >> 11 & 0xf) as u8
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }

    /// Recursion available: said by servers only.
    pub(crate) fn has_recursion(&self) -> bool {
        self.flags & 0x0080 != 0
    }

    /// The bit that must be zero.
    pub(crate) fn has_reserved(&self) -> bool {
        self.flags & 0x0040 != 0
    }

    /// The lower four bits of the response code.
    pub(crate) fn code(&self) -> u16 {
        self.flags & 0xf
    }

    fn records(&self) -> usize {
        [self.answers, self.authorities, self.additionals].into_iter().map(usize::from).sum()
    }
}

/// Whether the message that begins with these bytes is a response.
pub(crate) fn is_response(message: &[u8]) -> bool {
    message.get(2).is_some_and(|flags| flags & 0x80 != 0)
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u16,
    pub(crate) class: u16,
}

/// What EDNS adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edns {
    pub(crate) udp_size: u16,
    /// The upper eight bits of the response code.
    code: u8,
    pub(crate) is_dnssec_ok: bool,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) header: Header,
    pub(crate) question: Option<Question>,
    pub(crate) edns: Option<Edns>,
    /// Whether the first and the last answer are what zones begin and end with.
    pub(crate) begins_zone: bool,
    pub(crate) ends_zone: bool,
    /// Where the last record ends, if all could be read.
    pub(crate) end: Option<usize>,
    /// Why not all was read.
    pub(crate) reason: Option<&'static str>,
}

impl Message {
    /// Reads a message. If it `is_cut`, its last bytes are missing.
    pub(crate) fn decode(bytes: &[u8], is_cut: bool) -> Result<Self, &'static str> {
        let header = Header::decode(bytes).map_err(|_| "shorter than a header")?;
        let mut message = Self {
            header,
            question: None,
            edns: None,
            begins_zone: false,
            ends_zone: false,
            end: None,
            reason: is_cut.then_some("bytes lost"),
        };
        let mut at = HEADER;
        for index in 0..header.questions {
            match question(bytes, at) {
                Some((question, next)) => {
                    at = next;
                    message.question.get_or_insert(question);
                }
                None if is_cut => return Ok(message),
                None if index == 0 => return Err("a question that cannot be read"),
                None => {
                    message.reason = Some("a question that cannot be read");
                    return Ok(message);
                }
            }
        }
        message.end = message.read_records(bytes, at);
        if message.end.is_none() {
            message.reason.get_or_insert("a record that cannot be read");
        }
        Ok(message)
    }

    /// The response code, with what EDNS adds to it.
    pub(crate) fn code(&self) -> u16 {
        self.edns.map_or(0, |edns| u16::from(edns.code)) << 4 | self.header.code()
    }

    fn read_records(&mut self, bytes: &[u8], mut at: usize) -> Option<usize> {
        let answers = usize::from(self.header.answers);
        for index in 0..self.header.records() {
            let record = record(bytes, at)?;
            at = record.end;
            if record.kind == OPT && index >= answers {
                self.edns = Some(record.edns());
            }
            if index < answers {
                self.begins_zone |= index == 0 && record.kind == SOA;
                self.ends_zone = record.kind == SOA;
            }
        }
        Some(at)
    }
}

struct Record {
    kind: u16,
    class: u16,
    ttl: u32,
    end: usize,
}

impl Record {
    /// EDNS uses class and TTL for other things.
    fn edns(&self) -> Edns {
        let [code, _version, flags, _] = self.ttl.to_be_bytes();
        Edns { udp_size: self.class, code, is_dnssec_ok: flags & 0x80 != 0 }
    }
}

fn question(bytes: &[u8], at: usize) -> Option<(Question, usize)> {
    let (name, at) = name::read(bytes, at)?;
    let mut reader = Reader::new(bytes.get(at..)?);
    let question = Question { name, kind: reader.u16_be().ok()?, class: reader.u16_be().ok()? };
    Some((question, at + reader.offset()))
}

fn record(bytes: &[u8], at: usize) -> Option<Record> {
    let at = name::skip(bytes, at)?;
    let mut reader = Reader::new(bytes.get(at..)?);
    let (kind, class) = (reader.u16_be().ok()?, reader.u16_be().ok()?);
    let ttl = reader.u32_be().ok()?;
    let len = reader.u16_be().ok()?;
    reader.skip(len.into()).ok()?;
    Some(Record { kind, class, ttl, end: at + reader.offset() })
}
