//! The toy protocol: `Q 7 GET item/1` asks, `A 7 200 done` answers, each with a line feed at its end.

use crate::record::Message;

/// The message of a payload's first line.
pub fn parse(payload: &[u8]) -> Option<Message> {
    let end = payload.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(payload.get(..end)?).ok()?;
    let mut words = line.splitn(4, ' ');
    let (kind, id) = (words.next()?, words.next()?.parse().ok()?);
    let (third, fourth) = (words.next()?, words.next()?.to_owned());
    let mut message = Message { id: Some(id), protocol: "toy".to_owned(), ..Message::default() };
    let len = u32::try_from(end + 1).ok();
    match kind {
        "Q" => {
            message.request_len = len;
            message.type_name = third.to_owned();
            message.endpoint = fourth.clone();
            message.resource = fourth;
        }
        "A" => {
            let code = third.parse().ok()?;
            message.is_response = true;
            message.response_len = len;
            message.code = Some(code);
            message.status = match code {
                0..400 => 0,
                400..500 => 4,
                _ => 3,
            };
            message.result = fourth;
        }
        _ => return None,
    }
    Some(message)
}

/// The messages of all lines.
pub fn lines(payload: &[u8]) -> impl Iterator<Item = Message> {
    payload.split_inclusive(|byte| *byte == b'\n').map_while(parse)
}
