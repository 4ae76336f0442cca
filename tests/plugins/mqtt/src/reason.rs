//! Reason codes (MQTT 5, section 2.4) and the return codes of 3.1.1's CONNACK, with whose fault each is.

use protap_plugin::Status;

/// How something went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reason {
    pub(crate) code: u8,
    pub(crate) status: Status,
    pub(crate) name: &'static str,
}

impl Reason {
    /// What a reason code says. The first of a number's names is taken where it has several.
    pub(crate) fn of(code: u8) -> Self {
        let known = REASONS.iter().find(|(known, ..)| *known == code);
        let (status, name) = known.map_or((unknown(code), "unknown reason code"), |(_, status, name)| (*status, *name));
        Self { code, status, name }
    }

    /// What a return code in a CONNACK of 3.1.1 says.
    pub(crate) fn of_connack_v3(code: u8) -> Self {
        let known = CONNACK_V3.iter().find(|(known, ..)| *known == code);
        let (status, name) =
            known.map_or((Status::Unknown, "unknown return code"), |(_, status, name)| (*status, *name));
        Self { code, status, name }
    }

    /// Whether it is a failure.
    pub(crate) fn is_failure(self) -> bool {
        self.code >= 0x80
    }

    /// Whether the code is one of the standard's.
    pub(crate) fn is_known(code: u8) -> bool {
        REASONS.iter().any(|(known, ..)| *known == code)
    }
}

/// From 0x80 on they are failures, but whose fault an unknown one is nobody can say.
fn unknown(code: u8) -> Status {
    if code < 0x80 { Status::Ok } else { Status::Unknown }
}

const REASONS: &[(u8, Status, &str)] = &[
    (0x00, Status::Ok, "Success"),
    (0x01, Status::Ok, "Granted QoS 1"),
    (0x02, Status::Ok, "Granted QoS 2"),
    (0x04, Status::Ok, "Disconnect with Will Message"),
    (0x10, Status::Ok, "No matching subscribers"),
    (0x11, Status::Ok, "No subscription existed"),
    (0x18, Status::Ok, "Continue authentication"),
    (0x19, Status::Ok, "Re-authenticate"),
    (0x80, Status::ServerError, "Unspecified error"),
    (0x81, Status::ClientError, "Malformed Packet"),
    (0x82, Status::ClientError, "Protocol Error"),
    (0x83, Status::ServerError, "Implementation specific error"),
    (0x84, Status::ClientError, "Unsupported Protocol Version"),
    (0x85, Status::ClientError, "Client Identifier not valid"),
    (0x86, Status::ClientError, "Bad User Name or Password"),
    (0x87, Status::ClientError, "Not authorized"),
    (0x88, Status::ServerError, "Server unavailable"),
    (0x89, Status::ServerError, "Server busy"),
    (0x8a, Status::ClientError, "Banned"),
    (0x8b, Status::ServerError, "Server shutting down"),
    (0x8c, Status::ClientError, "Bad authentication method"),
    (0x8d, Status::Timeout, "Keep Alive timeout"),
    (0x8e, Status::ClientError, "Session taken over"),
    (0x8f, Status::ClientError, "Topic Filter invalid"),
    (0x90, Status::ClientError, "Topic Name invalid"),
    (0x91, Status::ClientError, "Packet Identifier in use"),
    (0x92, Status::ClientError, "Packet Identifier not found"),
    (0x93, Status::ClientError, "Receive Maximum exceeded"),
    (0x94, Status::ClientError, "Topic Alias invalid"),
    (0x95, Status::ClientError, "Packet too large"),
    (0x96, Status::ClientError, "Message rate too high"),
    (0x97, Status::ClientError, "Quota exceeded"),
    (0x98, Status::ServerError, "Administrative action"),
    (0x99, Status::ClientError, "Payload format invalid"),
    (0x9a, Status::ClientError, "Retain not supported"),
    (0x9b, Status::ClientError, "QoS not supported"),
    (0x9c, Status::ServerError, "Use another server"),
    (0x9d, Status::ServerError, "Server moved"),
    (0x9e, Status::ClientError, "Shared Subscriptions not supported"),
    (0x9f, Status::ClientError, "Connection rate exceeded"),
    (0xa0, Status::ServerError, "Maximum connect time"),
    (0xa1, Status::ClientError, "Subscription Identifiers not supported"),
    (0xa2, Status::ClientError, "Wildcard Subscriptions not supported"),
];

/// <https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/os/mqtt-v3.1.1-os.html#_Toc398718035>
const CONNACK_V3: &[(u8, Status, &str)] = &[
    (0, Status::Ok, "Connection Accepted"),
    (1, Status::ClientError, "unacceptable protocol version"),
    (2, Status::ClientError, "identifier rejected"),
    (3, Status::ServerError, "Server unavailable"),
    (4, Status::ClientError, "bad user name or password"),
    (5, Status::ClientError, "not authorized"),
];
