//! Records against golden buffers, whole and cut, and what a strict decoder must not take.

use proptest::prelude::{prop, proptest};

use super::{AppRecord, Business, Info, Merge, RequestInfo, ResponseInfo, Trace};
use crate::plugin::deepflow::era::{Decoder, Era};
use crate::plugin::deepflow::golden::golden;
use crate::record::Status;

const ERAS: [(&str, Era); 4] = [("l0", Era::L0), ("l1", Era::L1), ("l3", Era::L3), ("l4", Era::L4)];

fn request() -> AppRecord {
    AppRecord {
        request_len: Some(32),
        request_id: Some(7),
        info: Info::Request(RequestInfo {
            type_name: "GET".to_owned(),
            endpoint: "/item".to_owned(),
            domain: "shop".to_owned(),
            resource: "item/1".to_owned(),
            version: String::new(),
        }),
        ..AppRecord::default()
    }
}

fn response() -> AppRecord {
    AppRecord {
        response_len: Some(64),
        request_id: Some(7),
        info: Info::Response(ResponseInfo {
            status: Status::ServerError,
            code: Some(500),
            result: "done".to_owned(),
            exception: "boom!".to_owned(),
            ..ResponseInfo::default()
        }),
        trace: Trace { trace_id: "t1".to_owned(), span_id: "s1".to_owned(), ..Trace::default() },
        attributes: vec![("k".to_owned(), "v".to_owned()), ("a".to_owned(), String::new())],
        ..AppRecord::default()
    }
}

fn decoded(decoder: &mut Decoder, name: &str, is_response: bool) -> AppRecord {
    let mut records = decoder.decode(&golden(name), is_response).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(records.len(), 1);
    records.remove(0)
}

#[test]
fn records_of_every_era_say_what_the_goldens_say_and_pin_it() {
    for (name, era) in ERAS {
        let protocol = if era == Era::L4 { "toy".to_owned() } else { String::new() };
        let has_http_result = era <= Era::L1;
        let mut decoder = Decoder::new(has_http_result);
        let expected = AppRecord { protocol: protocol.clone(), ..request() };
        assert_eq!(decoded(&mut decoder, &format!("{name}_request"), false), expected);
        assert_eq!(decoder.era(), Some(era), "{name}");
        let mut decoder = Decoder::new(has_http_result);
        let kind = if era >= Era::L3 { 5 } else { 0 };
        let expected = AppRecord {
            protocol,
            merge: if era == Era::L0 { Merge::Whole } else { Merge::Last },
            business: Business { kind, ..Business::default() },
            ..response()
        };
        assert_eq!(decoded(&mut decoder, &format!("{name}_response"), true), expected);
        assert_eq!(decoder.era(), Some(era), "{name}");
    }
    assert_eq!(ERAS.map(|(name, _)| golden(&format!("{name}_request")).len()), [43, 44, 45, 50]);
}

#[test]
fn without_the_import_of_the_first_eras_it_is_the_third() {
    let mut decoder = Decoder::new(false);
    decoded(&mut decoder, "l1_request", false);
    assert_eq!(decoder.era(), Some(Era::L2));
}

#[test]
fn a_pinned_plugin_is_of_one_era() {
    for (name, _) in ERAS {
        let mut decoder = Decoder::new(false);
        decoded(&mut decoder, &format!("{name}_request"), false);
        for (other, _) in ERAS.into_iter().filter(|(other, _)| *other != name) {
            assert_eq!(decoder.decode(&golden(&format!("{other}_request")), false), None, "{name}, then {other}");
        }
    }
}

#[test]
fn a_batch_holds_several_records() {
    let mut decoder = Decoder::new(false);
    let records = decoder.decode(&golden("l4_batch"), false).unwrap();
    let empty = AppRecord { info: Info::Request(RequestInfo::default()), ..AppRecord::default() };
    assert_eq!((records, decoder.era()), (vec![empty.clone(), empty], Some(Era::L4)));
    assert_eq!(decoder.decode(&[], false), None);
}

