//! Capture files built by hand: formats, sections, resolutions; cuts at every byte; damage of every kind.

use std::io::{Cursor, Write};

use proptest::prelude::{any, prop};
use proptest::{prop_assert, proptest};

use super::FileSource;
use crate::capture::test_files::Endian::{self, Big, Little};
use crate::capture::test_files::{ReadPacket, drain, read_all};
use crate::capture::{CaptureError, CaptureEvent, CaptureSource};

const MICROS: u32 = 0xa1b2_c3d4;
const NANOS: u32 = 0xa1b2_3c4d;

/// Three packets on Ethernet, the second cut by the snaplen.
fn pcap(endian: Endian, magic: u32) -> Vec<u8> {
    let packets = [(1, 4, "ab"), (2, 9, "cdefg"), (3, 0, "")];
    let packets = packets.map(|(second, origlen, data)| endian.packet(second, 7, origlen, data.as_bytes()));
    [endian.pcap(magic, 1), packets.concat()].concat()
}

/// Two sections of different byte order, each with two interfaces.
fn pcapng() -> Vec<u8> {
    let section = |endian: Endian| {
        [
            endian.section(),
            endian.interface(1, 0, &endian.option(9, &[9])),
            endian.interface(101, 0, &endian.option(9, &[0x80 | 1])),
            endian.block(4, &[0; 20]),
            endian.enhanced(0, 1_000_000_007, 3, b"abc"),
            endian.enhanced(1, 3, 9, b"defgh"),
            endian.simple(2, b"ij"),
            endian.obsolete(0, 1_000_000_009, b"k"),
        ]
        .concat()
    };
    [section(Big), section(Little)].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn message(file: Vec<u8>) -> String {
    read_all(file).1.expect("an error").to_string()
}

#[test]
fn pcap_is_read_in_both_byte_orders_and_resolutions() {
    for endian in [Little, Big] {
        for (magic, nanos) in [(MICROS, 7_000), (NANOS, 7)] {
            let (packets, error) = read_all(pcap(endian, magic));
            assert!(error.is_none());
            let heads: Vec<_> =
                packets.iter().map(|p| (p.number, p.at, p.linktype.0, p.origlen, &p.data[..])).collect();
            let at = |second: u64| second * 1_000_000_000 + nanos;
            assert_eq!(
                heads,
                [(1, at(1), 1, 4, &b"ab"[..]), (2, at(2), 1, 9, &b"cdefg"[..]), (3, at(3), 1, 0, &b""[..])]
            );
        }
    }
}

#[test]
fn pcapng_is_read_over_sections_interfaces_and_packet_blocks() {
    let (packets, error) = read_all(pcapng());
    assert!(error.is_none());
    let heads: Vec<_> = packets.iter().map(|p| (p.at, p.linktype.0, p.interface, p.origlen, &p.data[..])).collect();
    let section = |base| {
        [
            (1_000_000_007, 1, base, 3, &b"abc"[..]),
            (1_500_000_000, 101, base + 1, 9, &b"defgh"[..]),
            (1_500_000_000, 1, base, 2, &b"ij"[..]),
            (1_000_000_009, 1, base, 1, &b"k"[..]),
        ]
    };
    assert_eq!(heads, [section(0), section(2)].concat());
}

#[test]
fn simple_packets_are_cut_at_the_snaplen_of_the_first_interface() {
    let file = [Little.section(), Little.interface(1, 3, &[]), Little.simple(10, b"abc")].concat();
    let (packets, error) = read_all(file);
    assert!(error.is_none());
    assert_eq!((packets[0].origlen, &packets[0].data[..]), (10, &b"abc"[..]));
}

#[test]
fn drops_that_the_writer_noted_are_counted_once() {
    let statistics = |kernel: u64, interface: u64| {
        let options = [Little.option(5, &interface.to_le_bytes()), Little.option(7, &kernel.to_le_bytes())].concat();
        Little.block(5, &[vec![0; 12], options].concat())
    };
    let file = [Little.section(), Little.interface(1, 0, &[]), statistics(3, 1), statistics(5, 1)].concat();
    let mut source = FileSource::from_reader("test", Cursor::new(file));
    drain(&mut source);
    assert_eq!((source.stats().kernel_drops, source.stats().interface_drops), (5, 1));
}

#[test]
fn counters_tell_bytes_truncation_and_clock_steps() {
    let packets =
        [(5, 2, "ab"), (4, 9, "c"), (4, 1, "d")].map(|(at, len, data)| Little.packet(at, 0, len, data.as_bytes()));
    let mut source = FileSource::from_reader("test", Cursor::new([Little.pcap(MICROS, 1), packets.concat()].concat()));
    drain(&mut source);
    let stats = source.stats();
    assert_eq!((stats.packets, stats.bytes, stats.truncated, stats.clock_steps_back), (3, 4, 1, 1));
}

#[test]
fn all_who_read_a_file_that_grows_end_at_the_same_packet() {
    let path = std::env::temp_dir().join(format!("protap-grows-{}.pcap", std::process::id()));
    std::fs::write(&path, pcap(Little, MICROS)).unwrap();
    let mut first = FileSource::new([path.clone()]);
    let mut others = first.again(2).unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&Little.packet(4, 7, 4, b"late")).unwrap();
    std::fs::remove_file(&path).unwrap();
    let count = |source: &mut dyn CaptureSource| {
        while !matches!(source.next().unwrap(), CaptureEvent::End) {}
        source.stats().packets
    };
    assert_eq!(count(&mut first), 3);
    assert!(others.iter_mut().all(|source| count(&mut **source) == 3));
}

