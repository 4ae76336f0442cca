//! What can go wrong while capturing. Every message names the file or interface and says what to do.

use std::io;

use thiserror::Error;

use crate::packet::Linktype;

/// Why a capture source cannot go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// A file could not be opened.
    #[error("cannot open {file}: {error}")]
    Open {
        /// The file.
        file: String,
        /// What the system said.
        error: io::Error,
    },
    /// A file could not be read on, or could not be decompressed.
    #[error("cannot read {file} beyond byte {offset}: {error}")]
    Read {
        /// The file.
        file: String,
        /// How much was read, decompressed.
        offset: u64,
        /// What the system or the decompressor said.
        error: io::Error,
    },
    /// A file has no bytes.
    #[error("{file} is empty, expected a pcap or pcapng capture (record one with `tcpdump -w FILE`)")]
    Empty {
        /// The file.
        file: String,
    },
    /// A file is no capture.
    #[error(
        "{file} is not a capture: it begins with {found}, expected pcap or pcapng, plain or in gzip or zstd \
         (record one with `tcpdump -w FILE`)"
    )]
    UnknownFormat {
        /// The file.
        file: String,
        /// Its first bytes.
        found: String,
    },
    /// A file ends in the middle of a packet or block. What came before was delivered.
    #[error("{file} is cut off: it ends within a record at byte {offset}, the {packets} packets before it were read")]
    Truncated {
        /// The file.
        file: String,
        /// Where the record begins, decompressed.
        offset: u64,
        /// How many packets came before it, in this file.
        packets: u64,
    },
    /// A file contradicts its format. What came before was delivered.
    #[error("{file} is damaged at byte {offset}: {what}; the {packets} packets before it were read")]
    Malformed {
        /// The file.
        file: String,
        /// Where the record begins, decompressed.
        offset: u64,
        /// How many packets came before it, in this file.
        packets: u64,
        /// What is wrong.
        what: String,
    },
    /// Packets of this linktype cannot be decoded.
    #[error(
        "{source_name} has linktype {} ({name}), expected Ethernet, Linux cooked, raw IP or BSD loopback: \
         capture on another interface or with `tcpdump -y EN10MB`", linktype.0
    )]
    UnknownLinktype {
        /// The file or interface.
        source_name: String,
        /// Its linktype.
        linktype: Linktype,
        /// What the linktype is called.
        name: String,
    },
    /// There is no such interface.
    #[error("no interface is called {interface:?}, there are: {}", available.join(", "))]
    NoInterface {
        /// What was asked for.
        interface: String,
        /// The interfaces that exist.
        available: Vec<String>,
    },
    /// Capturing is not permitted.
    #[error(
        "no permission to capture on {interface}: run as root, or once \
         `setcap cap_net_raw,cap_net_admin+eip` on the program ({message})"
    )]
    NoPermission {
        /// The interface.
        interface: String,
        /// What libpcap said.
        message: String,
    },
    /// A filter expression does not compile.
    #[error("cannot use the filter {filter:?}: {message} (see `man pcap-filter`)")]
    BadFilter {
        /// The filter expression.
        filter: String,
        /// What libpcap said.
        message: String,
    },
    /// System calls cannot be traced.
    #[error("cannot {step} the BPF programs: {message} ({advice})")]
    Trace {
        /// What was tried.
        step: String,
        /// What libbpf or the kernel said.
        message: String,
        /// What may help.
        advice: &'static str,
    },
    /// There is no such process.
    #[error("no process has the id {pid}")]
    NoProcess {
        /// What was asked for.
        pid: u32,
    },
    /// Capabilities that are not needed could not be given up.
    #[error("cannot give up capabilities: {message}")]
    Capabilities {
        /// What the system said.
        message: String,
    },
    /// Live capture failed otherwise.
    #[error("cannot capture on {interface}: {message}")]
    Live {
        /// The interface.
        interface: String,
        /// What libpcap or the system said.
        message: String,
    },
}

impl CaptureError {
    pub(super) fn unknown_linktype(source_name: &str, linktype: Linktype) -> Self {
        let name = pcap::Linktype(i32::from(linktype.0)).get_name().unwrap_or_else(|_| "unassigned".to_owned());
        Self::UnknownLinktype { source_name: source_name.to_owned(), linktype, name }
    }
}

/// What is wrong with a file, before it is known which file that is.
#[derive(Debug)]
pub(super) enum FormatError {
    /// Reading failed.
    Read(io::Error),
    /// The file ends within a record.
    Truncated,
    /// A record contradicts the format.
    Malformed(String),
    /// None of the packets can be decoded.
    UnknownLinktype(Linktype),
}

impl FormatError {
    pub(super) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed(what.into())
    }
}

impl From<io::Error> for FormatError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // What a decompressor says at the end of a file that was cut off.
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Read(error),
        }
    }
}
