//! Header fields: which of them are read, and what of their values is legal to emit.
//! <https://www.rfc-editor.org/rfc/rfc9110#section-5>

/// Values that are kept until the message is emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Host,
    UserAgent,
    Referer,
    Traceparent,
    Sw8,
    Upgrade,
}

/// How many those are.
pub(crate) const SLOTS: usize = 6;

/// What a field is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Keep(Slot),
    ContentLength,
    TransferEncoding,
    Accept,
}

const FIELDS: &[(&[u8], Use)] = &[
    (b"host", Use::Keep(Slot::Host)),
    (b"user-agent", Use::Keep(Slot::UserAgent)),
    (b"referer", Use::Keep(Slot::Referer)),
    (b"traceparent", Use::Keep(Slot::Traceparent)),
    (b"sw8", Use::Keep(Slot::Sw8)),
    (b"upgrade", Use::Keep(Slot::Upgrade)),
    (b"content-length", Use::ContentLength),
    (b"transfer-encoding", Use::TransferEncoding),
    (b"accept", Use::Accept),
];

impl Use {
    /// What the field of that name is for.
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        FIELDS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, what)| *what)
    }

    /// Whether it says where the message ends.
    pub(crate) fn is_framing(self) -> bool {
        matches!(self, Self::ContentLength | Self::TransferEncoding)
    }
}

impl Slot {
    /// Most bytes of the value that are kept.
    pub(crate) fn room(self) -> usize {
        match self {
            Self::Host => 260,
            Self::Upgrade => 64,
            Self::UserAgent => 512,
            Self::Traceparent => 128,
            Self::Referer | Self::Sw8 => 2048,
        }
    }
}

/// Version, trace, parent and flags in hexadecimal digits. <https://www.w3.org/TR/trace-context/#traceparent-header>
pub(crate) fn is_traceparent(value: &[u8]) -> bool {
    let is_dash = |at: usize| matches!(at, 2 | 35 | 52);
    let mut bytes = value.iter().enumerate();
    value.len() == 55 && bytes.all(|(at, byte)| if is_dash(at) { *byte == b'-' } else { byte.is_ascii_hexdigit() })
}

/// Eight fields, most in base64, joined by dashes.
/// <https://skywalking.apache.org/docs/main/latest/en/api/x-process-propagation-headers-v3/>
pub(crate) fn is_sw8(value: &[u8]) -> bool {
    let is_legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_-".contains(byte);
    value.len() < Slot::Sw8.room()
        && value.iter().filter(|byte| **byte == b'-').count() == 7
        && value.iter().all(is_legal)
}

/// Names of protocols, as in `Upgrade: websocket`.
pub(crate) fn is_protocol(value: &[u8]) -> bool {
    let is_legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"/.-_, ".contains(byte);
    !value.is_empty() && value.iter().all(is_legal)
}
