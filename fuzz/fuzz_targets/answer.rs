//! A plugin's answer: the address of a result (u32, little-endian), and the memory that it lies in.

#![no_main]

use protap::plugin::content::{ContentReader, Replaced};
use protap::record::{PluginIdentity, Spares};
use protap_plugin::contract::memory::{MAX_ATTRIBUTES, MAX_FACTS, MAX_MESSAGES, Memory};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((address, memory)) = data.split_first_chunk() else { return };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let identity = PluginIdentity {
        name: "fuzz".to_owned(),
        version: "1".to_owned(),
        protocols: names(&["p", "q"]),
        attributes: names(&["str", "i64", "f64", "bool", "list", "refs"]),
        facts: names(&["f", "g"]),
    };
    let memory = Memory(memory);
    let Ok(result) = memory.result(u32::from_le_bytes(*address)) else { return };
    let (mut replaced, mut spares, mut messages) = (Replaced::default(), Spares::default(), Vec::new());
    let mut reader = ContentReader::new(memory, &identity, &mut replaced, &mut spares);
    if reader.messages(&result, &mut messages).is_ok() {
        assert!(messages.len() <= MAX_MESSAGES as usize);
        for message in messages {
            assert!(message.start <= message.end);
            assert!(usize::from(message.protocol) < identity.protocols.len());
            assert!(message.content.attributes.len() <= MAX_ATTRIBUTES as usize);
            assert!(
                message.content.attributes.iter().all(|(index, _)| usize::from(*index) < identity.attributes.len())
            );
        }
    }
    if let Ok(facts) = reader.facts(&result) {
        assert!(facts.len() <= MAX_FACTS as usize);
        assert!(facts.iter().all(|fact| (fact.namespace as usize) < identity.facts.len()));
    }
});
