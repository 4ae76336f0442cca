//! Messages of Kafka and MongoDB, written by hand.

/// A Produce request, version 7, of one partition's record batch (magic 2) with `records` bytes of records.
pub fn produce_request(correlation_id: i32, records: usize) -> Vec<u8> {
    let batch_len = 61 + records;
    let mut body = Vec::with_capacity(batch_len + 64);
    body.extend([0, 0, 0, 7]); // api_key, api_version
    body.extend(correlation_id.to_be_bytes());
    string(&mut body, "order-service");
    body.extend((-1_i16).to_be_bytes()); // transactional_id
    body.extend(1_i16.to_be_bytes()); // acks
    body.extend(30_000_i32.to_be_bytes()); // timeout_ms
    body.extend(1_i32.to_be_bytes()); // topics
    string(&mut body, "orders.v1");
    body.extend(1_i32.to_be_bytes()); // partitions
    body.extend(0_i32.to_be_bytes());
    body.extend((batch_len as i32).to_be_bytes());
    body.extend(0_i64.to_be_bytes()); // base_offset
    body.extend((batch_len as i32 - 12).to_be_bytes());
    body.extend([0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0]); // leader epoch, magic, crc, attributes
    body.extend([0; 34]); // last_offset_delta, timestamps, producer id, epoch, sequence
    body.extend(1_i32.to_be_bytes()); // records
    body.extend((0..records).map(|at| (at * 31) as u8));
    framed(&body)
}

/// A Kafka frame.
pub fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as i32).to_be_bytes(), body].concat()
}

/// A Kafka string.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as i16).to_be_bytes());
    out.extend(text.as_bytes());
}

/// A `find` command in an OP_MSG.
pub fn op_msg(request_id: i32) -> Vec<u8> {
    let mut document = Vec::new();
    for (name, value) in [("find", "orders"), ("$db", "shop")] {
        document.push(2);
        document
            .extend([name.as_bytes(), &[0], &(value.len() as i32 + 1).to_le_bytes(), value.as_bytes(), &[0]].concat());
    }
    document.extend([16, b'l', b'i', b'm', b'i', b't', 0, 20, 0, 0, 0]);
    let len = document.len() as i32 + 5;
    let mut message = (21 + len).to_le_bytes().to_vec();
    message.extend([request_id, 0, 2013, 0].map(i32::to_le_bytes).concat()); // response_to, op_code, flag_bits
    message.push(0); // section kind
    message.extend(len.to_le_bytes());
    message.extend(document);
    message.push(0);
    message
}