#[test]
fn compression_is_recognised_by_content() {
    for file in [pcap(Big, MICROS), pcapng()] {
        let plain = read_all(file.clone()).0;
        for compress in [gzip, zstd] {
            let (packets, error) = read_all(compress(&file));
            assert!(error.is_none());
            assert_eq!(packets, plain);
        }
    }
}

#[test]
fn a_file_cut_anywhere_gives_its_whole_packets_then_says_so() {
    for file in [pcap(Little, MICROS), pcap(Big, NANOS), pcapng()] {
        let whole = read_all(file.clone()).0;
        for len in 5..file.len() {
            let (packets, error) = read_all(file[..len].to_vec());
            assert!(whole.starts_with(&packets), "{len} bytes");
            match error {
                // A cut between two records cannot be told from the end.
                None => assert!(len >= 24),
                Some(CaptureError::Truncated { packets: count, .. }) => assert_eq!(count, packets.len() as u64),
                Some(other) => panic!("{len} bytes: {other}"),
            }
        }
    }
}

#[test]
fn a_compressed_file_cut_off_gives_its_whole_packets_then_says_so() {
    let packets: Vec<u8> =
        (0..50_000_u32).flat_map(|n| Little.packet(n, n * 7_919 % 1_000_000, 8, &[n as u8; 8])).collect();
    let file = [Little.pcap(MICROS, 1), packets].concat();
    for (name, mut compressed) in [("gzip", gzip(&file)), ("zstd", zstd(&file))] {
        compressed.truncate(compressed.len() * 3 / 4);
        let (packets, error) = read_all(compressed);
        assert!(packets.len() > 20_000, "{name}: {}", packets.len());
        assert!(matches!(error, Some(CaptureError::Truncated { .. })), "{name}: {error:?}");
    }
}

#[test]
fn what_is_no_capture_is_refused_with_what_it_is() {
    for (file, expected) in [
        (&b""[..], "test.pcap is empty"),
        (b"hello world, this is text", "test.pcap is not a capture: it begins with the text \"hello world,\""),
        (b"\x7fELF\x02", "test.pcap is not a capture: it begins with the bytes 7f 45 4c 46"),
        (b"a", "the text \"a\", expected pcap or pcapng"),
        (b"\x0a\x0d\x0d\x0a............", "without byte-order magic"),
    ] {
        let message = message(file.to_vec());
        assert!(message.contains(expected) && !message.contains('\n'), "{message}");
    }
    assert!(message(gzip(b"")).contains("is empty"));
    assert!(message(gzip(&gzip(&pcap(Little, MICROS)))).contains("1f 8b"), "two layers are not unwrapped");
}

#[test]
fn versions_of_the_future_are_refused() {
    let mut file = pcap(Little, MICROS);
    file[4] = 3;
    assert!(message(file).contains("pcap version 3"));
    let mut file = pcapng();
    file[13] = 2;
    assert!(message(file).contains("pcapng version 2"));
}

#[test]
fn a_record_up_to_the_limit_is_read_and_one_above_is_refused() {
    let large = vec![7; 16 << 20];
    let file = |data: &[u8]| [Little.pcap(MICROS, 1), Little.packet(1, 0, data.len() as u32, data)].concat();
    let (packets, error) = read_all([file(&large), Little.packet(2, 0, 1, b"x")].concat());
    assert!(error.is_none());
    assert_eq!((packets[0].data.len(), &packets[1].data[..]), (16 << 20, &b"x"[..]));
    assert!(message(file(&[&large[..], b"x"].concat())).contains("a packet of 16777217 bytes, at most 16777216"));
    let block = |len| [Little.section(), Little.block(0x0bad, &vec![0; len])].concat();
    assert!(read_all(block((16 << 20) - 12)).1.is_none());
    assert!(message(block((16 << 20) - 8)).contains("a block of 16777220 bytes"));
}

