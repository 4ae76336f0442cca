//! Properties (MQTT 5, section 2.2.2): a length, then identifiers with values whose types follow from them. Only the
//! topic alias is of interest; all others are passed over.

use protap_plugin::Reader;

use crate::fixed::varint;

const TOPIC_ALIAS: u8 = 0x23;

/// Reads the properties that begin here; gives the topic alias among them, if there is one, and what follows them.
pub(crate) fn read(bytes: &[u8]) -> Option<(Option<u16>, &[u8])> {
    let (properties, rest) = split(bytes)?;
    let mut reader = Reader::new(properties);
    let mut alias = None;
    while !reader.is_empty() {
        match reader.u8().ok()? {
            TOPIC_ALIAS => alias = Some(reader.u16_be().ok()?),
            id => skip(&mut reader, id)?,
        }
    }
    Some((alias, rest))
}

/// The properties that begin here, and what follows them; `None` if they are not all there.
pub(crate) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = varint(bytes)?;
    rest.split_at_checked(usize::try_from(len).ok()?)
}

fn skip(reader: &mut Reader<'_>, id: u8) -> Option<()> {
    match id {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => reader.skip(1).ok(),
        0x13 | 0x21 | 0x22 => reader.skip(2).ok(),
        0x02 | 0x11 | 0x18 | 0x27 => reader.skip(4).ok(),
        0x0b => {
            let (_, rest) = varint(reader.remaining())?;
            reader.skip(reader.remaining().len().saturating_sub(rest.len())).ok()
        }
        0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => text(reader),
        0x26 => text(reader).and_then(|()| text(reader)),
        _ => None,
    }
}

fn text(reader: &mut Reader<'_>) -> Option<()> {
    let len = reader.u16_be().ok()?;
    reader.skip(usize::from(len)).ok()
}
