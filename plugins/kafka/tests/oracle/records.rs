//! Record batches and message sets, written by hand from the specification of the formats.

/// A batch (magic 2) that says it holds `count` records, with `body` bytes in their place.
pub(crate) fn batch(count: i32, attributes: i16, body: usize) -> Vec<u8> {
    let mut batch = vec![0; 8];
    batch.extend(i32::try_from(49 + body).unwrap().to_be_bytes());
    batch.extend([0, 0, 0, 1, 2, 0xde, 0xad, 0xbe, 0xef]);
    batch.extend(attributes.to_be_bytes());
    batch.extend((count - 1).to_be_bytes());
    batch.extend([0x55; 16 + 14]);
    batch.extend(count.to_be_bytes());
    batch.extend(std::iter::repeat_n(0xaa, body));
    batch
}

/// A message of a message set (magic 0 or 1).
pub(crate) fn message(magic: u8, attributes: u8, value: &[u8]) -> Vec<u8> {
    let timestamp: &[u8] = if magic == 1 { &[0x11; 8] } else { &[] };
    let len = i32::try_from(14 + timestamp.len() + value.len()).unwrap();
    let mut message = vec![0; 8];
    message.extend(len.to_be_bytes());
    message.extend([1, 2, 3, 4, magic, attributes]);
    message.extend(timestamp);
    message.extend((-1_i32).to_be_bytes());
    message.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
    message.extend(value);
    message
}
