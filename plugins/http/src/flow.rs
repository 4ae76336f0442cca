//! What is remembered of a flow, and what a response has to know of its request, which comes with the request's context.

use core::cell::Cell;

use protap_plugin::{Direction, Stream};

/// Both directions of a flow.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// The last request was CONNECT: what follows may be anything.
    pub(crate) may_tunnel: Cell<bool>,
    /// Final responses so far, in this flow.
    pub(crate) responses: Cell<u64>,
    /// Interim responses since the last final one.
    pub(crate) interim: Cell<u32>,
}

impl Flow {
    /// Bytes of that direction were lost, or its beginning was not seen.
    pub(crate) fn lost(&self, direction: Direction) {
        match direction {
            Direction::ToServer => self.may_tunnel.set(false),
            Direction::ToClient => {
                self.interim.set(0);
                // What was found there is a response.
                self.responses.set(self.responses.get().saturating_add(1));
            }
        }
    }
}

/// What a response has to know of its request: two bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Context {
    #[default]
    Plain,
    /// The response to HEAD has no body, whatever it says.
    Head,
    /// A response of success to CONNECT ends what is HTTP.
    Connect,
}

impl Context {
    const VERSION: u8 = 1;

    pub(crate) fn of(method: &[u8]) -> Self {
        match method {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Plain,
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; 2] {
        let kind = match self {
            Self::Plain => 0,
            Self::Head => 1,
            Self::Connect => 2,
        };
        [Self::VERSION, kind]
    }

    /// Of the request that the next response answers; `None` if that was not seen.
    pub(crate) fn pending(stream: &Stream) -> Option<Self> {
        Some(match *stream.pending_front()? {
            [_, 1] => Self::Head,
            [_, 2] => Self::Connect,
            _ => Self::Plain,
        })
    }
}