#[test]
fn damaged_blocks_end_the_file_with_their_place() {
    let start = [Little.section(), Little.interface(1, 0, &[]), Little.enhanced(0, 1, 1, b"x")].concat();
    let mut mismatch = Little.block(9, &[0; 8]);
    mismatch[16] = 24;
    let mut caplen = Little.enhanced(0, 1, 1, b"abcd");
    caplen[20] = 5;
    for (block, expected) in [
        (Little.u32(6).into_iter().chain(Little.u32(0)).chain([0; 4]).collect(), "a block of 0 bytes"),
        (Little.u32(6).into_iter().chain(Little.u32(33)).chain([0; 4]).collect(), "a block of 33 bytes"),
        (Little.u32(6).into_iter().chain(Little.u32(u32::MAX)).chain([0; 4]).collect(), "a block of 4294967295 bytes"),
        (mismatch, "a block of 20 bytes that ends as one of 24"),
        (caplen, "a packet of 5 bytes in a block"),
        (Little.enhanced(1, 1, 1, b"x"), "a packet of interface 1, undescribed"),
        (Little.block(6, &[0; 16]), "too short for its kind"),
        (Little.block(1, &[0; 4]), "too short for its kind"),
        (Little.block(5, &[1; 12]), "statistics of interface 16843009, undescribed"),
    ] {
        let (packets, error) = read_all([start.clone(), block].concat());
        let message = error.expect("an error").to_string();
        assert_eq!(packets.len(), 1);
        assert!(message.contains(&format!("at byte {}", start.len())) && message.contains(expected), "{message}");
    }
}

#[test]
fn interfaces_are_limited_per_section() {
    let descriptions = |count: usize| Little.interface(1, 0, &[]).repeat(count);
    let file = |count| [Little.section(), descriptions(count), Little.section(), descriptions(1)].concat();
    assert!(read_all(file(65_536)).1.is_none());
    assert!(message(file(65_537)).contains("more than 65536 interfaces"));
}

#[test]
fn an_unknown_linktype_is_refused_where_there_is_no_other_and_passed_on_where_there_is() {
    let expected = "test.pcap has linktype 105 (IEEE802_11)";
    assert!(message([Little.pcap(MICROS, 105), Little.packet(1, 0, 1, b"x")].concat()).contains(expected));
    let only = [Little.section(), Little.interface(105, 0, &[]), Little.enhanced(0, 1, 1, b"x")].concat();
    assert!(message(only).contains(expected));
    let mixed = [Little.section(), Little.interface(105, 0, &[]), Little.interface(1, 0, &[])];
    let (packets, error) = read_all([mixed.concat(), Little.enhanced(0, 1, 1, b"x")].concat());
    assert!(error.is_none());
    assert_eq!(packets[0].linktype.0, 105);
}

#[test]
fn linktype_of_pcap_leaves_off_the_length_of_the_check_sequence() {
    assert!(read_all(Little.pcap(MICROS, 0x2400_0001)).1.is_none());
}

#[test]
fn files_are_read_in_turn_and_a_bad_one_does_not_stop_the_next() {
    let folder = std::env::temp_dir().join(format!("protap-file-source-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.join(name), bytes).unwrap();
        folder.join(name)
    };
    let whole = pcap(Little, MICROS);
    let paths = [
        write("one.txt", &whole),
        write("cut.pcap", &whole[..whole.len() - 20]),
        folder.join("absent"),
        folder.clone(),
        write("two.pcapng", &whole),
    ];
    let mut source = FileSource::new(paths);
    let mut numbers = Vec::new();
    let mut errors = Vec::new();
    for _ in 0..4 {
        let (packets, error) = drain(&mut source);
        numbers.push(packets.iter().map(|packet: &ReadPacket| packet.number).collect::<Vec<_>>());
        errors.push(error.map_or(String::new(), |error| error.to_string()));
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(numbers, [vec![1, 2, 3, 4], vec![], vec![], vec![5, 6, 7]]);
    let expected =
        ["cut.pcap is cut off: it ends within a record at byte 42, the 1 packets", "cannot open", "cannot read", ""];
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.contains(expected), "{error}");
    }
    assert!(matches!(source.next(), Ok(crate::capture::CaptureEvent::End)), "the end stays the end");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(start in 0..8_usize, bytes: Vec<u8>) {
        let starts: [&[u8]; 8] = [
            b"", &pcap(Little, MICROS)[..24], &pcap(Big, NANOS)[..24], &pcapng()[..28], &pcapng()[..88],
            &[0x1f, 0x8b, 8, 0], &[0x28, 0xb5, 0x2f, 0xfd], &[10, 13, 13, 10],
        ];
        let len = bytes.len();
        prop_assert!(read_all([starts[start], &bytes].concat()).0.len() <= len);
    }

    #[test]
    fn mutated_files_never_panic_nor_deliver_more_than_they_hold(
        which in 0..4_usize,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        len: prop::sample::Index,
    ) {
        let mut file = match which {
            0 => pcap(Little, MICROS),
            1 => pcapng(),
            2 => gzip(&pcapng()),
            _ => zstd(&pcapng()),
        };
        for (index, value) in flips {
            let index = index.index(file.len());
            file[index] = value;
        }
        file.truncate(len.index(file.len()) + 1);
        let (packets, _) = read_all(file);
        let bytes: usize = packets.iter().map(|packet| packet.data.len() + 16).sum();
        prop_assert!(which > 1 || bytes <= 1_000);
    }
}
