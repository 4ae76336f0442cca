//! Packets built by hand from the RFCs, and by etherparse as an independent encoder.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{PacketBuilder, VlanId};
use proptest::prelude::{any, prop};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::{
    Decoded, Endpoint, FlowKey, Ignored, IpPacket, Linktype, RawPacket, Segment, TcpFields, Transport, decode,
};

const KNOWN_LINKTYPES: [u16; 10] = [0, 1, 12, 14, 101, 108, 113, 228, 229, 276];

/// TCP from port 1000 to 9092, seq 7, ack 9, flags PSH and ACK, no options.
const TCP: [u8; 20] = [3, 232, 35, 132, 0, 0, 0, 7, 0, 0, 0, 9, 0x50, 0x18, 255, 255, 0, 0, 0, 0];
/// UDP from port 1000 to 53, of 3 bytes.
const UDP: [u8; 8] = [3, 232, 0, 53, 0, 11, 0, 0];

fn concat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// IPv4 from 10.0.0.1 to 10.0.0.2 without options.
fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (20 + payload.len() as u16).to_be_bytes();
    concat(&[&[0x45, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], payload])
}

/// IPv6 from fe80::1 to fe80::2.
fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (payload.len() as u16).to_be_bytes();
    let address = |last| [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    concat(&[&[0x60, 0, 0, 0, high, low, next_header, 64], &address(1), &address(2), payload])
}

fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    concat(&[&[2; 12], &ethertype.to_be_bytes(), payload])
}

fn tcp(payload: &[u8]) -> Vec<u8> {
    concat(&[&TCP, payload])
}

fn packet(linktype: Linktype, data: &[u8]) -> RawPacket<'_> {
    RawPacket { number: 5, at: 42, linktype, interface: 0, origlen: data.len() as u32, data }
}

/// What is told of a flow at a glance is what its segment says.
#[track_caller]
fn assert_same_flow(packet: &RawPacket<'_>, segment: &Segment<'_>) -> bool {
    let glance = IpPacket::of(packet).unwrap().flow_key();
    assert!(glance.is_none_or(|key| key == FlowKey::of(segment)), "{glance:?} is not the flow of {segment:?}");
    glance.is_some()
}

fn segment<'a>(packet: &RawPacket<'a>) -> Segment<'a> {
    match decode(packet) {
        Decoded::Segment(segment) => {
            assert_same_flow(packet, &segment);
            segment
        }
        Decoded::Ignored(reason) => panic!("ignored as {reason:?}"),
    }
}

fn payload_of(linktype: Linktype, data: &[u8]) -> (Vec<u8>, u32) {
    let packet = packet(linktype, data);
    let segment = segment(&packet);
    (segment.payload.to_vec(), segment.payload_len)
}

fn reason(linktype: Linktype, data: &[u8]) -> Option<Ignored> {
    reason_of(&packet(linktype, data))
}

fn reason_of(packet: &RawPacket<'_>) -> Option<Ignored> {
    match decode(packet) {
        Decoded::Segment(_) => None,
        Decoded::Ignored(reason) => Some(reason),
    }
}

#[test]
fn tcp_over_ethernet_gives_every_field() {
    let data = ethernet(0x0800, &ipv4(6, &tcp(b"hello")));
    let endpoint = |last, port| Endpoint { ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), port };
    assert_eq!(
        segment(&packet(Linktype::ETHERNET, &data)),
        Segment {
            transport: Transport::Tcp,
            source: endpoint(1, 1000),
            destination: endpoint(2, 9092),
            tcp: TcpFields { seq: 7, ack: Some(9), syn: false, fin: false, rst: false },
            payload: b"hello",
            payload_len: 5,
            at: 42,
            packet: 5,
        }
    );
}

#[test]
fn each_tcp_flag_is_told_apart_and_ack_needs_its_bit() {
    for (flags, syn, fin, rst, ack) in [
        (0x02, true, false, false, None),
        (0x12, true, false, false, Some(9)),
        (0x11, false, true, false, Some(9)),
        (0x04, false, false, true, None),
        (0xe8, false, false, false, None),
    ] {
        let mut header = TCP;
        header[13] = flags;
        let data = ipv4(6, &header);
        let expected = TcpFields { seq: 7, ack, syn, fin, rst };
        assert_eq!(segment(&packet(Linktype::RAW, &data)).tcp, expected, "{flags:#x}");
    }
}

#[test]
fn udp_over_ipv6_ends_where_its_length_says() {
    let data = ipv6(17, &concat(&[&UDP, b"abc and more"]));
    let packet = packet(Linktype::RAW, &data);
    let segment = segment(&packet);
    assert_eq!((segment.transport, segment.payload, segment.payload_len), (Transport::Udp, &b"abc"[..], 3));
    assert_eq!(segment.source.ip, IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)));
    assert_eq!((segment.source.port, segment.destination.port), (1000, 53));
    assert_eq!(segment.tcp, TcpFields::default());
}

