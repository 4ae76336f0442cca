//! Names of types, operations and response codes, and whose fault a response code is.
//!
//! <https://www.iana.org/assignments/dns-parameters/dns-parameters.xhtml>

use protap_plugin::Status;

/// Type of a zone's first and last record.
pub(crate) const SOA: u16 = 6;
/// Type of the record that carries EDNS.
pub(crate) const OPT: u16 = 41;
/// Type of a question for what changed in a zone.
pub(crate) const IXFR: u16 = 251;
/// Type of a question for a whole zone.
pub(crate) const AXFR: u16 = 252;

const TYPES: &[(u16, &str)] = &[
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (SOA, "SOA"),
    (11, "WKS"),
    (12, "PTR"),
    (13, "HINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (24, "SIG"),
    (25, "KEY"),
    (28, "AAAA"),
    (29, "LOC"),
    (33, "SRV"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (39, "DNAME"),
    (OPT, "OPT"),
    (43, "DS"),
    (44, "SSHFP"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (49, "DHCID"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (63, "ZONEMD"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (99, "SPF"),
    (249, "TKEY"),
    (250, "TSIG"),
    (IXFR, "IXFR"),
    (AXFR, "AXFR"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
    (32769, "DLV"),
];

/// A response code: its name, and how the query ended. The client asked for what does not exist or cannot be asked
/// (as HTTP's 404 and 400); that a server fails, cannot or will not answer is the server's doing.
const RESPONSE_CODES: &[(u16, &str, Status)] = &[
    (0, "NOERROR", Status::Ok),
    (1, "FORMERR", Status::ClientError),
    (2, "SERVFAIL", Status::ServerError),
    (3, "NXDOMAIN", Status::ClientError),
    (4, "NOTIMP", Status::ServerError),
    (5, "REFUSED", Status::ServerError),
    (6, "YXDOMAIN", Status::ClientError),
    (7, "YXRRSET", Status::ClientError),
    (8, "NXRRSET", Status::ClientError),
    (9, "NOTAUTH", Status::ServerError),
    (10, "NOTZONE", Status::ClientError),
    (16, "BADVERS", Status::ClientError),
    (17, "BADKEY", Status::ClientError),
    (18, "BADTIME", Status::ClientError),
    (19, "BADMODE", Status::ClientError),
    (20, "BADNAME", Status::ClientError),
    (21, "BADALG", Status::ClientError),
    (22, "BADTRUNC", Status::ClientError),
    (23, "BADCOOKIE", Status::ClientError),
];

/// The name of a type.
pub(crate) fn type_name(kind: u16) -> Option<&'static str> {
    TYPES.iter().find(|(of, _)| *of == kind).map(|(_, name)| *name)
}

/// The name of an operation.
pub(crate) fn opcode_name(opcode: u8) -> &'static str {
    match opcode {
        0 => "QUERY",
        1 => "IQUERY",
        2 => "STATUS",
        4 => "NOTIFY",
        5 => "UPDATE",
        6 => "DSO",
        _ => "unknown",
    }
}

/// The name of a response code, and how the query ended.
pub(crate) fn response_code(code: u16) -> (&'static str, Status) {
    let known = RESPONSE_CODES.iter().find(|(of, ..)| *of == code);
    known.map_or(("unknown", Status::Unknown), |(_, name, status)| (*name, *status))
}
