//! What a reply tells, put into the answer.

use protap_plugin::prelude::*;

use crate::outcome::{Ending, SqlError};
use crate::packet::Head;
use crate::reply::LOOKED_AT;
use crate::{AFFECTED_ROWS, AUTH_METHOD, ERROR_TYPE, RETURNED_ROWS, STATUS_CODE, SYSTEM, SYSTEM_NAME};

/// What is known of a reply so far.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) status: Status,
    error: Option<SqlError>,
    affected_rows: u64,
    pub(crate) rows: Option<u64>,
    /// The packet that named a method of authentication.
    pub(crate) method: Option<Head<LOOKED_AT>>,
}

impl Told {
    /// A packet told how the command ended.
    pub(crate) fn end(&mut self, ending: Ending) {
        match ending {
            Ending::Ok { affected_rows, .. } => {
                self.affected_rows = self.affected_rows.saturating_add(affected_rows);
                self.status = Status::Ok;
            }
            Ending::Eof { .. } => self.status = Status::Ok,
            Ending::Error(error) => {
                self.status = error.status();
                self.error = Some(error);
            }
        }
    }
}

/// Emits the response.
pub(crate) fn emit(output: &mut Output, told: &Told, is_asked: bool) {
    let mut message = output.response(told.status);
    if !is_asked {
        message = message.str(SYSTEM, SYSTEM_NAME).partial("its request was not seen");
    }
    if let Some(error) = told.error {
        return fail(message, error).emit();
    }
    if let Some(rows) = told.rows {
        message = message.i64(RETURNED_ROWS, saturate(rows));
    }
    if told.affected_rows > 0 {
        message = message.i64(AFFECTED_ROWS, saturate(told.affected_rows));
    }
    if let Some(method) = &told.method {
        let name = method.bytes().get(1..).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
        message = message.str(AUTH_METHOD, name);
    }
    message.code(0).emit();
}

/// Says what the error is, without its text.
pub(crate) fn fail(message: MessageWriter<'_>, error: SqlError) -> MessageWriter<'_> {
    let message = message.code(error.number.into()).str(STATUS_CODE, error.number.to_string());
    match error.state {
        Some(state) => message.exception(state).str(ERROR_TYPE, state),
        None => message,
    }
}

fn saturate(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
