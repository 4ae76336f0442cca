//! The two halves of an exchange: each begins, goes on and ends by the frames of its direction.

use protap_plugin::prelude::*;

use super::emit::{begun, concluded};
use super::{Exchange, Span};
use crate::block::Block;

/// How far one half of an exchange is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Half {
    /// Not begun.
    #[default]
    Idle,
    /// Begun.
    Open,
    /// Finished, or lost.
    Done,
}

/// Trailers of a request.
pub(super) fn request_goes_on(exchange: &mut Exchange, block: &Block, output: &mut Output) {
    if exchange.request == Half::Open {
        request_part(exchange, block.stream, (block.span, block.is_end_of_stream), output);
    }
}

pub(super) fn request_part(exchange: &mut Exchange, stream: u32, (span, is_end): (Span, bool), output: &mut Output) {
    let message = output.message(Kind::Request).id(stream.into()).span(span.start, span.end);
    let message = match exchange.flaw {
        Some(flaw) => message.partial(flaw),
        None => message,
    };
    if is_end {
        exchange.request = Half::Done;
        message.finish(stream).i64(crate::REQUEST_SIZE, exchange.sent.cast_signed()).emit();
    } else {
        message.amend(stream).emit();
    }
}

/// Headers of a response, provisional ones before them, or trailers.
pub(super) fn response_headers(exchange: &mut Exchange, block: &Block, output: &mut Output) {
    if exchange.response == Half::Done {
        return;
    }
    exchange.status = block.headers.status.or(exchange.status);
    exchange.is_grpc |= block.headers.is_grpc || block.headers.grpc_status.is_some();
    exchange.grpc_status = block.headers.grpc_status.or(exchange.grpc_status);
    exchange.has_unknown |= block.headers.has_unknown || block.flaw.is_some();
    if block.flaw.is_some() {
        exchange.flaw = block.flaw;
        // After a provisional one, it may have been the status.
        exchange.status = exchange.status.filter(|status| *status >= 200);
    }
    response_part(exchange, block.stream, (block.span, block.is_end_of_stream), output);
}

pub(super) fn response_part(exchange: &mut Exchange, stream: u32, (span, is_end): (Span, bool), output: &mut Output) {
    let kind = if exchange.is_pushed { Kind::OneWay } else { Kind::Response };
    let is_first = exchange.response == Half::Idle;
    exchange.response = if is_end { Half::Done } else { Half::Open };
    let message = output.message(kind).id(stream.into()).span(span.start, span.end);
    let message = if is_first && exchange.is_pushed { message.type_name("unknown") } else { message };
    match (is_first, is_end) {
        (true, true) => concluded(message, exchange).emit(),
        (false, true) => concluded(message.finish(stream), exchange).emit(),
        (true, false) => begun(message.begin(stream), exchange).emit(),
        (false, false) => begun(message.amend(stream), exchange).emit(),
    }
}
