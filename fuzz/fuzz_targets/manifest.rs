//! A module file as far as it is read before anything is compiled, or, if it is no Wasm, the JSON of a manifest.

#![no_main]

use protap::plugin::manifest::Manifest;
use protap::plugin::module::inspect;
use protap_plugin::contract::MAX_WINDOW;

fn parse(json: &[u8]) {
    let Ok(manifest) = Manifest::parse(json) else { return };
    assert!((64..=MAX_WINDOW).contains(&manifest.window));
    assert!(!manifest.protocols.is_empty());
    let json = serde_json::to_vec(&manifest).expect("a manifest can be written");
    assert_eq!(Manifest::parse(&json).as_ref(), Ok(&manifest), "written and read again");
    let identity = manifest.identity();
    assert_eq!(identity.attributes.len(), manifest.attributes.len());
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    match inspect(data) {
        Ok(found) => {
            let _ = found.check();
            parse(&found.manifest);
        }
        Err(error) => {
            let _ = error.to_string();
            parse(data);
        }
    }
});
