//! Why a packet did not become a segment, and how often that was so.

/// Why a packet was not decoded into a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// Its linktype is none that we decode.
    UnknownLinktype,
    /// It carries no IP (ARP, LLDP, 802.3 frames, ...).
    NotIp,
    /// It is too short for its link header.
    MalformedLink,
    /// Its IP header contradicts itself or does not fit the packet.
    MalformedIp,
    /// Its TCP or UDP header contradicts itself or does not fit the packet.
    MalformedTransport,
    /// It carries another transport than TCP and UDP (ICMP, SCTP, a tunnel, ...).
    OtherTransport,
    /// It is a fragment of an IP packet; fragments, the first one included, are not reassembled.
    Fragment,
    /// The snaplen cut it before the end of the headers that we need.
    Truncated,
}

impl Ignored {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::UnknownLinktype,
        Self::NotIp,
        Self::MalformedLink,
        Self::MalformedIp,
        Self::MalformedTransport,
        Self::OtherTransport,
        Self::Fragment,
        Self::Truncated,
    ];

    /// The counter's name, as statistics print it.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownLinktype => "unknown_linktype",
            Self::NotIp => "not_ip",
            Self::MalformedLink => "malformed_link",
            Self::MalformedIp => "malformed_ip",
            Self::MalformedTransport => "malformed_transport",
            Self::OtherTransport => "other_transport",
            Self::Fragment => "fragment",
            Self::Truncated => "truncated_header",
        }
    }
}

/// How many packets were ignored, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IgnoredCounts([u64; Ignored::ALL.len()]);

impl IgnoredCounts {
    /// Counts one packet.
    pub fn count(&mut self, reason: Ignored) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// Adds other packets' counts.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, other)| *count += other);
    }

    /// How many packets were ignored for this reason.
    pub fn get(&self, reason: Ignored) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Ignored, u64)> {
        Ignored::ALL.into_iter().zip(self.0)
    }

    /// How many packets were ignored at all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{Ignored, IgnoredCounts};

    #[test]
    fn every_reason_has_its_own_counter() {
        let mut counts = IgnoredCounts::default();
        for (index, reason) in Ignored::ALL.into_iter().enumerate() {
            (0..=index).for_each(|_| counts.count(reason));
        }
        let found: Vec<u64> = counts.iter().map(|(_, count)| count).collect();
        assert_eq!(found, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!((counts.get(Ignored::Fragment), counts.total()), (7, 36));
        counts.add(&counts.clone());
        assert_eq!((counts.get(Ignored::Fragment), counts.total()), (14, 72));
    }
}
