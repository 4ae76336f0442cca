//! A linktype (u16, little-endian), a length on the wire (u32; 0 stands for the bytes' own) and the bytes of a packet.

#![no_main]

use protap::packet::{Decoded, Linktype, RawPacket, decode};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(([low, high, origlen @ ..], data)) = data.split_first_chunk::<6>() else { return };
    let origlen = match u32::from_le_bytes(*origlen) {
        0 => u32::try_from(data.len()).expect("the fuzzer's inputs are short"),
        origlen => origlen,
    };
    let linktype = Linktype(u16::from_le_bytes([*low, *high]));
    let packet = RawPacket { number: 1, at: 2, linktype, interface: 0, origlen, data };
    let Decoded::Segment(segment) = decode(&packet) else { return };
    assert!(segment.payload.len() <= segment.payload_len as usize, "more kept than there was");
    let (whole, part) = (data.as_ptr_range(), segment.payload.as_ptr_range());
    let is_inside = whole.start <= part.start && part.end <= whole.end;
    assert!(is_inside || segment.payload.is_empty(), "a payload from elsewhere");
    assert_eq!((segment.at, segment.packet), (2, 1));
});
