//! A request of any op code: what it asks for, and what its reply will look like.
//!
//! ```text
//! OP_UPDATE        i32 0; namespace; u32 flags; selector; update
//! OP_INSERT        u32 flags; namespace; documents
//! OP_QUERY         u32 flags; namespace; i32 to skip; i32 to return; query; [fields]
//! OP_GET_MORE      i32 0; namespace; i32 to return; i64 cursor id
//! OP_DELETE        i32 0; namespace; u32 flags; selector
//! OP_KILL_CURSORS  i32 0; i32 count; i64 cursor ids
//! OP_COMMAND       database; command name; the command and metadata, or the other way round; documents
//! OP_MSG (legacy)  a text, ended by 0
//! ```
//! A namespace is `database.collection`, ended by 0. A query to `database.$cmd` is a command.

use protap_plugin::{Source, Stop, Stream, Text, at_once, rare};

use crate::bson::MIN_DOCUMENT;
use crate::command::{Carried, Command, MAX_NAMESPACE, Namespace};
use crate::context::Context;
use crate::document::{self, Document};
use crate::header::OpCode;
use crate::message::Message;
use crate::op_msg::{self, Flags, Section};
use crate::query::Part;
use crate::settings::Settings;
use crate::verb::Verb;

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
    /// It asks a cursor that waits for documents.
    pub(crate) awaits_data: bool,
    /// Another query than a command: flags say how it is answered.
    query_flags: Option<u32>,
}

