//! Who is asked first, and who wins, with plugins that always say the same.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use protap_plugin::contract::probe;

use super::{FlowFacts, Head, Piece, Verdict};
use crate::packet::{Endpoint, Transport};
use crate::plugin::instance::Call;
use crate::plugin::native::{NativeFactory, NativeGuest};
use crate::plugin::{Plugin, PluginSet};
use crate::reassembly::{Direction, Heard};
use crate::running::RunningPlugins;

/// Says that of every flow.
struct Says<const VERDICT: u8>(Vec<u8>);

impl<const VERDICT: u8> NativeGuest for Says<VERDICT> {
    fn input(&mut self, len: usize) -> &mut [u8] {
        self.0.resize(len, 0);
        &mut self.0
    }
    fn configure(&mut self, _: usize) -> u32 {
        0
    }
    fn probe(&mut self, _: usize, _: usize, _: u32, _: u32) -> u64 {
        VERDICT.into()
    }
    fn open(&mut self) -> u32 {
        1
    }
    fn close(&mut self, _: u32) {}
    fn parse(&mut self, _: &Call, _: usize) -> u32 {
        0
    }
    fn resync(&mut self, _: &Call, _: usize) -> u32 {
        0
    }
    fn memory(&self) -> &[u8] {
        &[]
    }
}

fn plugin<const VERDICT: u8>(name: &str, ports: &[u16]) -> Plugin {
    let manifest = format!(r#"{{"contract":"1.0","name":"{name}","version":"1","ports":{ports:?}}}"#);
    Plugin::native(NativeFactory::new(manifest.into_bytes(), || Box::new(Says::<VERDICT>(Vec::new())))).unwrap()
}

/// Which plugin claims a flow to that port, and how often each was called.
fn claimed(plugins: [Plugin; 2], port: u16) -> (Option<usize>, Vec<u64>) {
    let mut set = PluginSet::default();
    plugins.into_iter().for_each(|plugin| assert!(set.add(plugin).is_none()));
    let mut running = RunningPlugins::new(Arc::new(set));
    let end = |port| Endpoint { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port };
    let (transport, ends) = (Transport::Tcp, (end(50_000), end(port)));
    let facts = FlowFacts { id: 1, transport, ends, is_opened: true, processes: None, now: 0 };
    let mut head = Head::default();
    head.push(&Piece { direction: Direction::ToServer, bytes: b"hello", missing: 0, at: 0, heard: Heard::ALL }, 0);
    let claim = match head.infer(&mut running, &facts, false) {
        Verdict::Claimed(claim) => Some(claim.plugin),
        _ => None,
    };
    (claim, running.stats().map(|stats| stats.calls).collect())
}

#[test]
fn a_plugin_whose_port_it_is_comes_first_and_if_it_is_certain_no_other_is_asked() {
    let both = || [plugin::<{ probe::NO }>("a", &[]), plugin::<{ probe::CERTAIN }>("b", &[9092])];
    assert_eq!(claimed(both(), 9092), (Some(1), vec![0, 1]));
    assert_eq!(claimed(both(), 9093), (Some(1), vec![1, 1]));
}

#[test]
fn what_is_only_likely_goes_by_name_whosever_port_it_is() {
    let both = || [plugin::<{ probe::LIKELY }>("a", &[]), plugin::<{ probe::LIKELY }>("b", &[9092])];
    assert_eq!(claimed(both(), 9092), (Some(0), vec![1, 1]));
    let both = || [plugin::<{ probe::CERTAIN }>("a", &[]), plugin::<{ probe::LIKELY }>("b", &[9092])];
    assert_eq!(claimed(both(), 9092), (Some(0), vec![1, 1]));
}
