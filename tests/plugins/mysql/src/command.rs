//! What a client sends: its login, commands, and what belongs to an exchange that has begun (passwords, files).
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html>

use protap_plugin::prelude::*;

use crate::packet::{FULL, Head, Packet};
use crate::reply::Reply;
use crate::sql::{keyword, query_text};
use crate::{Flow, NAMESPACE, OPERATION, SYSTEM, SYSTEM_NAME, greeting};

/// Bytes of a command that are looked at: enough for a name of 64 characters, and for a keyword behind a comment.
const LOOKED_AT: usize = 260;

/// What a command's payload holds behind its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// So many bytes.
    Exactly(u64),
    /// So many bytes or more.
    AtLeast(u64),
    /// A name of a database.
    Name,
    /// SQL.
    Sql,
    /// SQL, perhaps behind attributes.
    Query,
}

/// A command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Command {
    code: u8,
    name: &'static str,
    pub(crate) shape: Shape,
    /// How it is answered; not at all, if `None`.
    reply: Option<Reply>,
}

const fn command(code: u8, name: &'static str, shape: Shape, reply: Option<Reply>) -> Command {
    Command { code, name, shape, reply }
}

const COMMANDS: &[Command] = &[
    command(0x01, "COM_QUIT", Shape::Exactly(0), None),
    command(0x02, "COM_INIT_DB", Shape::Name, Some(Reply::Outcome)),
    command(0x03, "COM_QUERY", Shape::Query, Some(Reply::Results)),
    command(0x04, "COM_FIELD_LIST", Shape::AtLeast(2), Some(Reply::Rows)),
    command(0x05, "COM_CREATE_DB", Shape::Name, Some(Reply::Outcome)),
    command(0x06, "COM_DROP_DB", Shape::Name, Some(Reply::Outcome)),
    command(0x07, "COM_REFRESH", Shape::Exactly(1), Some(Reply::Outcome)),
    command(0x08, "COM_SHUTDOWN", Shape::Exactly(1), Some(Reply::Outcome)),
    command(0x09, "COM_STATISTICS", Shape::Exactly(0), Some(Reply::Text)),
    command(0x0a, "COM_PROCESS_INFO", Shape::Exactly(0), Some(Reply::Results)),
    command(0x0c, "COM_PROCESS_KILL", Shape::Exactly(4), Some(Reply::Outcome)),
    command(0x0d, "COM_DEBUG", Shape::Exactly(0), Some(Reply::Outcome)),
    command(0x0e, "COM_PING", Shape::Exactly(0), Some(Reply::Outcome)),
    command(0x11, "COM_CHANGE_USER", Shape::AtLeast(3), Some(Reply::Login)),
    command(0x12, "COM_BINLOG_DUMP", Shape::AtLeast(10), Some(Reply::Endless)),
    command(0x15, "COM_REGISTER_SLAVE", Shape::AtLeast(17), Some(Reply::Outcome)),
    command(0x16, "COM_STMT_PREPARE", Shape::Sql, Some(Reply::Statement)),
    command(0x17, "COM_STMT_EXECUTE", Shape::AtLeast(9), Some(Reply::Results)),
    command(0x18, "COM_STMT_SEND_LONG_DATA", Shape::AtLeast(6), None),
    command(0x19, "COM_STMT_CLOSE", Shape::Exactly(4), None),
    command(0x1a, "COM_STMT_RESET", Shape::Exactly(4), Some(Reply::Outcome)),
    command(0x1b, "COM_SET_OPTION", Shape::Exactly(2), Some(Reply::Outcome)),
    command(0x1c, "COM_STMT_FETCH", Shape::Exactly(8), Some(Reply::Rows)),
    command(0x1e, "COM_BINLOG_DUMP_GTID", Shape::AtLeast(18), Some(Reply::Endless)),
    command(0x1f, "COM_RESET_CONNECTION", Shape::Exactly(0), Some(Reply::Outcome)),
    command(0xfa, "COM_STMT_BULK_EXECUTE", Shape::AtLeast(6), Some(Reply::Results)),
];

impl Command {
    /// The command with that code.
    pub(crate) fn of(code: u8) -> Option<Self> {
        COMMANDS.iter().copied().find(|command| command.code == code)
    }
}

/// Reads what a client sends at the beginning of a packet.
pub(crate) async fn read(stream: &Stream, flow: &Flow) -> Result<(), Stop> {
    let packet = Packet::begin(stream).await?;
    if flow.file.get().is_some_and(|before| packet.number == before.wrapping_add(1)) {
        // An empty packet ends the file.
        flow.file.set(Some(packet.number).filter(|_| packet.len > 0));
        return packet.pass(stream).await;
    }
    flow.file.set(None);
    match packet.number {
        0 => read_command(stream, packet).await,
        1 => greeting::read_login(stream, flow, packet).await,
        // The rest of a login: passwords, in whatever form.
        _ => packet.pass(stream).await,
    }
}

async fn read_command(stream: &Stream, packet: Packet) -> Result<(), Stop> {
    let head = packet.head::<LOOKED_AT>(stream).await?;
    let command = head.first().and_then(Command::of).ok_or(Stop::Malformed("no such command"))?;
    if packet.len < FULL {
        // Told at once; the rest passes by.
        stream.begin_frame(4 + packet.len)?;
    } else {
        packet.pass(stream).await?;
    }
    stream.emit(|output, _| emit(output, command, &head));
    if command.reply == Some(Reply::Endless) { Err(Stop::Opaque("replication")) } else { Ok(()) }
}

fn emit(output: &mut Output, command: Command, head: &Head<LOOKED_AT>) {
    let arguments = head.bytes().get(1..).unwrap_or_default();
    let text = match command.shape {
        Shape::Query => query_text(arguments),
        Shape::Sql => Some(arguments),
        _ => Some(&[][..]),
    };
    let word = text.and_then(keyword);
    let mut message = match command.reply {
        Some(reply) => output.request(command.name).context([reply.to_byte()]),
        None => output.one_way(command.name),
    };
    message = message.str(SYSTEM, SYSTEM_NAME);
    if let Some(word) = word {
        message = message.type_name(format!("{} {word}", command.name)).str(OPERATION, word);
    }
    if command.shape == Shape::Name {
        message = message.domain(arguments).str(NAMESPACE, arguments);
    }
    if text.is_none() {
        message = message.partial("query attributes are not decoded");
    }
    message.emit();
}