#[at_once]
impl Request {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { command: Command::new(settings.show), ..Self::default() }
    }

    /// Reads the message's body.
    pub(crate) async fn read(
        &mut self,
        message: &mut Message,
        stream: &Stream<impl Source>,
        settings: &Settings,
    ) -> Result<(), Stop> {
        match message.op_code {
            OpCode::Compressed => rare(self.compressed(message, stream, settings)).await,
            _ => self.body(message, stream).await,
        }
    }

    async fn compressed(
        &mut self,
        message: &mut Message,
        stream: &Stream<impl Source>,
        settings: &Settings,
    ) -> Result<(), Stop> {
        let Some(body) = message.decompress(stream, &settings.limits).await? else {
            return self.body(message, stream).await;
        };
        stream.nested(&body, message.limit, |body| self.body_now(message, body))
    }

    async fn body(&mut self, message: &mut Message, stream: &Stream<impl Source>) -> Result<(), Stop> {
        match message.op_code {
            OpCode::Msg => self.msg(message, stream).await,
            _ => rare(self.legacy(message, stream)).await,
        }
    }

    /// Reads the body of another message than an OP_MSG.
    async fn legacy(&mut self, message: &mut Message, stream: &Stream<impl Source>) -> Result<(), Stop> {
        let limit = message.limit;
        match message.op_code {
            OpCode::Query => self.query(stream, limit).await,
            OpCode::Insert => self.insert(stream, limit).await,
            OpCode::Update => self.update(stream, limit).await,
            OpCode::Delete => self.delete(stream, limit).await,
            OpCode::GetMore => self.get_more(stream).await,
            OpCode::KillCursors => self.kill_cursors(stream).await,
            OpCode::Command => self.command(stream, limit).await,
            OpCode::LegacyMsg => {
                self.operation = Some("msg");
                Ok(())
            }
            OpCode::Msg | OpCode::Compressed | OpCode::Reply | OpCode::CommandReply => {
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
            None => Context::of_command(&self.command),
        }
    }

    /// Whether anything beyond the header was read.
    pub(crate) fn is_known(&self) -> bool {
        self.command.name.is_some() || self.operation.is_some()
    }

    async fn msg(&mut self, message: &mut Message, stream: &Stream<impl Source>) -> Result<(), Stop> {
        let flags = Flags::new(stream.u32_le().await?);
        self.more_to_come = flags.more_to_come();
        let limit = if flags.are_plain() { message.limit } else { message.flagged(stream, flags).await? };
        let mut has_body = false;
        while let Some(section) = op_msg::next_section(stream, limit).await? {
            match section {
                Section::Body if has_body => return Err(Stop::Malformed("two bodies")),
                Section::Body => {
                    has_body = true;
                    self.command.read(stream, limit).await?;
                }
                Section::Sequence { end, carried } => self.sequence(stream, end, carried).await?,
            }
        }
        if has_body { Ok(()) } else { Err(Stop::Malformed("a message without a body")) }
    }

    async fn sequence(&mut self, stream: &Stream<impl Source>, end: u64, carried: Carried) -> Result<(), Stop> {
        while self.command.wants(carried) && stream.offset() < end {
            let item = Document::open(stream, end).await?;
            self.command.item(carried, item).await?;
            self.command.operations += u64::from(carried == Carried::Operations);
        }
        match carried {
            Carried::Documents | Carried::Operations => {
                self.command.operations += document::count_documents(stream, end).await?;
                Ok(())
            }
            Carried::Namespaces | Carried::Other => document::pass_to(stream, end).await,
        }
    }

    async fn query(&mut self, stream: &Stream<impl Source>, limit: u64) -> Result<(), Stop> {
        let flags = stream.u32_le().await?;
        let name = self.namespace(stream).await?;
        stream.skip(4).await?;
        let batch_size = stream.i32_le().await?;
        if !stream.with_texts(|texts| texts.get(name).ends_with(b".$cmd")) {
            self.operation = Some("query");
            self.query_flags = Some(flags);
            self.command.terms.batch_size = (batch_size != 0).then_some(batch_size.into());
            return self.part(stream, limit, Part::Query).await;
        }
        self.command.namespace.collection = None;
        self.command.read(stream, limit).await
    }

    async fn insert(&mut self, stream: &Stream<impl Source>, limit: u64) -> Result<(), Stop> {
        self.operation = Some("insert");
        stream.skip(4).await?;
        self.namespace(stream).await?;
        self.command.operations = document::count_documents(stream, limit).await?;
        Ok(())
    }

    async fn update(&mut self, stream: &Stream<impl Source>, limit: u64) -> Result<(), Stop> {
        self.operation = Some("update");
        stream.skip(4).await?;
        self.namespace(stream).await?;
        stream.skip(4).await?;
        self.part(stream, limit, Part::Q).await?;
        self.part(stream, limit, Part::U).await
    }

    async fn delete(&mut self, stream: &Stream<impl Source>, limit: u64) -> Result<(), Stop> {
        self.operation = Some("delete");
        stream.skip(4).await?;
        self.namespace(stream).await?;
        stream.skip(4).await?;
        self.part(stream, limit, Part::Q).await
    }

    async fn part(&mut self, stream: &Stream<impl Source>, limit: u64, part: Part) -> Result<(), Stop> {
        let shape = document::pass_with_shape(stream, limit, self.command.show()).await?;
        self.command.query.push(stream, part, shape);
        Ok(())
    }

    async fn command(&mut self, stream: &Stream<impl Source>, limit: u64) -> Result<(), Stop> {
        self.command.namespace.database = Some(stream.c_str(MAX_NAMESPACE as usize).await?);
        let name = stream.c_str(MAX_NAMESPACE as usize).await?;
        (self.command.name, self.operation) = (Some(name).filter(|name| !name.is_empty()), Some("command"));
        // Drafts and releases differ in which comes first. Metadata are no command of that name.
        if !begins_with(stream, name).await {
            Document::open(stream, limit).await?.pass().await?;
        }
        if begins_with(stream, name).await { self.command.read(stream, limit).await } else { Ok(()) }
    }

    async fn get_more(&mut self, stream: &Stream<impl Source>) -> Result<(), Stop> {
        self.operation = Some("getMore");
        self.query_flags = Some(0);
        self.command.verb = Verb::GetMore;
        stream.skip(4).await?;
        self.namespace(stream).await?;
        stream.skip(4).await?;
        self.command.cursor_id = Some(stream.i64_le().await?);
        Ok(())
    }

    async fn kill_cursors(&mut self, stream: &Stream<impl Source>) -> Result<(), Stop> {
        self.operation = Some("killCursors");
        stream.skip(4).await?;
        self.command.operations = stream.u32_le().await?.into();
        if self.command.operations > 0 {
            self.command.cursor_id = Some(stream.i64_le().await?);
        }
        Ok(())
    }

    async fn namespace(&mut self, stream: &Stream<impl Source>) -> Result<Text, Stop> {
        let name = stream.c_str(MAX_NAMESPACE as usize).await?;
        self.command.namespace = Namespace::split(stream, name);
        self.command.guard(stream);
        Ok(name)
    }
}

/// Whether the document that begins here has a first element of that name.
#[at_once]
async fn begins_with(stream: &Stream<impl Source>, name: Text) -> bool {
    let len = stream.with_texts(|texts| texts.get(name).len());
    let is_there = stream.available(MIN_DOCUMENT as usize + len + 1).await.is_ok();
    let begins = |bytes: &[u8]| {
        let first = bytes.get(MIN_DOCUMENT as usize..).and_then(|bytes| bytes.get(..len));
        stream.with_texts(|texts| first == Some(texts.get(name)))
    };
    is_there && stream.peek(begins)
}
