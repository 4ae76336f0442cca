//! Filter expressions: compiled before anything is captured, so that a typing error is an error, not silence.

use pcap::Capture;

use super::error_text;
use crate::capture::CaptureError;
use crate::packet::Linktype;

/// Whether `filter` compiles for packets of `linktype`; the error carries libpcap's message. Names of hosts and
/// networks in it are looked up.
pub fn check_filter(linktype: Linktype, filter: &str) -> Result<(), CaptureError> {
    refuse_direction(filter)?;
    let number = match linktype {
        Linktype::RAW => 12,
        Linktype(other) => i32::from(other),
    };
    Capture::dead(pcap::Linktype(number))
        .and_then(|capture| capture.compile(filter, true))
        .map(drop)
        .map_err(|error| bad_filter(filter, &error))
}

/// `inbound` and `outbound` compile, but libpcap filters what is in the ring already in user space, where the direction
/// is not known: the first ring-full is lost without a word, all of a short capture.
pub(super) fn refuse_direction(filter: &str) -> Result<(), CaptureError> {
    let is_direction = |word: &str| matches!(word, "inbound" | "outbound");
    match filter.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| is_direction(word)) {
        None => Ok(()),
        Some(word) => Err(CaptureError::BadFilter {
            filter: filter.to_owned(),
            message: format!("`{word}` loses the first packets in libpcap, filter by address instead (src, dst)"),
        }),
    }
}

pub(super) fn bad_filter(filter: &str, error: &pcap::Error) -> CaptureError {
    CaptureError::BadFilter { filter: filter.to_owned(), message: error_text(error) }
}

#[cfg(test)]
mod tests {
    use super::check_filter;
    use crate::packet::Linktype;

    #[test]
    fn a_filter_that_compiles_is_accepted() {
        for filter in ["", "tcp port 9092 or port 27017", "host 10.0.0.1 and not udp", "ip6 and tcp"] {
            for linktype in [Linktype::ETHERNET, Linktype::LINUX_SLL, Linktype::RAW] {
                assert!(check_filter(linktype, filter).is_ok(), "{filter}");
            }
        }
    }

    #[test]
    fn a_bad_filter_is_refused_with_the_message_of_libpcap() {
        let error = check_filter(Linktype::ETHERNET, "tcp prot 9092").unwrap_err().to_string();
        assert!(error.contains("tcp prot 9092") && error.contains("syntax error"), "{error}");
        assert!(check_filter(Linktype::ETHERNET, "tcp\0port 1").is_err());
    }

    #[test]
    fn a_filter_by_direction_is_refused_with_the_reason() {
        for filter in ["inbound", "tcp and (outbound)"] {
            let error = check_filter(Linktype::ETHERNET, filter).unwrap_err().to_string();
            assert!(error.contains("loses the first packets"), "{error}");
        }
    }
}
