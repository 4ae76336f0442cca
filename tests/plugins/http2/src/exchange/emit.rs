//! What messages say: the fields of a request, and how a response ended.

use protap_plugin::prelude::*;

use super::{Exchange, NOT_SEEN};
use crate::block::Block;
use crate::names::{grpc_status, http_status};
use crate::{AUTHORITY, ERROR, GRPC_STATUS, HTTP_STATUS, METHOD, PATH, RESPONSE_SIZE, RPC_SYSTEM};

const TABLE_NOT_SEEN: &str = "header table not seen";

/// Fills in what is asked for: method, path without query, authority.
pub(super) fn described<'a>(message: MessageWriter<'a>, block: &Block) -> MessageWriter<'a> {
    let headers = &block.headers;
    let mut message = message.span(block.span.start, block.span.end);
    message = match &headers.method {
        Some(method) => message.type_name(method).str(METHOD, method),
        None => message.type_name("unknown"),
    };
    if let Some(path) = headers.path.as_deref().and_then(|path| path.split(|byte| *byte == b'?').next()) {
        message = message.resource(path).endpoint(path).str(PATH, path);
    }
    if let Some(authority) = &headers.authority {
        message = message.domain(authority).str(AUTHORITY, authority);
    }
    if headers.is_grpc {
        message = message.str(RPC_SYSTEM, "grpc");
    }
    match block.flaw {
        Some(flaw) => message.header_only(flaw),
        None if headers.has_unknown => message.partial(TABLE_NOT_SEEN),
        None => message,
    }
}

/// Fills in what is known of a response that goes on.
pub(super) fn begun<'a>(message: MessageWriter<'a>, exchange: &Exchange) -> MessageWriter<'a> {
    let message = match exchange.status {
        Some(status) => message.code(status.into()).i64(HTTP_STATUS, status),
        None => message,
    };
    match exchange.flaw {
        Some(flaw) => message.partial(flaw),
        None if is_incomplete(exchange) => message.partial(TABLE_NOT_SEEN),
        None => message,
    }
}

/// Fills in how a response ended.
pub(super) fn concluded<'a>(message: MessageWriter<'a>, exchange: &Exchange) -> MessageWriter<'a> {
    let mut message = begun(message, exchange).i64(RESPONSE_SIZE, exchange.received.cast_signed());
    let http = exchange.status.map_or(Status::Unknown, http_status);
    let is_failed = matches!(http, Status::ClientError | Status::ServerError);
    if exchange.is_grpc {
        message = message.str(RPC_SYSTEM, "grpc");
    }
    match exchange.grpc_status {
        Some(code) => {
            let (name, status) = grpc_status(code);
            message = message.status(status).code(code.into()).i64(GRPC_STATUS, code);
            if status == Status::Ok { message } else { message.exception(name).str(ERROR, name) }
        }
        // The status of gRPC is in its trailers, without which nobody knows it.
        None if exchange.is_grpc && !is_failed => message.partial(NOT_SEEN),
        None if !exchange.is_kind_known && exchange.has_unknown && !is_failed => message.partial(NOT_SEEN),
        None => message.status(http),
    }
}

/// Whether something that a record needs may be among the fields that were not told.
fn is_incomplete(exchange: &Exchange) -> bool {
    exchange.has_unknown && (exchange.status.is_none() || exchange.is_grpc || !exchange.is_kind_known)
}
