//! What a DeepFlow plugin wants to be called for, and what it is told: 16 bytes of a hook bitmap, 8 of a custom message's
//! hook, then numbers and strings of a call's context. What is laid out has the length that the tables give it.

#![no_main]

use arbitrary::Unstructured;
use protap::packet::{Endpoint, Transport};
use protap::plugin::deepflow::context::{About, Base};
use protap::plugin::deepflow::hooks::Hooks;
use protap::record::Status;

fn run(bytes: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let (bitmap, custom): ([u8; 16], Option<[u8; 8]>) = (bytes.arbitrary()?, bytes.arbitrary()?);
    let hooks = Hooks::new(bitmap, custom);
    let _ = hooks.to_string();
    assert!(hooks.has_message_hooks() || hooks.custom.is_none());
    let code: u32 = bytes.arbitrary()?;
    assert!(!hooks.custom.is_some_and(|hook| hook.is_all && !hook.wants(code)));
    let is_v4: bool = bytes.arbitrary()?;
    let mut end = || -> arbitrary::Result<Endpoint> {
        let ip = if is_v4 { bytes.arbitrary::<[u8; 4]>()?.into() } else { bytes.arbitrary::<[u8; 16]>()?.into() };
        Ok(Endpoint { ip, port: bytes.arbitrary()? })
    };
    let (source, destination) = (end()?, end()?);
    let process: &str = bytes.arbitrary()?;
    let base = Base {
        source,
        destination,
        transport: if bytes.arbitrary()? { Transport::Tcp } else { Transport::Udp },
        l7: bytes.arbitrary()?,
        ebpf_type: bytes.arbitrary()?,
        now: bytes.arbitrary()?,
        is_response: bytes.arbitrary()?,
        process,
        flow_id: bytes.arbitrary()?,
        buf_size: bytes.arbitrary()?,
    };
    let mut out = Vec::new();
    base.encode(&mut out);
    assert_eq!(out.len(), 28 + if is_v4 { 8 } else { 32 } + process.len().min(255));
    let texts: [&str; 4] = bytes.arbitrary()?;
    let About::HttpRequest(request) = About::http_request(texts[0], texts[1], texts[2], texts[3]) else { panic!() };
    assert_eq!(request.len(), texts.map(|text| 2 + text.len().min(65_535)).iter().sum::<usize>());
    let About::HttpResponse(response) = About::http_response(code as u16, Status::Ok, process) else { panic!() };
    let room = usize::from(bytes.arbitrary::<u16>()?);
    assert!(About::fitting(&response, room).is_none_or(|fitting| fitting.len() <= room));
    Ok(())
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = run(&mut Unstructured::new(data));
});
