//! When a plugin that keeps failing is left alone, and for how long. A flow whose bytes brought a plugin down is closed to
//! it anyway; here the others are counted: several flows of one host close that host's flows to the plugin, several hosts
//! close all of them. So a sender of poisoned bytes blinds nobody but itself. All times are capture time, and a
//! quarantine is a plugin's own in one shard, so that it is the same in every run.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::num::NonZeroUsize;

use lru::LruCache;

use crate::packet::{Endpoint, Timestamp};

/// For how long a fault counts, in nanoseconds.
const MEMORY: u64 = 60_000_000_000;
/// Flows of one host on which a plugin may fail within [`MEMORY`] before the host's flows are closed to it.
const HOST_FLOWS: usize = 4;
/// Hosts on whose flows a plugin may fail within [`MEMORY`] before all flows are closed to it.
const HOSTS: usize = 4;
/// First quarantine, in nanoseconds. Each one that follows soon is twice as long.
const FIRST: u64 = 10_000_000_000;
/// Longest quarantine, and how long a plugin must have behaved for the next one to be the first again.
const LONGEST: u64 = 640_000_000_000;
/// Hosts that are remembered; the least recently seen is forgiven.
const MAX_HOSTS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// Where a fault happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// Both ends of the flow.
    pub ends: (Endpoint, Endpoint),
    /// Who sent the bytes that the plugin failed on.
    pub sender: IpAddr,
    /// When.
    pub at: Timestamp,
}

/// What a fault led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing more than that the flow is closed to the plugin.
    Flow,
    /// The sender's flows are closed to it for a while.
    Host,
    /// All flows are closed to it for a while.
    Plugin,
}

/// The quarantine of one plugin.
#[derive(Debug)]
pub struct Quarantine {
    /// Faults that still count, at most one more than [`HOSTS`] for the last of each host.
    faults: VecDeque<(Timestamp, IpAddr)>,
    hosts: LruCache<IpAddr, Term>,
    all: Term,
}

/// A time for which flows are closed.
#[derive(Clone, Copy, Debug, Default)]
struct Term {
    until: Timestamp,
    len: u64,
}

impl Default for Quarantine {
    fn default() -> Self {
        Self { faults: VecDeque::new(), hosts: LruCache::new(MAX_HOSTS), all: Term::default() }
    }
}

impl Term {
    fn begin(&mut self, now: Timestamp) {
        let is_soon = self.len > 0 && now < self.until.saturating_add(LONGEST);
        self.len = if is_soon { self.len.saturating_mul(2).min(LONGEST) } else { FIRST };
        self.until = now.saturating_add(self.len);
    }
}

impl Quarantine {
    /// Takes a fault, of another flow than all faults before.
    pub fn observe(&mut self, scene: &Scene) -> Verdict {
        let Scene { sender, at, .. } = *scene;
        self.faults.retain(|(then, _)| then.saturating_add(MEMORY) > at);
        self.faults.push_back((at, sender));
        let of_sender = self.faults.iter().filter(|(_, host)| *host == sender).count();
        let mut hosts: Vec<IpAddr> = self.faults.iter().map(|(_, host)| *host).collect();
        hosts.sort_unstable();
        hosts.dedup();
        if hosts.len() >= HOSTS {
            self.faults.clear();
            self.all.begin(at);
            return Verdict::Plugin;
        }
        if of_sender >= HOST_FLOWS {
            // Its last fault goes on to count as one of many hosts'.
            self.faults.retain(|(then, host)| *host != sender || *then == at);
            self.faults.truncate(HOSTS * HOST_FLOWS);
            self.hosts.get_or_insert_mut(sender, Term::default).begin(at);
            return Verdict::Host;
        }
        Verdict::Flow
    }

    /// Whether the flow between these ends is closed to the plugin.
    #[must_use]
    pub fn is_closed_to(&self, ends: (Endpoint, Endpoint), now: Timestamp) -> bool {
        if now < self.all.until {
            return true;
        }
        let is_closed = |host| self.hosts.peek(&host).is_some_and(|term| now < term.until);
        !self.hosts.is_empty() && (is_closed(ends.0.ip) || is_closed(ends.1.ip))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::{Quarantine, Scene, Verdict};
    use crate::packet::{Endpoint, Timestamp};

    const SECOND: u64 = 1_000_000_000;

    fn ends(host: u8, port: u16) -> (Endpoint, Endpoint) {
        let end = |host, port| Endpoint { ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)), port };
        (end(host, port), end(200, 9092))
    }

    fn fault(quarantine: &mut Quarantine, host: u8, at: Timestamp) -> Verdict {
        let ends = ends(host, 1);
        quarantine.observe(&Scene { ends, sender: ends.0.ip, at })
    }

    #[test]
    fn one_sender_is_shut_out_alone() {
        let mut quarantine = Quarantine::default();
        for at in 0..3 {
            assert_eq!(fault(&mut quarantine, 1, at), Verdict::Flow);
        }
        assert!(!quarantine.is_closed_to(ends(1, 2), 3));
        assert_eq!(fault(&mut quarantine, 1, 3), Verdict::Host);
        assert!(quarantine.is_closed_to(ends(1, 2), 4));
        assert!(!quarantine.is_closed_to(ends(2, 2), 4));
        for at in 0..100 {
            assert_ne!(fault(&mut quarantine, 1, at), Verdict::Plugin);
        }
    }

    #[test]
    fn many_senders_shut_the_plugin_out_and_it_comes_back() {
        let mut quarantine = Quarantine::default();
        let verdicts: Vec<_> = (1..=4).map(|host| fault(&mut quarantine, host, 0)).collect();
        assert_eq!(verdicts, [Verdict::Flow, Verdict::Flow, Verdict::Flow, Verdict::Plugin]);
        assert!(quarantine.is_closed_to(ends(9, 1), 10 * SECOND - 1));
        assert!(!quarantine.is_closed_to(ends(9, 1), 10 * SECOND));
    }

    #[test]
    fn quarantines_grow_and_are_forgiven() {
        let mut quarantine = Quarantine::default();
        let mut now = 0;
        for len in [10, 20, 40, 80, 160, 320, 640, 640, 640] {
            for host in 1..=4 {
                fault(&mut quarantine, host, now);
            }
            assert!(quarantine.is_closed_to(ends(9, 1), now + len * SECOND - 1), "{len}");
            assert!(!quarantine.is_closed_to(ends(9, 1), now + len * SECOND), "{len}");
            now += len * SECOND;
        }
        now += 641 * SECOND;
        for host in 1..=4 {
            fault(&mut quarantine, host, now);
        }
        assert!(!quarantine.is_closed_to(ends(9, 1), now + 10 * SECOND));
    }

    #[test]
    fn faults_long_ago_do_not_count() {
        let mut quarantine = Quarantine::default();
        for host in 1..=100 {
            assert_eq!(fault(&mut quarantine, host, u64::from(host) * 30 * SECOND), Verdict::Flow, "{host}");
        }
    }

    #[test]
    fn it_stays_small_whatever_fails() {
        let mut quarantine = Quarantine::default();
        for n in 0..100_000_u32 {
            fault(&mut quarantine, (n % 3) as u8, u64::from(n));
            assert!(quarantine.faults.len() <= 16 && quarantine.hosts.len() <= 256);
        }
    }
}