#[test]
fn every_link_header_leads_to_the_same_segment() {
    let (v4, v6) = (ipv4(6, &tcp(b"x")), ipv6(6, &tcp(b"x")));
    let cooked = |ethertype: &[u8], ip: &[u8]| concat(&[&[0; 14], ethertype, ip]);
    let cooked_v2 = |ethertype: &[u8], ip: &[u8]| concat(&[ethertype, &[0; 18], ip]);
    let vlan = |tags: &[u8], ip: &[u8]| concat(&[&[2; 12], tags, ip]);
    let cases = [
        (1, vlan(&[0x81, 0, 0, 5, 0x08, 0], &v4)),
        (1, vlan(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 0x86, 0xdd], &v6)),
        (1, vlan(&[0x91, 0, 0, 5, 0x92, 0, 0, 6, 0x81, 0, 0, 7, 0x08, 0], &v4)),
        (113, cooked(&[0x08, 0], &v4)),
        (113, cooked(&[0x81, 0, 0, 5, 0x86, 0xdd], &v6)),
        (276, cooked_v2(&[0x08, 0], &v4)),
        (276, cooked_v2(&[0x86, 0xdd], &v6)),
        (0, concat(&[&[2, 0, 0, 0], &v4])),
        (0, concat(&[&[0, 0, 0, 2], &v4])),
        (0, concat(&[&[30, 0, 0, 0], &v6])),
        (0, concat(&[&[0, 0, 0, 24], &v6])),
        (108, concat(&[&[0, 0, 0, 2], &v4])),
        (108, concat(&[&[0, 0, 0, 28], &v6])),
        (101, v4.clone()),
        (12, v6.clone()),
        (14, v4.clone()),
        (228, v4),
        (229, v6),
    ];
    for (linktype, data) in cases {
        assert_eq!(payload_of(Linktype(linktype), &data), (b"x".to_vec(), 1), "linktype {linktype}: {data:02x?}");
    }
}

#[test]
fn what_is_not_ip_is_counted_as_such() {
    assert_eq!(reason(Linktype::ETHERNET, &ethernet(0x0806, &[0; 28])), Some(Ignored::NotIp), "ARP");
    assert_eq!(reason(Linktype::ETHERNET, &ethernet(0x0026, &[0; 38])), Some(Ignored::NotIp), "802.3");
    assert_eq!(reason(Linktype::NULL, &[7, 0, 0, 0, 1, 2]), Some(Ignored::NotIp));
    assert_eq!(reason(Linktype::RAW, &[0x55; 40]), Some(Ignored::NotIp));
    assert_eq!(reason(Linktype(105), &[0; 40]), Some(Ignored::UnknownLinktype));
}

#[test]
fn a_packet_too_short_for_its_headers_on_the_wire_is_malformed() {
    assert_eq!(reason(Linktype::ETHERNET, &[0; 13]), Some(Ignored::MalformedLink));
    assert_eq!(reason(Linktype::RAW, &[]), Some(Ignored::MalformedLink));
    assert_eq!(reason(Linktype::ETHERNET, &ethernet(0x8100, &[0; 3])), Some(Ignored::MalformedLink));
    assert_eq!(reason(Linktype::RAW, &ipv4(6, &[])[..19]), Some(Ignored::MalformedIp));
    assert_eq!(reason(Linktype::RAW, &ipv6(6, &[])[..39]), Some(Ignored::MalformedIp));
    assert_eq!(reason(Linktype::RAW, &ipv4(6, &TCP[..19])), Some(Ignored::MalformedTransport));
    assert_eq!(reason(Linktype::RAW, &ipv4(17, &UDP[..7])), Some(Ignored::MalformedTransport));
}

#[test]
fn header_lengths_that_contradict_themselves_are_malformed() {
    let with = |index: usize, value: u8| {
        let mut data = ipv4(6, &tcp(b"x"));
        data[index] = value;
        reason(Linktype::RAW, &data)
    };
    assert_eq!(with(0, 0x44), Some(Ignored::MalformedIp), "IPv4 header of 16 bytes");
    assert_eq!(with(3, 19), Some(Ignored::MalformedIp), "total length below the header");
    assert_eq!(with(0, 0x4f), Some(Ignored::MalformedIp), "options beyond the total length");
    assert_eq!(with(32, 0x40), Some(Ignored::MalformedTransport), "TCP header of 16 bytes");
    assert_eq!(with(32, 0x60), Some(Ignored::MalformedTransport), "TCP options beyond the packet");
    assert_eq!(reason(Linktype::ETHERNET, &ethernet(0x86dd, &ipv4(6, &TCP))), Some(Ignored::MalformedIp));
    let mut udp = UDP;
    udp[5] = 7;
    assert_eq!(reason(Linktype::RAW, &ipv4(17, &udp)), Some(Ignored::MalformedTransport));
}

