//! A request of any op code: what it asks for, and what its reply will look like.
//!
//! ```text
//! OP_UPDATE        i32 0; namespace; u32 flags; selector; update
//! OP_INSERT        u32 flags; namespace; documents
//! OP_QUERY         u32 flags; namespace; i32 to skip; i32 to return; query; [fields]
//! OP_GET_MORE      i32 0; namespace; i32 to return; i64 cursor id
//! OP_DELETE        i32 0; namespace; u32 flags; selector
//! OP_KILL_CURSORS  i32 0; i32 count; i64 cursor ids
//! ```
//! A namespace is `database.collection`, ended by 0. A query to `database.$cmd` is a command.

use protap_plugin::{Stop, Stream, Text};

use crate::command::{Command, MAX_NAMESPACE, Namespace, Verb};
use crate::compressed::Collected;
use crate::context::Context;
use crate::document::{count_documents, pass_to};
use crate::header::OpCode;
use crate::message::Message;
use crate::op_msg::{Flags, Section, next_section};

/// Flag of a query: all of the cursor is to be sent without being asked for.
const EXHAUST: u32 = 1 << 6;

/// What a request says.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) command: Command,
    /// Its name, where the op code tells.
    pub(crate) operation: Option<&'static str>,
    /// It says that it will not be answered.
    pub(crate) more_to_come: bool,
    /// Another query than a command: flags say how it is answered.
    query_flags: Option<u32>,
}

impl Request {
    /// Reads the message's body.
    pub(crate) async fn read(&mut self, message: &mut Message, collected: &Collected) -> Result<(), Stop> {
        message.decompress(collected).await?;
        let (stream, limit) = (&message.body, message.limit);
        match message.op_code {
            OpCode::Msg => self.msg(stream, limit).await,
            OpCode::Query => self.query(stream, limit).await,
            OpCode::Insert => self.insert(stream, limit).await,
            OpCode::Update => self.write(stream, "update").await,
            OpCode::Delete => self.write(stream, "delete").await,
            OpCode::GetMore => self.get_more(stream).await,
            OpCode::KillCursors => self.kill_cursors(stream).await,
            _ => {
                message.note.get_or_insert("op code not decoded");
                Ok(())
            }
        }
    }

    /// What its reply has to know.
    pub(crate) fn context(&self) -> Context {
        let verb = self.command.verb;
        match self.query_flags {
            _ if !self.is_known() => Context::default(),
            Some(flags) => Context::of_query(verb == Verb::GetMore, flags & EXHAUST != 0),
            None => Context::of_command(verb == Verb::BulkWrite, verb == Verb::GetMore),
        }
    }

    /// Whether anything beyond the header was read.
    pub(crate) fn is_known(&self) -> bool {
        self.command.name.is_some() || self.operation.is_some()
    }

    async fn msg(&mut self, stream: &Stream, limit: u64) -> Result<(), Stop> {
        let flags = Flags::new(stream.u32_le().await?);
        self.more_to_come = flags.more_to_come();
        if flags.are_unknown() {
            return Err(Stop::Malformed("unknown flag bits"));
        }
        let limit = limit.saturating_sub(flags.trailer());
        let mut has_body = false;
        while let Some(section) = next_section(stream, limit).await? {
            match section {
                Section::Body if has_body => return Err(Stop::Malformed("two bodies")),
                Section::Body => {
                    has_body = true;
                    self.command.read(stream, limit).await?;
                }
                Section::Sequence { end, carries_operations: true } => {
                    self.command.operations += count_documents(stream, end).await?;
                }
                Section::Sequence { end, .. } => pass_to(stream, end).await?,
            }
        }
        if has_body { Ok(()) } else { Err(Stop::Malformed("a message without a body")) }
    }

    async fn query(&mut self, stream: &Stream, limit: u64) -> Result<(), Stop> {
        let flags = stream.u32_le().await?;
        let name = self.namespace(stream).await?;
        stream.skip(8).await?;
        if !stream.with_texts(|texts| texts.get(name).ends_with(b".$cmd")) {
            self.operation = Some("query");
            self.query_flags = Some(flags);
            return Ok(());
        }
        self.command.namespace.collection = None;
        self.command.read(stream, limit).await
    }

    async fn insert(&mut self, stream: &Stream, limit: u64) -> Result<(), Stop> {
        self.operation = Some("insert");
        stream.skip(4).await?;
        self.namespace(stream).await?;
        self.command.operations = count_documents(stream, limit).await?;
        Ok(())
    }

    async fn write(&mut self, stream: &Stream, operation: &'static str) -> Result<(), Stop> {
        self.operation = Some(operation);
        stream.skip(4).await?;
        self.namespace(stream).await.map(|_| ())
    }

    async fn get_more(&mut self, stream: &Stream) -> Result<(), Stop> {
        self.operation = Some("getMore");
        self.query_flags = Some(0);
        self.command.verb = Verb::GetMore;
        stream.skip(4).await?;
        self.namespace(stream).await?;
        stream.skip(4).await?;
        self.command.cursor_id = Some(stream.i64_le().await?);
        Ok(())
    }

    async fn kill_cursors(&mut self, stream: &Stream) -> Result<(), Stop> {
        self.operation = Some("killCursors");
        stream.skip(4).await?;
        self.command.operations = stream.u32_le().await?.into();
        Ok(())
    }

    async fn namespace(&mut self, stream: &Stream) -> Result<Text, Stop> {
        let name = stream.c_str(MAX_NAMESPACE as usize).await?;
        self.command.namespace = Namespace::split(stream, name);
        Ok(name)
    }
}
