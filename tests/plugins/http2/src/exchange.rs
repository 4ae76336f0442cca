//! Exchanges: what is known of each open stream, and the messages that its frames make. A request begins and ends in
//! one direction, its response in the other, and neither waits for the other. A stream that the server promises is one
//! message of its own, unasked: request fields, response and body in one.

use std::collections::{BTreeMap, VecDeque};

use protap_plugin::prelude::*;

use self::emit::described;
use self::half::{Half, request_goes_on, request_part, response_headers, response_part};
use crate::block::Block;
use crate::flow::Cut;
use crate::hpack::Headers;
use crate::upgrade::Upgraded;
use crate::{ERROR, ERROR_CODE, names};

mod emit;
mod half;

/// Exchanges that are kept; the one of the oldest stream makes room.
const MAX_EXCHANGES: usize = 512;

/// Exchanges that are remembered for having ended: more than end in one call, before whose end the host still holds
/// their requests pending.
const MAX_ENDED: usize = 64;

const NOT_SEEN: &str = "its header block was not seen";

/// Where a frame, or what it belongs to, lies in its stream of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// A request and its response.
#[derive(Debug)]
struct Exchange {
    /// Which way the request goes.
    asked: Direction,
    /// Nobody asked: the server promised it.
    is_pushed: bool,
    request: Half,
    response: Half,
    is_grpc: bool,
    /// Whether it is gRPC is certain.
    is_kind_known: bool,
    status: Option<u16>,
    grpc_status: Option<u32>,
    /// Fields of the response were not told.
    has_unknown: bool,
    /// Why something of it was not decoded.
    flaw: Option<&'static str>,
    sent: u64,
    received: u64,
}

impl Exchange {
    fn new(asked: Direction) -> Self {
        Self {
            asked,
            is_pushed: false,
            request: Half::Idle,
            response: Half::Idle,
            is_grpc: false,
            is_kind_known: false,
            status: None,
            grpc_status: None,
            has_unknown: false,
            flaw: None,
            sent: 0,
            received: 0,
        }
    }

    fn is_done(&self) -> bool {
        self.request == Half::Done && self.response == Half::Done
    }
}

/// The open exchanges of a connection, by stream.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    open: BTreeMap<u32, Exchange>,
    /// The newest streams that were begun: of those with even numbers, which servers begin, and of those with odd ones.
    newest: [u32; 2],
    ended: VecDeque<u32>,
}

impl Exchanges {
    /// Bytes of that direction were lost. What was open in it has ended there.
    pub(crate) fn forget(&mut self, direction: Direction) {
        for exchange in self.open.values_mut() {
            let half = if exchange.asked == direction { &mut exchange.request } else { &mut exchange.response };
            if *half == Half::Open {
                *half = Half::Done;
            }
        }
        self.open.retain(|_, exchange| exchange.response != Half::Done);
    }

    /// A header block: a request's, a response's, or trailers.
    pub(crate) fn headers(&mut self, block: &Block, direction: Direction, output: &mut Output) {
        if block.promised != 0 {
            return self.promise(block, direction, output);
        }
        if let Some(exchange) = self.open.get_mut(&block.stream) {
            if exchange.asked == direction {
                request_goes_on(exchange, block, output);
            } else {
                response_headers(exchange, block, output);
            }
            self.close(block.stream);
            return;
        }
        if self.ended.contains(&block.stream) {
            // It was reset while this was on its way.
            return;
        }
        let is_vague = block.flaw.is_some() || block.headers.has_unknown;
        let is_new = direction == Direction::ToServer && self.is_new(block.stream);
        if block.headers.is_request() || is_vague && is_new {
            // The number of a stream is used once.
            if self.is_new(block.stream) {
                self.request(block, direction, output);
            }
        } else if block.headers.status.is_some() || self.is_pending(direction, block.stream) {
            let mut exchange = Exchange { request: Half::Done, ..Exchange::new(direction.opposite()) };
            if block.headers.status.is_none() && !is_vague {
                // Trailers: what they end was not seen.
                exchange.response = Half::Open;
                exchange.has_unknown = true;
            }
            if block.stream.is_multiple_of(2) {
                // A server's own stream, whose promise was not seen.
                (exchange.is_pushed, exchange.has_unknown) = (true, true);
            }
            response_headers(&mut exchange, block, output);
            self.keep(block.stream, exchange);
        }
    }

    /// A piece of a body.
    pub(crate) fn data(&mut self, cut: &Cut<'_>, output: &mut Output) {
        let (stream, is_end) = (cut.header.stream, cut.header.is_end_of_stream());
        let is_padding_cut = cut.header.is_padded() && cut.payload.is_empty();
        let padding = if cut.header.is_padded() { cut.payload.first().map_or(0, |len| u64::from(*len) + 1) } else { 0 };
        let size = u64::from(cut.header.length).saturating_sub(padding);
        let Some(exchange) = self.open.get_mut(&stream) else {
            if is_end && self.is_pending(cut.direction, stream) {
                let message = output.response(Status::Unknown).id(stream.into()).finish(stream);
                message.span(cut.span.start, cut.span.end).header_only(NOT_SEEN).emit();
            }
            return;
        };
        if is_padding_cut {
            // How much of it is body is not known.
            exchange.flaw = Some("padding cut");
        }
        if exchange.asked == cut.direction {
            if exchange.request == Half::Open {
                exchange.sent = exchange.sent.saturating_add(size);
                request_part(exchange, stream, (cut.span, is_end), output);
            }
        } else if exchange.response == Half::Open || exchange.response == Half::Idle && is_end {
            exchange.received = exchange.received.saturating_add(size);
            exchange.has_unknown |= exchange.response == Half::Idle;
            response_part(exchange, stream, (cut.span, is_end), output);
        }
        self.close(stream);
    }

