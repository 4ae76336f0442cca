//! protap plugin: the client/server protocol of MySQL and MariaDB. It proves a shape of the contract: the server
//! speaks first, the flow may turn to TLS, replies have no length and no id, and what they look like depends on what was
//! asked.
//!
//! Commands become requests, paired in order; SQL belongs to the user, so that all that is told of it is its first
//! keyword. Passwords, names of users, values and error texts are passed over, never emitted.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::rc::Rc;

use protap_plugin::prelude::*;

mod command;
mod front;
mod greeting;
mod outcome;
mod packet;
mod reply;
mod sql;
mod told;

attributes! {
    SCHEMA;
    SYSTEM: str = "db.system.name",
    NAMESPACE: str = "db.namespace",
    OPERATION: str = "db.operation.name",
    STATUS_CODE: str = "db.response.status_code",
    ERROR_TYPE: str = "error.type",
    RETURNED_ROWS: i64 = "db.response.returned_rows",
    AFFECTED_ROWS: i64 = "mysql.affected_rows",
    AUTH_METHOD: str = "mysql.auth_method",
}

/// The value of `db.system.name`.
const SYSTEM_NAME: &str = "mysql";

/// The parser.
#[derive(Debug, Default)]
pub struct Mysql;

/// What both directions agreed on at login, and what the client was told to send. Where it is lost, replies are read by
/// what they look like.
#[derive(Debug, Default)]
pub struct Flow {
    /// Capabilities of the server.
    server: Cell<Option<u32>>,
    /// Capabilities of the client.
    client: Cell<Option<u32>>,
    /// Whether definitions end with an EOF packet, as the latest result set showed.
    eof_seen: Cell<Option<bool>>,
    /// The client sends a file: number of the packet before its next one.
    file: Cell<Option<u8>>,
}

impl Flow {
    /// Whether both ends are capable of that; `None` if the login was not seen.
    fn agreed(&self, capability: u32) -> Option<bool> {
        let client = self.client.get()? & capability != 0;
        Some(client && self.server.get().is_none_or(|server| server & capability != 0))
    }

    /// Whether an EOF packet ends definitions; `None` if that cannot be known yet.
    fn has_eof(&self) -> Option<bool> {
        self.agreed(greeting::DEPRECATE_EOF).map(|is_deprecated| !is_deprecated).or(self.eof_seen.get())
    }
}

impl Sequential for Mysql {
    const MANIFEST: Manifest =
        Manifest::new("mysql", env!("CARGO_PKG_VERSION")).ports(&[3306]).attributes(SCHEMA).decodes(&[
            "greeting, login, change of user; after a switch to TLS the flow is handed over",
            "commands and their outcome; of SQL the first keyword",
            "result sets, prepared statements, LOCAL INFILE, packets of 16 MB and more",
        ]);
    type Flow = Flow;

    fn probe(&self, heads: &Heads<'_>) -> Verdict {
        front::probe(heads)
    }

    async fn message(_plugin: Rc<Self>, flow: Rc<Flow>, stream: Stream) -> Result<(), Stop> {
        match stream.direction() {
            Direction::ToServer => command::read(&stream, &flow).await,
            Direction::ToClient => reply::read(&stream, &flow).await,
        }
    }

    fn frame(&self, direction: Direction, bytes: &[u8]) -> Frame {
        front::frame(direction, bytes)
    }
}

export!(Mysql as Sequential);
