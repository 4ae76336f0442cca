//! Names of error codes and of gRPC's status codes, and whose fault each is.

use protap_plugin::Status;

/// How a response ended by its HTTP status.
pub(crate) fn http_status(code: u16) -> Status {
    match code {
        100..=399 => Status::Ok,
        400..=499 => Status::ClientError,
        500..=599 => Status::ServerError,
        _ => Status::Unknown,
    }
}

/// gRPC's status code: its name, and how that ended. Which ones are the server's fault is as OpenTelemetry has it.
/// <https://grpc.io/docs/guides/status-codes/>
pub(crate) fn grpc_status(code: u32) -> (&'static str, Status) {
    let known = usize::try_from(code).ok().and_then(|at| GRPC.get(at));
    known.copied().unwrap_or(("unknown status code", Status::Unknown))
}

const GRPC: [(&str, Status); 17] = [
    ("OK", Status::Ok),
    ("CANCELLED", Status::ClientError),
    ("UNKNOWN", Status::ServerError),
    ("INVALID_ARGUMENT", Status::ClientError),
    ("DEADLINE_EXCEEDED", Status::Timeout),
    ("NOT_FOUND", Status::ClientError),
    ("ALREADY_EXISTS", Status::ClientError),
    ("PERMISSION_DENIED", Status::ClientError),
    ("RESOURCE_EXHAUSTED", Status::ClientError),
    ("FAILED_PRECONDITION", Status::ClientError),
    ("ABORTED", Status::ClientError),
    ("OUT_OF_RANGE", Status::ClientError),
    ("UNIMPLEMENTED", Status::ServerError),
    ("INTERNAL", Status::ServerError),
    ("UNAVAILABLE", Status::ServerError),
    ("DATA_LOSS", Status::ServerError),
    ("UNAUTHENTICATED", Status::ClientError),
];

/// Error codes of RST_STREAM and GOAWAY. <https://www.rfc-editor.org/rfc/rfc9113#section-7>
pub(crate) fn error(code: u32) -> &'static str {
    usize::try_from(code).ok().and_then(|at| ERRORS.get(at)).copied().unwrap_or("unknown error code")
}

/// Whether the error code is one of the standard's.
pub(crate) fn is_error(code: u32) -> bool {
    (code as usize) < ERRORS.len()
}

const ERRORS: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];
