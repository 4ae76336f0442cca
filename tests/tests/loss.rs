//! Bytes that a capture lacks cost the records that they belong to, and at most the message at which the search for the
//! next one looked. All other records are as ever, and none is wrong.

use protap_e2e::artifacts::{Fixture, fixture, scratch};
use protap_e2e::conversation::dialogue;
use protap_e2e::damage::{Judgement, Layout};
use protap_e2e::engine;
use protap_e2e::link::Link;
use protap_e2e::oracle::Oracle;
use protap_e2e::pcap::Capture;
use protap_e2e::records::Records;
use protap_e2e::segment::{Segment, segments, to_file};
use protap_plugin::testing::Random;

/// A capture as it was recorded, to be damaged.
struct Whole {
    fixture: Fixture,
    segments: Vec<Segment>,
    layout: Layout,
    records: Records,
}

impl Whole {
    fn new(name: &str) -> Self {
        let fixture = fixture(name);
        let segments = segments(&Capture::read(&fixture.path));
        let layout = Layout::new(&segments, &Oracle::of(&fixture));
        let records = engine::read(fixture.bytes()).records;
        Self { fixture, segments, layout, records }
    }

    /// Reads what is left of the capture, and adds what is wrong with the records to the report.
    fn judge(&self, damage: &str, file: Vec<u8>, kept: &[Segment], report: &mut String) -> Judgement {
        let outcome = engine::read(file.clone());
        let judgement = self.layout.judge(kept, &self.records, &outcome.records);
        if let Some(first) = judgement.faults.first() {
            let (name, count) = (&self.fixture.name, judgement.faults.len());
            let path = scratch("loss").join(format!("{name}, {damage}.pcap").replace([' ', ',', '/', '%'], "_"));
            std::fs::write(&path, file).expect("a temporary file can be written");
            *report += &format!("{}: {count} faults, as\n  {first}\n", path.display());
        }
        judgement
    }
}

fn whole() -> Vec<Whole> {
    [
        "kafka/noida_ck216_basic",
        "kafka/mock_ck216_group",
        "kafka/noida_ck216_comp",
        "kafka/tansu_ck216_big",
        "mongodb/secantus_pm420_crud",
        "mongodb/comp_zstd_pm420",
    ]
    .map(Whole::new)
    .into()
}

/// A way to damage a capture, with its name: which segments are kept.
type Way = (String, Box<dyn Fn(&[Segment]) -> Vec<Segment>>);

/// Damages each capture in each way.
fn damaged(ways: &[Way]) {
    let mut report = String::new();
    let mut total = Judgement::default();
    for whole in whole() {
        for (damage, keep) in ways {
            let kept = keep(&whole.segments);
            let judgement = whole.judge(damage, to_file(&kept, Link::Ethernet), &kept, &mut report);
            total.intact += judgement.intact;
            total.damaged += judgement.damaged;
            total.lost_to_resync += judgement.lost_to_resync;
        }
    }
    let Judgement { intact, damaged, lost_to_resync, .. } = total;
    println!("{intact} records intact, {damaged} damaged, {lost_to_resync} lost to resync");
    assert!(report.is_empty(), "{report}");
    assert!(lost_to_resync * 3 <= damaged + 3, "{lost_to_resync} lost to resync, {damaged} damaged");
}

fn way(name: String, keep: impl Fn(&[Segment]) -> Vec<Segment> + 'static) -> Way {
    (name, Box::new(keep))
}

#[test]
fn a_capture_that_begins_in_the_middle_costs_what_it_misses() {
    let ways: Vec<_> = (1..=12)
        .map(|part| way(format!("from {part}/13 on"), move |segments| segments[segments.len() * part / 13..].to_vec()))
        .collect();
    damaged(&ways);
}

#[test]
fn every_nth_packet_lost_costs_what_it_held() {
    let ways: Vec<_> = [(3, 0), (5, 2), (7, 0), (7, 3), (11, 5), (17, 1), (29, 7)]
        .map(|(nth, at)| {
            way(format!("without every {nth}th packet from {at} on"), move |segments: &[Segment]| {
                let kept = segments.iter().enumerate().filter(|(index, _)| index % nth != at);
                kept.map(|(_, segment)| segment.clone()).collect()
            })
        })
        .into();
    damaged(&ways);
}