#[test]
fn ethernet_padding_is_not_payload() {
    let data = concat(&[&ethernet(0x0800, &ipv4(6, &TCP)), &[0; 6]]);
    assert_eq!(payload_of(Linktype::ETHERNET, &data), (vec![], 0));
    let data = concat(&[&ethernet(0x86dd, &ipv6(17, &UDP)), b"abcdef"]);
    assert_eq!(payload_of(Linktype::ETHERNET, &data), (vec![], 0), "nor is it where UDP claims more than IP");
}

#[test]
fn a_length_of_zero_is_taken_from_the_wire() {
    let big = vec![b'x'; 70_000];
    for data in [ipv4(6, &tcp(&big)), ipv4(6, &tcp(b"small"))] {
        let mut data = data;
        data[2..4].fill(0);
        let len = data.len() as u32 - 40;
        let cut = RawPacket { origlen: data.len() as u32, ..packet(Linktype::RAW, &data[..44]) };
        assert_eq!((segment(&cut).payload.len(), segment(&cut).payload_len), (4, len));
    }
    let mut data = ipv6(6, &tcp(&big));
    data[4..6].fill(0);
    assert_eq!(payload_of(Linktype::RAW, &data), (big, 70_000));
}

#[test]
fn an_ip_length_beyond_the_wire_is_cut_to_the_wire() {
    let mut data = ipv4(6, &tcp(b"abc"));
    data[2..4].copy_from_slice(&1500_u16.to_be_bytes());
    assert_eq!(payload_of(Linktype::RAW, &data), (b"abc".to_vec(), 3));
}

#[test]
fn options_and_extension_headers_are_passed_over() {
    let mut options = ipv4(6, &[&[1; 8][..], &tcp(b"x")].concat());
    options[0] = 0x47;
    assert_eq!(payload_of(Linktype::RAW, &options).0, b"x");
    let mut header = TCP;
    header[12] = 0x80;
    assert_eq!(payload_of(Linktype::RAW, &ipv4(6, &concat(&[&header, &[1; 12], b"x"]))).0, b"x");
    let extensions = concat(&[
        &[43, 0, 1, 4, 0, 0, 0, 0],                         // hop-by-hop, then routing
        &[60, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], // 16 bytes of routing, then destination options
        &[51, 0, 1, 4, 0, 0, 0, 0],                         // then AH
        &[44, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3], // (4 + 2) * 4 bytes of AH
        &[0, 0, 0, 4, 0, 0, 0, 5],                          // its end; then a fragment header
        &[6, 0, 0, 0, 0, 0, 0, 9],                          // an atomic fragment, then TCP
        &tcp(b"x"),
    ]);
    assert_eq!(payload_of(Linktype::RAW, &ipv6(0, &extensions)), (b"x".to_vec(), 1));
}

#[test]
fn the_flow_is_told_at_a_glance_unless_headers_are_in_the_way() {
    let mut options = ipv4(17, &[&[1; 4][..], &UDP, b"abc"].concat());
    options[0] = 0x46;
    let extension = concat(&[&[6, 0, 1, 4, 0, 0, 0, 0], &tcp(b"x")]);
    for (data, is_told) in [
        (ipv4(6, &tcp(b"x")), true),
        (options, true),
        (ipv6(17, &concat(&[&UDP, b"abc"])), true),
        (ipv6(0, &extension), false),
    ] {
        let packet = packet(Linktype::RAW, &data);
        assert_eq!(assert_same_flow(&packet, &segment(&packet)), is_told, "{data:?}");
    }
}

#[test]
fn fragments_are_told_also_the_first_and_the_last() {
    for flags in [[0x20, 0], [0x20, 1], [0, 1]] {
        let mut data = ipv4(17, &concat(&[&UDP, b"abc"]));
        data[6..8].copy_from_slice(&flags);
        assert_eq!(reason(Linktype::RAW, &data), Some(Ignored::Fragment));
    }
    for [high, low] in [[0, 1], [0, 9], [0, 8]] {
        let data = ipv6(44, &concat(&[&[17, 0, high, low, 0, 0, 0, 1], &UDP, b"abc"]));
        assert_eq!(reason(Linktype::RAW, &data), Some(Ignored::Fragment));
    }
    let mut whole = ipv4(17, &concat(&[&UDP, b"abc"]));
    whole[6] = 0x40;
    assert_eq!(reason(Linktype::RAW, &whole), None, "do-not-fragment is no fragment");
}