#[test]
fn protobuf_records_say_what_the_goldens_say() {
    let mut decoder = Decoder::new(false);
    let mut expected = AppRecord { protocol: "toy".to_owned(), ..request() };
    if let Info::Request(request) = &mut expected.info {
        request.version = "1.1".to_owned();
    }
    let text = str::to_owned;
    expected.trace = Trace {
        trace_id: text("t1"),
        span_id: text("s1"),
        parent_span_id: text("p1"),
        x_request_id: text("x1"),
        http_proxy_client: text("1.2.3.4"),
        trace_ids: vec![text("t2")],
    };
    expected.attributes = vec![(text("k"), text("v"))];
    expected.business = Business { kind: 5, code: text("B1"), ..Business::default() };
    assert_eq!(decoded(&mut decoder, "pb_request", false), expected);
    assert_eq!(decoder.era(), Some(Era::Pb));
    let mut expected = AppRecord {
        merge: Merge::Last,
        is_async: true,
        trace: Trace::default(),
        attributes: Vec::new(),
        business: Business { response_code: text("R1"), ..Business::default() },
        ..response()
    };
    if let Info::Response(response) = &mut expected.info {
        response.code = Some(-1);
        response.type_name = text("GET");
        response.endpoint = text("/item");
    }
    assert_eq!(decoded(&mut decoder, "pb_response", true), expected);
    assert_eq!(decoder.decode(&golden("pb_no_status"), true), None);
}

#[test]
fn what_http_hooks_of_the_first_eras_gave_back_is_a_trace_and_attributes() {
    let golden = golden("http_result");
    let record = AppRecord::decode_http_result(&golden).unwrap();
    assert_eq!((record.trace, record.attributes.len()), (response().trace, 1));
    assert!(AppRecord::decode_http_result(&[2]).is_none());
    assert!(AppRecord::decode_http_result(&golden[..golden.len() - 1]).is_none());
}

#[test]
fn no_prefix_of_a_batch_is_one() {
    for (name, is_response) in ["l0", "l1", "l3", "l4", "pb"]
        .into_iter()
        .flat_map(|era| [(format!("{era}_request"), false), (format!("{era}_response"), true)])
    {
        let golden = golden(&name);
        for len in 0..golden.len() {
            assert_eq!(Decoder::new(false).decode(&golden[..len], is_response), None, "{name} {len}");
        }
    }
}

#[test]
fn no_byte_of_a_fixed_value_may_differ() {
    let golden = golden("l4_request");
    let record = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut batch = golden.clone();
        change(&mut batch);
        Decoder::new(false).decode(&batch, false)
    };
    assert!(record(&|_| {}).is_some());
    let end = golden.len();
    // has_request_id, merge, has_trace, has_attributes; a length that is neither there nor absent.
    for (at, byte) in [(10, 2), (end - 4, 1), (end - 4, 0x82), (end - 3, 2), (end - 2, 2), (6, 1)] {
        assert_eq!(record(&|batch| batch[at] = byte), None, "{byte:#x} at {at}");
    }
    // A string that is not UTF-8 says nothing of the era.
    assert_eq!(record(&|batch| batch[17] = 0xff), None);
    let mut pinned = Decoder::new(false);
    pinned.decode(&golden, false).unwrap();
    let mut batch = golden.clone();
    batch[17] = 0xff;
    assert_eq!(pinned.decode(&batch, false).unwrap()[0].replaced_strings, 1);
}

proptest! {
    #[test]
    fn nothing_that_is_given_back_breaks_the_decoder(batch: Vec<u8>, is_response: bool, has_http_result: bool) {
        let frame = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
        let protobuf = frame(&[b"PB", &batch[..]].concat());
        for bytes in [batch.clone(), frame(&batch), protobuf] {
            let mut decoder = Decoder::new(has_http_result);
            let records = decoder.decode(&bytes, is_response);
            if let Some(records) = records {
                let _ = decoder.decode(&bytes, is_response);
                records.into_iter().for_each(|record| drop(record.into_content(is_response, None)));
            }
            let _ = AppRecord::decode_http_result(&bytes);
        }
    }

    /// A golden record in which a few bytes differ is one of one era, or none.
    #[test]
    fn damaged_records_do_not_break_the_decoder(which in 0_usize..10, damage: Vec<(prop::sample::Index, u8)>) {
        let name = ["l0", "l1", "l3", "l4", "pb"][which / 2];
        let is_response = which % 2 == 1;
        let mut batch = golden(&format!("{name}_{}", if is_response { "response" } else { "request" }));
        for (at, byte) in damage.into_iter().take(4) {
            let at = at.index(batch.len());
            batch[at] = byte;
        }
        let _ = Decoder::new(false).decode(&batch, is_response);
    }
}