    /// One end gives a stream up: who asked withdraws the request, who answers fails it.
    pub(crate) fn reset(&mut self, cut: &Cut<'_>, output: &mut Output) {
        let stream = cut.header.stream;
        let code = Reader::new(cut.payload).u32_be().ok();
        let exchange = self.open.remove(&stream);
        let asked = exchange.as_ref().map_or(Direction::ToServer, |exchange| exchange.asked);
        let response = exchange.as_ref().map_or(Half::Idle, |exchange| exchange.response);
        if asked == cut.direction {
            self.end(stream);
            if response != Half::Done && exchange.as_ref().is_none_or(|exchange| !exchange.is_pushed) {
                let message = output.message(Kind::Request).id(stream.into());
                message.cancel().span(cut.span.start, cut.span.end).emit();
            }
            return;
        }
        let is_expected = exchange.is_some() || self.is_pending(cut.direction, stream);
        self.end(stream);
        if response == Half::Done || !is_expected {
            return;
        }
        let is_pushed = exchange.as_ref().is_some_and(|exchange| exchange.is_pushed);
        let message = output.message(if is_pushed { Kind::OneWay } else { Kind::Response });
        let message = message.status(Status::ServerError).id(stream.into()).span(cut.span.start, cut.span.end);
        let message = if response == Half::Open { message.finish(stream) } else { message };
        match code {
            Some(code) => {
                let name = names::error(code);
                message.exception(name).str(ERROR, name).i64(ERROR_CODE, code).emit();
            }
            None => message.partial("cut").emit(),
        }
    }

    /// A request begins; if it has no body, it ends as well.
    fn request(&mut self, block: &Block, direction: Direction, output: &mut Output) {
        let mut exchange = Exchange::new(direction);
        exchange.is_grpc = block.headers.is_grpc;
        exchange.is_kind_known = block.flaw.is_none() && !block.headers.has_unknown;
        exchange.request = if block.is_end_of_stream { Half::Done } else { Half::Open };
        let message = output.message(Kind::Request).id(block.stream.into());
        let message = if block.is_end_of_stream { message } else { message.begin(block.stream) };
        described(message, block).emit();
        self.keep(block.stream, exchange);
    }

    /// The request of HTTP/1.1 with which the connection was upgraded is that of stream 1.
    pub(crate) fn upgraded(&mut self, request: &Upgraded<'_>, output: &mut Output) {
        let headers = Headers {
            method: Some(request.method.to_vec()),
            path: Some(request.path.to_vec()),
            authority: request.host.map(<[u8]>::to_vec),
            ..Headers::default()
        };
        let span = Span { start: 0, end: request.len as u64 };
        let block = Block { stream: 1, promised: 0, is_end_of_stream: true, span, headers, flaw: None };
        self.request(&block, Direction::ToServer, output);
    }

    /// The server begins, unasked, what a client could ask for.
    fn promise(&mut self, block: &Block, direction: Direction, output: &mut Output) {
        if !block.promised.is_multiple_of(2) || !self.is_new(block.promised) {
            return;
        }
        let mut exchange = Exchange::new(direction.opposite());
        exchange.is_pushed = true;
        exchange.is_kind_known = true;
        (exchange.request, exchange.response) = (Half::Done, Half::Open);
        let message = output.message(Kind::OneWay).id(block.promised.into()).begin(block.promised);
        described(message, block).bool(crate::IS_PUSHED, true).emit();
        self.keep(block.promised, exchange);
    }

    fn keep(&mut self, stream: u32, exchange: Exchange) {
        if let Some(newest) = self.newest.get_mut(parity(stream)) {
            *newest = stream.max(*newest);
        }
        if exchange.is_done() {
            return self.end(stream);
        }
        self.open.insert(stream, exchange);
        if self.open.len() > MAX_EXCHANGES
            && let Some((oldest, _)) = self.open.pop_first()
        {
            self.end(oldest);
        }
    }

    fn close(&mut self, stream: u32) {
        if self.open.get(&stream).is_some_and(Exchange::is_done) {
            self.open.remove(&stream);
            self.end(stream);
        }
    }

    /// Whether the stream may begin: numbers only grow.
    fn is_new(&self, stream: u32) -> bool {
        self.newest.get(parity(stream)).is_some_and(|newest| stream > *newest)
    }

    fn end(&mut self, stream: u32) {
        self.ended.push_back(stream);
        if self.ended.len() > MAX_ENDED {
            self.ended.pop_front();
        }
    }

    /// Whether the peer waits for an answer on a stream of which nothing is known here.
    fn is_pending(&self, direction: Direction, stream: u32) -> bool {
        direction == Direction::ToClient && !self.ended.contains(&stream) && host::pending(stream.into()).is_some()
    }
}

fn parity(stream: u32) -> usize {
    usize::from(!stream.is_multiple_of(2))
}
