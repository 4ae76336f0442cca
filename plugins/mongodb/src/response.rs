//! A response of any op code: a command's reply, or an OP_REPLY with the user's documents.
//!
//! ```text
//! OP_REPLY         u32 flags: 0 cursor not found, 1 query failure; i64 cursor id; i32 starting from; i32 number; documents
//! OP_COMMANDREPLY  the reply and metadata, or the other way round; documents
//! ```

use protap_plugin::{Source, Stop, Stream, at_once, rare};

use crate::context::Context;
use crate::document;
use crate::header::OpCode;
use crate::message::Message;
use crate::op_msg::{self, Flags, Section};
use crate::reply::Reply;
use crate::settings::Settings;

const CURSOR_NOT_FOUND_FLAG: u32 = 1;
const QUERY_FAILURE: u32 = 1 << 1;
/// Error code of a cursor that is not there.
const CURSOR_NOT_FOUND: i64 = 43;

/// What a response says.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) reply: Reply,
    /// Another one follows it.
    pub(crate) more_to_come: bool,
}

#[at_once]
impl Response {
    /// Reads the message's body.
    pub(crate) async fn read(
        &mut self,
        message: &mut Message,
        stream: &Stream<impl Source>,
        settings: &Settings,
        context: Context,
    ) -> Result<(), Stop> {
        match message.op_code {
            OpCode::Compressed => rare(self.compressed(message, stream, settings, context)).await,
            _ => self.body(message, stream, context).await,
        }
    }

    async fn compressed(
        &mut self,
        message: &mut Message,
        stream: &Stream<impl Source>,
        settings: &Settings,
        context: Context,
    ) -> Result<(), Stop> {
        let Some(body) = message.decompress(stream, &settings.limits).await? else {
            return self.body(message, stream, context).await;
        };
        stream.nested(&body, message.limit, |body| self.body_now(message, body, context))
    }

    async fn body(
        &mut self,
        message: &mut Message,
        stream: &Stream<impl Source>,
        context: Context,
    ) -> Result<(), Stop> {
        match message.op_code {
            OpCode::Msg => self.msg(message, stream, context).await,
            _ => rare(self.legacy(message, stream, context)).await,
        }
    }

    /// Reads the body of another message than an OP_MSG.
    async fn legacy(
        &mut self,
        message: &mut Message,
        stream: &Stream<impl Source>,
        context: Context,
    ) -> Result<(), Stop> {
        let limit = message.limit;
        match message.op_code {
            // Without its request, a command's reply and a user's document look the same.
            OpCode::Reply if !context.is_known() => {
                message.note = Some("request not known");
                Ok(())
            }
            OpCode::Reply => self.op_reply(stream, limit, context).await,
            OpCode::CommandReply => {
                self.reply.read(stream, limit, context).await?;
                if self.reply.ok.is_none() { self.reply.read(stream, limit, context).await } else { Ok(()) }
            }
            _ => {
                message.note.get_or_insert("op code not decoded");
                Ok(())
            }
        }
    }

    async fn msg(&mut self, message: &mut Message, stream: &Stream<impl Source>, context: Context) -> Result<(), Stop> {
        let flags = Flags::new(stream.u32_le().await?);
        self.more_to_come = flags.more_to_come();
        let limit = if flags.are_plain() { message.limit } else { message.flagged(stream, flags).await? };
        let limit = message.outgrown(stream, flags, limit).await?;
        let mut has_body = false;
        while let Some(section) = op_msg::next_section(stream, limit).await? {
            match section {
                Section::Body if has_body => return Err(Stop::Malformed("two bodies")),
                Section::Body => {
                    has_body = true;
                    self.reply.read(stream, limit, context).await?;
                }
                Section::Sequence { end, .. } => document::pass_to(stream, end).await?,
            }
            if has_body && stream.offset() < limit && message.ends_early(stream, flags).await? {
                break;
            }
        }
        if has_body { Ok(()) } else { Err(Stop::Malformed("a message without a body")) }
    }

    async fn op_reply(&mut self, stream: &Stream<impl Source>, limit: u64, context: Context) -> Result<(), Stop> {
        let flags = stream.u32_le().await?;
        let cursor_id = stream.i64_le().await?;
        stream.skip(4).await?;
        let number = u64::from(stream.u32_le().await?);
        let reply = &mut self.reply;
        self.more_to_come = context.is_exhaust() && cursor_id != 0;
        if flags & CURSOR_NOT_FOUND_FLAG != 0 {
            (reply.ok, reply.error.code) = (Some(false), Some(CURSOR_NOT_FOUND));
        } else if flags & QUERY_FAILURE != 0 {
            // The document says why: `$err`, which is the user's, and `code`.
            if number > 0 {
                reply.read(stream, limit, Context::default()).await?;
            }
            reply.ok = Some(false);
        } else if context.wants_documents() {
            (reply.ok, reply.rows, reply.cursor_id) = (Some(true), Some(number), Some(cursor_id));
            // The flags say it, not the user's documents behind them.
            reply.is_whole = true;
        } else {
            reply.read(stream, limit, context).await?;
        }
        Ok(())
    }
}