#[test]
fn random_losses_cost_what_they_held() {
    let ways: Vec<_> = (0..8_u64)
        .map(|seed| {
            let percent = [1, 2, 5, 20][seed as usize % 4];
            way(format!("without {percent} %, seed {seed}"), move |segments: &[Segment]| {
                let mut random = Random::new(seed);
                segments.iter().filter(|_| random.below(100) >= percent).cloned().collect()
            })
        })
        .collect();
    damaged(&ways);
}

#[test]
fn a_burst_of_losses_costs_what_it_held() {
    let ways: Vec<_> = (0..8)
        .map(|part| {
            way(format!("without a burst at {part}/8"), move |segments: &[Segment]| {
                let from = segments.len() * part / 8 + 3;
                let burst = from..(from + 9).min(segments.len());
                let kept = segments.iter().enumerate().filter(|(index, _)| !burst.contains(index));
                kept.map(|(_, segment)| segment.clone()).collect()
            })
        })
        .collect();
    damaged(&ways);
}

/// A snaplen cuts every long packet.
#[test]
fn a_snaplen_costs_what_it_cuts() {
    let mut report = String::new();
    for whole in whole() {
        for snaplen in [96, 128, 256, 1000] {
            let mut capture = Capture::parse(&to_file(&whole.segments, Link::Ethernet)).expect("our own file");
            let mut kept = whole.segments.clone();
            for (packet, segment) in capture.packets.iter_mut().zip(&mut kept) {
                let header = packet.data.len() - segment.payload.len();
                packet.data.truncate(snaplen);
                segment.payload.truncate(snaplen - header);
            }
            whole.judge(&format!("snaplen {snaplen}"), capture.to_bytes(), &kept, &mut report);
        }
    }
    assert!(report.is_empty(), "{report}");
}

/// A Kafka request or, without a key and a version, a response.
fn kafka(head: Option<[u8; 4]>, id: u8, body: &[u8]) -> Vec<u8> {
    let client: &[u8] = if head.is_some() { b"\0\x06client" } else { b"" };
    let head = head.iter().flatten().copied();
    let frame: Vec<u8> = head.chain([0, 0, 0, id]).chain(client.iter().chain(body).copied()).collect();
    [&u32::try_from(frame.len()).expect("short").to_be_bytes()[..], &frame].concat()
}

/// The bytes that nobody saw came when nobody knows; a time-out, or the next request's time, would be made up.
#[test]
fn a_request_whose_last_packet_is_lost_is_answered_and_how_fast_is_not_known() {
    let topic = b"\0\0\0\x01\0\x05topic\0\0\0\x01\0\0\0\0";
    let batch = [&[0; 8][..], &2049_u32.to_be_bytes(), &[0; 4], &[2], &[0; 44], &[b'z'; 2000]].concat();
    let len = u32::try_from(batch.len()).expect("short").to_be_bytes();
    let produce = kafka(Some([0, 0, 0, 2]), 2, &[&[0, 1, 0, 0, 5, 0xdc][..], topic, &len, &batch].concat());
    let produced = [topic.as_slice(), &[0, 0], &[0; 8], &[0xff; 8], &[0; 4]].concat();
    let payloads = [
        (true, kafka(Some([0, 18, 0, 0]), 1, &[])),
        (false, kafka(None, 1, &[0, 0, 0, 0, 0, 0])),
        (true, produce[..1400].to_vec()),
        (true, produce[1400..].to_vec()),
        (false, kafka(None, 2, &produced)),
        (true, kafka(Some([0, 3, 0, 1]), 3, b"\0\0\0\x01\0\x05topic")),
        (false, kafka(None, 3, &[0; 12])),
    ];
    let ends = (([10, 0, 0, 1], 40_000).into(), ([10, 0, 0, 2], 9092).into());
    let whole = dialogue(ends, 1_767_225_600_000_000_000, payloads);
    let lost = whole.iter().position(|segment| segment.payload == produce[1400..]).expect("it was sent");
    for without in [None, Some(lost)] {
        let kept = whole.iter().enumerate().filter(|(index, _)| Some(*index) != without);
        let kept: Vec<_> = kept.map(|(_, segment)| segment.clone()).collect();
        let records = engine::read(to_file(&kept, Link::Ethernet)).records.parsed();
        let told: Vec<_> = records
            .iter()
            .map(|record| {
                (record["kind"].as_str(), record["response"]["status"].as_str(), record["latency_ns"].as_u64())
            })
            .collect();
        let latency = if without.is_some() { None } else { Some(50_000) };
        let session = |latency| (Some("session"), Some("ok"), latency);
        assert_eq!(told, [session(Some(50_000)), session(latency), session(Some(50_000))], "without {without:?}");
    }
}
