//! Header blocks: put together from HEADERS or PUSH_PROMISE and the CONTINUATIONs behind it, and decoded with the table
//! of their direction. A block that is not decoded leaves the table unknown, since it may have added to it.

use std::mem;

use crate::exchange::Span;
use crate::flow::Cut;
use crate::frame::{CONTINUATION, FrameHeader};
use crate::hpack::{self, Headers};
use crate::table::Table;

/// Longest block that is put together from several frames, in bytes.
const MAX_BLOCK: usize = 32 << 10;

/// A block with what it says.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) stream: u32,
    /// The stream that is promised, if it is a PUSH_PROMISE's; else 0.
    pub(crate) promised: u32,
    pub(crate) is_end_of_stream: bool,
    pub(crate) span: Span,
    pub(crate) headers: Headers,
    /// Why it was not decoded.
    pub(crate) flaw: Option<&'static str>,
}

/// A block of which more is to come.
#[derive(Debug)]
struct Unfinished {
    stream: u32,
    promised: u32,
    is_end_of_stream: bool,
    span: Span,
    fragments: Vec<u8>,
    flaw: Option<&'static str>,
}

/// What is kept of a direction.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    table: Table,
    unfinished: Option<Unfinished>,
}

impl Lane {
    /// Bytes were lost.
    pub(crate) fn forget(&mut self) {
        self.table.forget();
        self.unfinished = None;
    }

    /// Nothing but its continuation may follow the first part of a block.
    pub(crate) fn may_follow(&self, header: FrameHeader) -> bool {
        match &self.unfinished {
            Some(unfinished) => header.kind == CONTINUATION && header.stream == unfinished.stream,
            None => true,
        }
    }

    /// Takes the next frame of a block; gives the block once it is whole.
    pub(crate) fn take(&mut self, cut: &Cut<'_>) -> Option<Block> {
        let header = cut.header;
        let is_whole = cut.payload.len() as u64 == u64::from(header.length);
        let (fragment, promised) = header.fragment(cut.payload).filter(|_| is_whole).unwrap_or_default();
        let flaw = if !is_whole {
            Some("header block cut")
        } else if header.fragment(cut.payload).is_none() {
            Some("malformed")
        } else {
            None
        };
        if header.kind == CONTINUATION {
            let Some(unfinished) = &mut self.unfinished else {
                // The middle of a block whose beginning was lost.
                self.table.forget();
                return None;
            };
            unfinished.span.end = cut.span.end;
            unfinished.add(fragment, flaw);
            if !header.is_end_of_headers() {
                return None;
            }
            return self.unfinished.take().map(|mut unfinished| {
                let fragments = mem::take(&mut unfinished.fragments);
                self.decode(unfinished, &fragments)
            });
        }
        let mut unfinished = Unfinished {
            stream: header.stream,
            promised,
            is_end_of_stream: header.is_end_of_stream(),
            span: cut.span,
            fragments: Vec::new(),
            flaw,
        };
        if header.is_end_of_headers() {
            return Some(self.decode(unfinished, fragment));
        }
        unfinished.add(fragment, None);
        self.unfinished = Some(unfinished);
        None
    }

    fn decode(&mut self, unfinished: Unfinished, fragments: &[u8]) -> Block {
        let headers = match unfinished.flaw {
            None => hpack::decode(&mut self.table, fragments),
            Some(_) => {
                self.table.forget();
                Headers::default()
            }
        };
        let flaw = unfinished.flaw.or(headers.is_malformed.then_some("malformed header block"));
        let Unfinished { stream, promised, is_end_of_stream, span, .. } = unfinished;
        Block { stream, promised, is_end_of_stream, span, headers, flaw }
    }
}

impl Unfinished {
    fn add(&mut self, fragment: &[u8], flaw: Option<&'static str>) {
        self.flaw = self.flaw.or(flaw);
        if self.fragments.len() + fragment.len() > MAX_BLOCK {
            self.flaw = self.flaw.or(Some("header block too long"));
            self.fragments = Vec::new();
        }
        if self.flaw.is_none() {
            self.fragments.extend_from_slice(fragment);
        }
    }
}
