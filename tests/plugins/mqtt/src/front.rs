//! Telling a packet from other bytes by its front: for inference, and to find the next packet after a loss. Type, flags
//! and length are four bytes at most, so what follows them has to fit as well: names, identifiers, codes, and the
//! length of the properties. A packet of a peer that does not keep to the standard is no packet here.

use protap_plugin::{Frame, Reader};

use crate::fixed::{Fixed, PacketType, varint};
use crate::reason::Reason;

/// Bytes of a packet behind its fixed header that are looked at.
const LOOKED_AT: usize = 64;
const NO: Frame = Frame::Invalid("not a packet of MQTT");

/// What packet begins here?
pub(crate) fn frame(bytes: &[u8]) -> Frame {
    let Some((fixed, rest)) = Fixed::read(bytes) else {
        // The number of a type, and no end of the length yet.
        let is_cut = bytes.len() < 5 && bytes.iter().skip(1).all(|byte| byte & 0x80 != 0);
        let is_type = bytes.first().is_none_or(|first| first >> 4 != 0);
        return if is_cut && is_type { Frame::Need((bytes.len() + 1).max(2)) } else { NO };
    };
    let len = fixed.len as usize;
    if !fixed.has_valid_flags() || !may_be(fixed, rest, len) {
        return NO;
    }
    let header = match fixed.len {
        0..=0x7f => 2,
        0x80..=0x3fff => 3,
        0x4000..=0x001f_ffff => 4,
        _ => 5,
    };
    let wanted = len.min(LOOKED_AT);
    if rest.len() < wanted { Frame::Need(header + wanted) } else { Frame::Len(header as u64 + u64::from(fixed.len)) }
}

/// Whether that may be the rest of the packet, or its beginning.
fn may_be(fixed: Fixed, rest: &[u8], len: usize) -> bool {
    match fixed.packet {
        PacketType::Connect => len >= 10 && begins_with(rest, b"\0\x04MQTT") | begins_with(rest, b"\0\x06MQIsdp"),
        PacketType::ConnAck => is_connack(rest, len),
        PacketType::Publish => is_publish(rest, len, fixed.qos() > 0),
        PacketType::PubAck | PacketType::PubRec | PacketType::PubRel | PacketType::PubComp => {
            has_id(rest) && len >= 2 && rest.get(2..).is_none_or(|rest| is_reason(rest, len - 2))
        }
        PacketType::Subscribe => has_id(rest) && len >= 5 && has_filter(rest, len - 2, 1),
        PacketType::Unsubscribe => has_id(rest) && len >= 4 && has_filter(rest, len - 2, 0),
        PacketType::SubAck => has_id(rest) && len >= 3 && is_suback(rest, len),
        PacketType::UnsubAck => has_id(rest) && (len == 2 || len >= 4 && is_suback(rest, len)),
        PacketType::PingReq | PacketType::PingResp => len == 0,
        PacketType::Disconnect => is_reason(rest, len),
        PacketType::Auth => is_reason(rest, len) && rest.first().is_none_or(|code| matches!(code, 0 | 0x18 | 0x19)),
    }
}

fn begins_with(rest: &[u8], front: &[u8]) -> bool {
    rest.iter().zip(front).all(|(a, b)| a == b)
}

/// A packet identifier, which is not 0.
fn has_id(rest: &[u8]) -> bool {
    !matches!(rest, [0, 0, ..])
}

/// Nothing, or a reason code; nothing, or properties up to the packet's end.
fn is_reason(rest: &[u8], len: usize) -> bool {
    rest.first().is_none_or(|code| Reason::is_known(*code))
        && (len < 2 || rest.get(1..).is_none_or(|rest| are_properties(rest, len - 1)))
}

/// Properties that are all of the `len` bytes.
fn are_properties(rest: &[u8], len: usize) -> bool {
    match varint(rest) {
        Some((size, after)) => rest.len() - after.len() + size as usize == len,
        None => rest.len() < 4 && rest.len() < len && rest.iter().all(|byte| byte & 0x80 != 0),
    }
}

fn is_connack(rest: &[u8], len: usize) -> bool {
    let is_session = rest.first().is_none_or(|flags| *flags <= 1);
    let code = rest.get(1).copied();
    match len {
        0 | 1 => false,
        2 => is_session && code.is_none_or(|code| code <= 5),
        _ => {
            is_session && code.is_none_or(Reason::is_known) && rest.get(1..).is_none_or(|rest| is_reason(rest, len - 1))
        }
    }
}

/// A topic without wildcards and control characters; an empty one if there may be an alias in its place.
fn is_publish(rest: &[u8], len: usize, has_packet_id: bool) -> bool {
    let Some((topic_len, rest)) = rest.split_first_chunk().map(|(len, rest)| (u16::from_be_bytes(*len), rest)) else {
        return len >= 2;
    };
    let topic_len = usize::from(topic_len);
    let least = 2 + topic_len + if has_packet_id { 2 } else { 0 };
    if least > len {
        return false;
    }
    let topic = rest.get(..topic_len).unwrap_or(rest);
    let is_topic = topic.iter().all(|byte| !matches!(byte, 0..=0x1f | 0x7f | b'#' | b'+') && *byte < 0xf8);
    let after = rest.get(topic_len..).unwrap_or_default();
    let is_named = topic_len > 0 || is_aliased(after, len - 2, has_packet_id);
    is_topic && is_named && (!has_packet_id || has_id(after))
}

/// Properties with a topic alias in them.
fn is_aliased(after: &[u8], len: usize, has_packet_id: bool) -> bool {
    let at = if has_packet_id { 2 } else { 0 };
    let Some(properties) = after.get(at..).filter(|rest| !rest.is_empty()) else { return len >= at + 4 };
    match varint(properties) {
        Some((size, _)) => size >= 3 && size as usize + at < len,
        None => true,
    }
}

/// A filter that fits, either at once or behind properties, with as many bytes of options behind it.
fn has_filter(rest: &[u8], len: usize, options: usize) -> bool {
    let Some(rest) = rest.get(2..).filter(|rest| rest.len() > 1) else { return true };
    let fits = |bytes: &[u8], len: usize| {
        Reader::new(bytes).u16_be().is_ok_and(|filter| filter > 0 && 2 + usize::from(filter) + options <= len)
            && bytes.iter().skip(2).take(1).all(|byte| !matches!(byte, 0..=0x1f | 0x7f))
    };
    let is_v5 = varint(rest).is_some_and(|(size, after)| {
        let properties = rest.len() - after.len() + size as usize;
        properties < len
            && rest.get(properties..).filter(|rest| rest.len() > 1).is_none_or(|rest| fits(rest, len - properties))
    });
    fits(rest, len) || is_v5
}

/// Codes of filters; before 5 they stand right behind the identifier.
fn is_suback(rest: &[u8], len: usize) -> bool {
    let is_code = |code: &u8| *code <= 2 || *code == 0x11 || *code >= 0x80 && Reason::is_known(*code);
    let body = rest.get(2..).unwrap_or_default();
    // A packet that is looked at as a whole has to end with a code.
    body.len() + 2 < len || body.last().is_none_or(is_code)
}
