//! What a DeepFlow plugin gives back: flags (1: from a server, 2: the plugin imports what only the first eras had), then a
//! batch of records, which is decoded as each era would have it; also what HTTP hooks of the first eras gave back.

#![no_main]

use protap::plugin::deepflow::era::Decoder;
use protap::plugin::deepflow::record::AppRecord;

/// Attributes of a record, trace ids and fields of our own included.
const MAX_ATTRIBUTES: usize = 256 + 16;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((flags, batch)) = data.split_first() else { return };
    let is_response = flags & 1 != 0;
    let mut decoder = Decoder::new(flags & 2 != 0);
    let first = decoder.decode(batch, is_response);
    let era = decoder.era();
    if let Some(records) = &first {
        // Whatever it was taken for, a pinned plugin's record says the same again.
        if era.is_some() {
            assert_eq!(decoder.decode(batch, is_response).as_ref(), Some(records));
            assert_eq!(decoder.era(), era);
        }
    }
    let http_result = AppRecord::decode_http_result(batch);
    for record in first.into_iter().flatten().chain(http_result) {
        let content = record.into_content(is_response, Some("fuzz"));
        let extra = content.extra.expect("there is the name of the protocol");
        assert!(extra.attributes.len() <= MAX_ATTRIBUTES);
        let mut names: Vec<&String> = extra.attributes.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), extra.attributes.len(), "each name once");
    }
});
