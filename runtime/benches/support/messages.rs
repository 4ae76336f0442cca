//! Messages of Kafka and MongoDB, written by hand.

/// Bytes of a record batch's header (magic 2).
const BATCH_HEADER: usize = 61;

/// A Produce request, version 7, of one partition's record batch with `records` bytes of records.
pub fn produce_request(correlation_id: i32, records: usize) -> Vec<u8> {
    produce(correlation_id, records, 0)
}

/// The same, with these attributes of the batch: the lowest three bits say how it is compressed.
pub fn produce(correlation_id: i32, records: usize, attributes: u8) -> Vec<u8> {
    let batch_len = BATCH_HEADER + records;
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
    batch(&mut body, records, attributes);
    framed(&body)
}

/// A record batch.
fn batch(out: &mut Vec<u8>, records: usize, attributes: u8) {
    out.extend(0_i64.to_be_bytes()); // base_offset
    out.extend(((BATCH_HEADER + records) as i32 - 12).to_be_bytes());
    out.extend([0, 0, 0, 0, 2, 0, 0, 0, 0, 0, attributes]); // leader epoch, magic, crc
    out.extend([0; 34]); // last_offset_delta, timestamps, producer id, epoch, sequence
    out.extend(1_i32.to_be_bytes()); // records
    out.extend((0..records).map(|at| (at * 31) as u8));
}

/// A Fetch request, version 11.
pub fn fetch_request(correlation_id: i32) -> Vec<u8> {
    let mut body = vec![0, 1, 0, 11]; // api_key, api_version
    body.extend(correlation_id.to_be_bytes());
    string(&mut body, "order-service");
    body.extend([-1, 500, 1, i32::MAX].map(i32::to_be_bytes).concat()); // replica, max wait, min and max bytes
    body.push(0); // isolation level
    body.extend([0, -1, 1].map(i32::to_be_bytes).concat()); // session, epoch, topics
    string(&mut body, "orders.v1");
    body.extend([1, 0, -1].map(i32::to_be_bytes).concat()); // partitions: index, leader epoch
    body.extend([0, -1].map(i64::to_be_bytes).concat()); // fetch offset, log start offset
    body.extend([1 << 20, 0].map(i32::to_be_bytes).concat()); // max bytes; forgotten topics
    string(&mut body, ""); // rack
    framed(&body)
}

/// A Fetch response, version 11, with so many partitions of so many batches each.
pub fn fetch_response(correlation_id: i32, partitions: i32, batches: usize, batch_len: usize) -> Vec<u8> {
    let mut body = correlation_id.to_be_bytes().to_vec();
    body.extend([0; 10]); // throttle time, error, session
    body.extend(1_i32.to_be_bytes()); // topics
    string(&mut body, "orders.v1");
    body.extend(partitions.to_be_bytes());
    for partition in 0..partitions {
        body.extend(partition.to_be_bytes());
        body.extend([0; 2 + 3 * 8]); // error, high watermark, last stable offset, log start offset
        body.extend([-1, -1, (batches * batch_len) as i32].map(i32::to_be_bytes).concat()); // aborted, replica, length
        (0..batches).for_each(|_| batch(&mut body, batch_len - BATCH_HEADER, 0));
    }
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