#[test]
fn other_transports_are_counted_as_such() {
    for protocol in [1, 2, 47, 132] {
        assert_eq!(reason(Linktype::RAW, &ipv4(protocol, &[0; 40])), Some(Ignored::OtherTransport));
    }
    assert_eq!(reason(Linktype::RAW, &ipv6(58, &[0; 40])), Some(Ignored::OtherTransport));
    assert_eq!(reason(Linktype::RAW, &ipv6(59, &[])), Some(Ignored::OtherTransport), "no next header");
}

#[test]
fn whatever_the_snaplen_cuts_is_truncated_until_the_header_is_whole_then_only_payload_is_missing() {
    let mut header = TCP;
    header[12] = 0x80;
    for data in [
        ethernet(0x0800, &ipv4(6, &concat(&[&header, &[1; 12], b"hello"]))),
        ethernet(0x86dd, &ipv6(0, &concat(&[&[6, 0, 0, 0, 0, 0, 0, 0], &header, &[1; 12], b"hello"]))),
    ] {
        // What follows the TCP flags is not needed.
        let needed = data.len() - 5 - 32 + 14;
        for len in 0..data.len() {
            let cut = RawPacket { origlen: data.len() as u32, ..packet(Linktype::ETHERNET, &data[..len]) };
            if len < needed {
                assert_eq!(reason_of(&cut), Some(Ignored::Truncated), "{len} bytes kept");
            } else {
                let segment = segment(&cut);
                assert_eq!((segment.payload_len, segment.tcp.seq), (5, 7));
                assert_eq!(segment.payload, &b"hello"[..(len + 5).saturating_sub(data.len())]);
            }
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(data: Vec<u8>, kind in 0..KNOWN_LINKTYPES.len(), origlen: u32) {
        let packet = RawPacket { origlen, ..packet(Linktype(KNOWN_LINKTYPES[kind]), &data) };
        if let Decoded::Segment(segment) = decode(&packet) {
            assert_same_flow(&packet, &segment);
            prop_assert!(segment.payload.len() <= segment.payload_len as usize);
            prop_assert!(segment.payload_len <= origlen.max(data.len() as u32));
        }
    }

    #[test]
    fn damaged_packets_never_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        kept: prop::sample::Index,
        kind in 0..3,
    ) {
        let mut data = match kind {
            0 => ethernet(0x86dd, &ipv6(0, &concat(&[&[6, 0, 0, 0, 0, 0, 0, 0], &tcp(b"hello")]))),
            1 => ethernet(0x86dd, &ipv6(6, &tcp(b"hello"))),
            _ => ethernet(0x0800, &ipv4(6, &tcp(b"hello"))),
        };
        for (index, value) in flips {
            let index = index.index(data.len());
            data[index] = value;
        }
        let packet = RawPacket { data: &data[..kept.index(data.len())], ..packet(Linktype::ETHERNET, &data) };
        if let Decoded::Segment(segment) = decode(&packet) {
            assert_same_flow(&packet, &segment);
            prop_assert!(segment.payload.len() <= segment.payload_len as usize);
        }
    }

    #[test]
    fn what_etherparse_encodes_is_decoded(
        addresses: (u32, u32),
        ports: (u16, u16),
        seq: u32,
        ack: Option<u32>,
        flags: (bool, bool, bool),
        window: u16,
        payload in prop::collection::vec(any::<u8>(), 0..200),
        vlan: u16,
    ) {
        let (syn, fin, rst) = flags;
        let (source, destination) = (Ipv4Addr::from(addresses.0), Ipv4Addr::from(addresses.1));
        let link = PacketBuilder::ethernet2([1; 6], [2; 6]);
        let (outer, inner) = (VlanId::try_new(vlan & 0xfff).unwrap(), VlanId::try_new(9).unwrap());
        let tagged = if vlan > 0xfff { link.double_vlan(outer, inner) } else { link.single_vlan(outer) };
        let mut builder = tagged.ipv4(source.octets(), destination.octets(), 64).tcp(ports.0, ports.1, seq, window);
        if let Some(ack) = ack {
            builder = builder.ack(ack);
        }
        builder = if syn { builder.syn() } else { builder };
        builder = if fin { builder.fin() } else { builder };
        builder = if rst { builder.rst() } else { builder };
        let mut data = Vec::new();
        builder.write(&mut data, &payload).unwrap();

        let packet = packet(Linktype::ETHERNET, &data);
        let segment = segment(&packet);
        prop_assert_eq!(segment.source, Endpoint { ip: source.into(), port: ports.0 });
        prop_assert_eq!(segment.destination, Endpoint { ip: destination.into(), port: ports.1 });
        prop_assert_eq!(segment.tcp, TcpFields { seq, ack, syn, fin, rst });
        prop_assert_eq!(segment.payload, &payload[..]);
        prop_assert_eq!(segment.payload_len as usize, payload.len());
    }
}
