use super::{CallError, ContentReader, Fault, Memory, PluginIdentity, Replaced, Spares};
use protap_plugin::contract::memory::{MAX_ANSWER, MAX_STR};
use protap_plugin::contract::{Attribute, Message, ParseResult, Str, tag};

use crate::record::{Content, Value};

fn identity() -> PluginIdentity {
    PluginIdentity {
        name: "x".to_owned(),
        version: "1".to_owned(),
        protocols: vec!["x".to_owned()],
        attributes: vec!["a".to_owned()],
        facts: Vec::new(),
    }
}

/// What is read of a message with attributes that each are such a string, in a memory that begins with `bytes`.
fn read(bytes: &[u8], strings: &[Str], replaced: &mut Replaced) -> Result<Box<Content>, CallError> {
    let mut memory = bytes.to_vec();
    let address = |memory: &Vec<u8>| u32::try_from(memory.len()).unwrap();
    let attributes = Str { ptr: address(&memory), len: u32::try_from(strings.len()).unwrap() };
    for string in strings {
        let mut entry = [0; Attribute::SIZE];
        let attribute = Attribute { index: 0, tag: tag::STR, reserved: 0, aux: 0, value: string.to_value() };
        attribute.write(&mut entry).unwrap();
        memory.extend_from_slice(&entry);
    }
    let message = Message { attributes, attribute_stride: Attribute::SIZE as u32, ..Message::default() };
    let mut entry = [0; Message::SIZE];
    message.write(&mut entry).unwrap();
    let messages = address(&memory);
    memory.extend_from_slice(&entry);
    let stride = Message::SIZE as u32;
    let result = ParseResult { messages, message_count: 1, message_stride: stride, ..ParseResult::default() };
    let (identity, mut spares, mut messages) = (identity(), Spares::default(), Vec::new());
    ContentReader::new(Memory(&memory), &identity, replaced, &mut spares).messages(&result, &mut messages)?;
    Ok(messages.remove(0).content)
}

fn texts(content: &Content) -> Vec<&str> {
    let text = |value: &Value| if let Value::Str(text) = value { Some(content.text(text.place())) } else { None };
    content.attributes.iter().filter_map(|(_, value)| text(value)).collect()
}

#[test]
fn a_string_that_is_pointed_to_again_and_again_is_copied_up_to_the_limit() {
    let memory = vec![b'x'; MAX_STR as usize];
    let string = Str { ptr: 0, len: MAX_STR };
    let mut replaced = Replaced::default();
    let fitting = (MAX_ANSWER - 16 * Attribute::SIZE as u32) / MAX_STR;
    assert!(read(&memory, &vec![string; fitting as usize], &mut replaced).is_ok());
    let error = read(&memory, &vec![string; fitting as usize + 1], &mut replaced).unwrap_err();
    assert_eq!(error, CallError::Result(Fault::TooMany("answer")));
}

#[test]
fn strings_come_back_as_they_are_and_what_is_not_utf8_is_replaced_and_counted() {
    let memory = "a\u{df}b\u{6ce8}".as_bytes();
    let mut replaced = Replaced::default();
    let cuts = |cuts: &[(u32, u32)]| cuts.iter().map(|(ptr, len)| Str { ptr: *ptr, len: *len }).collect::<Vec<_>>();
    let whole = read(memory, &cuts(&[(0, 1), (3, 1), (0, 0), (0, 4), (4, 3)]), &mut replaced).unwrap();
    // Two halves of a character, which are one side by side.
    let halves = read(memory, &cuts(&[(0, 2), (2, 2), (4, 3), (5, 2)]), &mut replaced).unwrap();
    assert_eq!(texts(&whole), ["a", "b", "", "a\u{df}b", "\u{6ce8}"]);
    assert_eq!(texts(&halves), ["a\u{fffd}", "\u{fffd}b", "\u{6ce8}", "\u{fffd}\u{fffd}"]);
    assert_eq!(replaced.count, 3);
}
