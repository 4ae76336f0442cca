//! Live capture on the loopback interface, skipped where it is not permitted.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{LiveOptions, LiveSource, list_interfaces};
use crate::capture::{CaptureError, CaptureEvent, CaptureSource};
use crate::packet::{Decoded, Transport, decode};

fn open(options: &LiveOptions) -> Option<(LiveSource, Arc<AtomicBool>)> {
    let stop = Arc::new(AtomicBool::new(false));
    match LiveSource::open(options, stop.clone()) {
        Ok(source) => Some((source, stop)),
        Err(CaptureError::NoPermission { message, .. }) => {
            println!("skipped: capturing is not permitted ({message})");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn packets_on_loopback_come_once_each_then_idle_then_the_end_when_told() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = receiver.local_addr().unwrap();
    for interface in ["lo", "any"] {
        let filter = Some(format!("udp and dst port {}", address.port()));
        let options = LiveOptions { filter, buffer_bytes: 4 << 20, ..LiveOptions::new(interface) };
        let Some((mut source, stop)) = open(&options) else { return };
        for n in 0..100_u8 {
            receiver.send_to(&[n; 50], address).unwrap();
        }
        let (mut payloads, mut idle) = (Vec::new(), 0);
        // A machine that is busy may be late with the first, and there must be none after the last.
        while idle < if payloads.len() < 100 { 200 } else { 5 } {
            match source.next().unwrap() {
                CaptureEvent::Packet(packet) => match decode(&packet) {
                    Decoded::Segment(segment) if segment.transport == Transport::Udp => {
                        assert_eq!((segment.payload.len(), segment.destination.port), (50, address.port()));
                        payloads.push(segment.payload[0]);
                        idle = 0;
                    }
                    other => panic!("{other:?}"),
                },
                CaptureEvent::Idle => idle += 1,
                _ => panic!("nobody told it to end"),
            }
        }
        // Packets that pass on different processors may change places.
        payloads.sort_unstable();
        assert_eq!(payloads, (0..100).collect::<Vec<u8>>(), "{interface}");
        let stats = source.stats();
        assert_eq!((stats.packets, stats.kernel_drops), (100, 0));
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(source.next(), Ok(CaptureEvent::End)));
    }
}

#[test]
fn a_short_snaplen_cuts_and_is_counted() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = receiver.local_addr().unwrap();
    let filter = Some(format!("udp and dst port {}", address.port()));
    let Some((mut source, _)) = open(&LiveOptions { filter, snaplen: 64, ..LiveOptions::new("lo") }) else { return };
    receiver.send_to(&[1; 500], address).unwrap();
    for _ in 0..200 {
        if let CaptureEvent::Packet(packet) = source.next().unwrap() {
            assert_eq!((packet.data.len(), packet.origlen), (64, 542));
            break;
        }
    }
    assert_eq!(source.stats().truncated, 1);
}

#[test]
fn an_interface_that_does_not_exist_is_named_beside_those_that_do() {
    let stop = Arc::new(AtomicBool::new(false));
    match LiveSource::open(&LiveOptions::new("absent0"), stop) {
        Err(CaptureError::NoInterface { available, .. }) => assert!(available.iter().any(|name| name == "lo")),
        Err(CaptureError::NoPermission { .. }) => println!("skipped: capturing is not permitted"),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("captures on an interface that does not exist"),
    }
}

#[test]
fn a_bad_filter_is_refused_when_capture_is_opened() {
    let options = LiveOptions { filter: Some("tcp prot 1".to_owned()), ..LiveOptions::new("lo") };
    match LiveSource::open(&options, Arc::new(AtomicBool::new(false))) {
        Err(CaptureError::BadFilter { message, .. }) => assert!(message.contains("syntax error"), "{message}"),
        Err(CaptureError::NoPermission { .. }) => println!("skipped: capturing is not permitted"),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("captures with a bad filter"),
    }
}

#[test]
fn loopback_is_listed_with_its_address() {
    let interfaces = list_interfaces().unwrap();
    if let Some(lo) = interfaces.iter().find(|interface| interface.name == "lo") {
        assert!(lo.addresses.iter().any(std::net::IpAddr::is_loopback) || !lo.is_up);
    }
}
