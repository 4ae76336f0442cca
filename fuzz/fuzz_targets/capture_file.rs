//! The bytes of a capture file: read as they are, and by a reader that gives a few bytes at a time. Both must come to
//! the same end, after as many packets; unless it is compressed and damaged, where it depends on the reads how much a
//! decompressor gives before it notices. What is found is decoded as well.

#![no_main]

use std::io::{Cursor, Read};

use protap::capture::{CaptureEvent, CaptureSource, CaptureStats, FileSource};
use protap::packet::decode;

/// Packets that are read of a file: a compressed one may have millions.
const MAX_PACKETS: u64 = 4096;

struct Slow(Cursor<Vec<u8>>);

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let len = buffer.len().min(7);
        self.0.read(&mut buffer[..len])
    }
}

/// The counters, and the error if there was one.
fn read(mut source: FileSource) -> (CaptureStats, Option<String>) {
    let mut error = None;
    loop {
        match source.next() {
            Ok(CaptureEvent::Packet(packet)) => {
                let _ = decode(&packet);
                if packet.number >= MAX_PACKETS {
                    break;
                }
            }
            Ok(CaptureEvent::End) => break,
            Ok(other) => panic!("a file has only packets: {other:?}"),
            Err(found) => {
                assert!(error.is_none(), "one file, two errors: {error:?}, {found}");
                error = Some(found.to_string());
            }
        }
    }
    (source.stats(), error)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let bytes = || Cursor::new(data.to_vec());
    let at_once = read(FileSource::from_reader("fuzz", bytes()));
    let slowly = read(FileSource::from_reader("fuzz", Slow(bytes())));
    let is_compressed = data.starts_with(&[0x1f, 0x8b]) || data.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    assert!(is_compressed || at_once == slowly, "{at_once:?} at once, {slowly:?} slowly");
});
