//! What a message means: a request or a response, by its own word, whichever end sent it.
//!
//! Ids are used again, sometimes before the response to their last use has come. A query therefore leaves a hash of its
//! question with the host. A response to another question answers a query that gave way to a newer one: it must not be
//! taken for the answer to that, so it is emitted without its id, and its query stays unanswered.

use protap_plugin::prelude::*;

use crate::codes::{AXFR, IXFR, opcode_name, response_code, type_name};
use crate::message::{Message, Question};
use crate::{ANSWER_COUNT, DNSSEC_OK, ERROR_TYPE, ID, OPCODE, QUESTION_CLASS, QUESTION_NAME, TRUNCATED, UDP_SIZE};

/// The class of nearly all questions: the Internet.
const INTERNET: u16 = 1;

/// What is kept for a flow.
#[derive(Debug, Default)]
pub struct Flow {
    /// The id of the zone transfer that has begun and not ended.
    transfer: Option<u16>,
}

/// What a query leaves with the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    question: u64,
    is_transfer: bool,
}

impl Asked {
    const LEN: usize = 9;

    fn of(question: &Question) -> Self {
        Self { question: hash(question), is_transfer: matches!(question.kind, AXFR | IXFR) }
    }

    fn pending(id: u16) -> Option<Self> {
        let context = host::pending(id.into())?;
        let mut reader = Reader::new(&context);
        Some(Self { question: reader.u64_le().ok()?, is_transfer: reader.u8().ok()? != 0 })
    }

    fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let parts = self.question.to_le_bytes().into_iter().chain([u8::from(self.is_transfer)]);
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        bytes
    }
}

/// FNV-1a, over the name in lower case: some clients vary the case, which servers keep or not.
fn hash(question: &Question) -> u64 {
    let tail = [question.kind.to_be_bytes(), question.class.to_be_bytes()];
    let bytes = question.name.iter().map(u8::to_ascii_lowercase).chain(tail.into_iter().flatten());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Emits a message that lies there in its stream.
pub(crate) fn emit(flow: &mut Flow, message: &Message, span: (u64, u64), output: &mut Output) {
    let mut writer =
        if message.header.is_response() { response(flow, message, output) } else { request(message, output) };
    if let Some(question) = &message.question {
        writer = name_question(writer, question);
    }
    if message.header.opcode() != 0 {
        writer = writer.str(OPCODE, opcode_name(message.header.opcode()));
    }
    if let Some(reason) = message.reason {
        writer = writer.partial(reason);
    }
    writer.span(span.0, span.1).emit();
}

fn request<'a>(message: &Message, output: &'a mut Output) -> MessageWriter<'a> {
    let mut writer = output.request("").id(message.header.id.into());
    if let Some(question) = &message.question {
        writer = writer.context(Asked::of(question).to_bytes());
    }
    if let Some(edns) = message.edns {
        writer = writer.i64(UDP_SIZE, edns.udp_size).bool(DNSSEC_OK, edns.is_dnssec_ok);
    }
    name_type(writer, message)
}

fn response<'a>(flow: &mut Flow, message: &Message, output: &'a mut Output) -> MessageWriter<'a> {
    let header = message.header;
    let asked = Asked::pending(header.id);
    let is_other = |asked: Asked| message.question.as_ref().is_some_and(|question| hash(question) != asked.question);
    let code = message.code();
    // The upper bits of the code may be in what was lost.
    let is_known = message.end.is_some() || code != 0;
    let (name, status) = if is_known { response_code(code) } else { ("", Status::Unknown) };
    let mut writer = name_type(output.response(status), message);
    writer = writer.i64(ANSWER_COUNT, header.answers).bool(TRUNCATED, header.is_truncated());
    if is_known {
        writer = writer.code(code.into());
    }
    if is_known && code != 0 {
        writer = writer.exception(name).str(ERROR_TYPE, name);
    }
    match asked {
        Some(asked) if is_other(asked) => {
            return writer.i64(ID, header.id).partial("the id was used again for another question");
        }
        Some(asked) if asked.is_transfer && goes_on(flow, message) => writer = writer.more_replies(),
        _ => {}
    }
    writer.id(header.id.into())
}

/// Whether more messages of the zone transfer follow. A zone begins and ends with the same record.
fn goes_on(flow: &mut Flow, message: &Message) -> bool {
    let id = message.header.id;
    let is_first = flow.transfer != Some(id);
    let is_last = match (is_first, message.header.answers) {
        _ if message.code() != 0 => true,
        (true, 1) => message.question.as_ref().is_some_and(|question| question.kind == IXFR),
        (true, _) => !message.begins_zone || message.ends_zone,
        (false, _) => message.ends_zone,
    };
    flow.transfer = if is_last { None } else { Some(id) };
    !is_last
}

fn name_type<'a>(writer: MessageWriter<'a>, message: &Message) -> MessageWriter<'a> {
    match (&message.question, message.header.opcode()) {
        (Some(question), 0) => match type_name(question.kind) {
            Some(name) => writer.type_name(name),
            None => writer.type_name(format!("TYPE{}", question.kind)),
        },
        (_, opcode) => writer.type_name(opcode_name(opcode)),
    }
}

fn name_question<'a>(writer: MessageWriter<'a>, question: &Question) -> MessageWriter<'a> {
    let mut writer = writer.resource(&question.name).str(QUESTION_NAME, &question.name);
    if question.class != INTERNET {
        writer = writer.i64(QUESTION_CLASS, question.class);
    }
    writer
}
