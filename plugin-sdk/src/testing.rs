//! A miniature host, for the tests of plugins: it hands a conversation to a plugin the way the runtime does, checks
//! every answer against the contract, and gives back what the plugin said. It is there in native builds only.
//!
//! ```
//! use protap_plugin::prelude::*;
//! use protap_plugin::testing::Replay;
//! # #[derive(Default)]
//! # struct Lines;
//! # impl Frames for Lines {
//! #     const MANIFEST: Manifest = Manifest::new("lines", "0.1.0");
//! #     type Flow = ();
//! #     fn frame(&self, _: Direction, bytes: &[u8]) -> Frame {
//! #         match bytes.iter().position(|byte| *byte == b'\n') {
//! #             Some(at) => Frame::Len(at as u64 + 1),
//! #             None => Frame::Need(bytes.len() + 1),
//! #         }
//! #     }
//! #     fn decode(&self, _: &mut (), frame: &FrameBytes<'_>, output: &mut Output) {
//! #         match frame.direction {
//! #             Direction::ToServer => output.request("LINE").emit(),
//! #             Direction::ToClient => output.response(Status::Ok).emit(),
//! #         }
//! #     }
//! # }
//! # export!(Lines as Frames);
//!
//! let replay = Replay::new::<Plugin>().to_server(b"hello\n").to_client(b"hi\n");
//! let report = replay.run();
//! assert_eq!(report.messages[0].type_name, "LINE");
//! assert_eq!(report.messages[1].answers.as_deref(), Some("LINE"));
//! replay.split_sweep();
//! replay.truncation_sweep();
//! ```

#![expect(clippy::panic, reason = "a test fails by panicking, and nothing here runs outside of tests")]

mod answer;
mod host;
mod instance;
mod lane;
mod random;
mod requests;
mod seen;
mod sweep;

use core::fmt;

use self::host::Host;
use self::instance::{Plugin, fill};
pub use self::random::Random;
use self::requests::Requests;
pub use self::seen::{Completeness, Ending, Loss, Part, Report, Seen, SeenFact, Value, Violation};
use crate::contract::flag;
use crate::guest::{Guest, Parser};
use crate::host::with_host;
use crate::manifest::Transport;
use crate::plugin::{Direction, Heads, Verdict};

/// What happens next in a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Bytes(Direction, Vec<u8>),
    Gap(Direction, u64),
    End(Direction),
    Datagram(Direction, Vec<u8>),
}

/// A conversation to be handed to a plugin: its steps, in the order in which the host learns of them.
#[derive(Clone)]
pub struct Replay {
    plugin: fn() -> Box<dyn Plugin>,
    options: Vec<(String, String)>,
    steps: Vec<Step>,
    is_mid_stream: bool,
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").field("options", &self.options).field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl Replay {
    /// An empty conversation for that plugin: the type `Plugin` that [`export!`](crate::export) defines.
    #[must_use]
    pub fn new<P: Parser>() -> Self {
        Self {
            plugin: || Box::new(Guest::<P>::default()),
            options: Vec::new(),
            steps: Vec::new(),
            is_mid_stream: false,
        }
    }

    /// The conversation begins in the middle of both streams: the plugin has to find its first frames.
    #[must_use]
    pub fn mid_stream(self) -> Self {
        Self { is_mid_stream: true, ..self }
    }

    /// Sets an option of the plugin.
    #[must_use]
    pub fn option(mut self, key: &str, value: &str) -> Self {
        self.options.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The client sends bytes.
    #[must_use]
    pub fn to_server(self, bytes: impl AsRef<[u8]>) -> Self {
        self.bytes(Direction::ToServer, bytes)
    }

    /// The server sends bytes.
    #[must_use]
    pub fn to_client(self, bytes: impl AsRef<[u8]>) -> Self {
        self.bytes(Direction::ToClient, bytes)
    }

    /// Bytes go in that direction.
    #[must_use]
    pub fn bytes(self, direction: Direction, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Bytes(direction, bytes.as_ref().to_vec()))
    }

    /// Bytes go in those directions, one step after the other.
    #[must_use]
    pub fn conversation<B: AsRef<[u8]>>(self, steps: &[(Direction, B)]) -> Self {
        steps.iter().fold(self, |replay, (direction, bytes)| replay.bytes(*direction, bytes))
    }

    /// Bytes of that direction were lost by the capture.
    #[must_use]
    pub fn gap(self, direction: Direction, len: u64) -> Self {
        self.step(Step::Gap(direction, len))
    }

    /// The stream of that direction ends.
    #[must_use]
    pub fn end(self, direction: Direction) -> Self {
        self.step(Step::End(direction))
    }

    /// A datagram goes in that direction.
    #[must_use]
    pub fn datagram(self, direction: Direction, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Datagram(direction, bytes.as_ref().to_vec()))
    }

    /// Hands the conversation to a fresh instance of the plugin.
    ///
    /// # Panics
    /// If the plugin breaks the contract.
    #[must_use]
    pub fn run(&self) -> Report {
        self.try_run().unwrap_or_else(|violation| panic!("the plugin breaks the contract: {violation}"))
    }

    /// Hands the conversation to a fresh instance of the plugin; an error says how it broke the contract.
    pub fn try_run(&self) -> Result<Report, Violation> {
        self.replay(&self.steps)
    }

    /// Replays the conversation whole, with each step split at every byte, and byte by byte: the plugin must say the
    /// same each time. (Steps over 2 KiB are split at each of their first and last 256 bytes and at 256 places
    /// between.) Returns what it said.
    ///
    /// # Panics
    /// If it says something else, or breaks the contract.
    pub fn split_sweep(&self) -> Report {
        sweep::split(self)
    }

    /// Replays every prefix of every step, once followed by the end of both streams, once with the rest of the step
    /// lost and then the steps after it. The plugin must neither break the contract nor emit a message that it does
    /// not emit for the whole, unless it calls it partial.
    ///
    /// # Panics
    /// If it does.
    pub fn truncation_sweep(&self) {
        self.truncation_sweep_but_for(|_| ());
    }

    /// The same for a protocol in which messages say what others told before them, as the database that was selected:
    /// `forget` takes out what a loss may cost them.
    ///
    /// # Panics
    /// If the plugin does what it must not.
    pub fn truncation_sweep_but_for(&self, forget: impl Fn(&mut Seen)) {
        sweep::truncation(self, forget);
    }

    /// The conversation before its last step.
    #[must_use]
    pub fn without_last(mut self) -> Self {
        self.steps.pop();
        self
    }

    /// The conversation with bytes changed, dropped and added in up to four places.
    #[must_use]
    pub fn damaged(mut self, random: &mut Random) -> Self {
        for _ in 0..=random.below(4) {
            let step = random.below(self.steps.len());
            if let Some(Step::Bytes(_, bytes) | Step::Datagram(_, bytes)) = self.steps.get_mut(step) {
                *bytes = random.damaged(bytes);
            }
        }
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    fn replay(&self, steps: &[Step]) -> Result<Report, Violation> {
        let mut plugin = (self.plugin)();
        let requests = Requests::default();
        let replay = || {
            configure(&mut *plugin, &self.options)?;
            let mut host = Host::new(&mut *plugin, requests.clone())?;
            if self.is_mid_stream {
                host.begin_mid_stream();
            }
            for step in steps {
                match step {
                    Step::Bytes(direction, bytes) => host.bytes(*direction, bytes)?,
                    Step::Gap(direction, len) => host.gap(*direction, *len)?,
                    Step::End(direction) => host.end(*direction)?,
                    Step::Datagram(direction, bytes) => host.datagram(*direction, bytes)?,
                }
            }
            Ok(host.finish())
        };
        with_host(Box::new(requests.clone()), replay).0
    }
}

fn configure(plugin: &mut dyn Plugin, options: &[(String, String)]) -> Result<(), Violation> {
    let options: Vec<_> = options.iter().flat_map(|(key, value)| [key, "\0", value, "\0"].map(str::as_bytes)).collect();
    fill(plugin, &options);
    match plugin.configure(options.iter().map(|part| part.len()).sum()) {
        0 => Ok(()),
        nth => Err(Violation { call: "configure".to_owned(), what: format!("option {nth} is refused") }),
    }
}

/// Whole, split at every byte, byte by byte: see [`Replay::split_sweep`].
///
/// # Panics
/// If the plugin says something else than for the whole, or breaks the contract.
pub fn split_sweep<P: Parser>(conversation: &[(Direction, &[u8])]) -> Report {
    Replay::new::<P>().conversation(conversation).split_sweep()
}

/// Every prefix, then the end or a gap: see [`Replay::truncation_sweep`].
///
/// # Panics
/// If the plugin emits messages that the whole does not have, or breaks the contract.
pub fn truncation_sweep<P: Parser>(conversation: &[(Direction, &[u8])]) {
    Replay::new::<P>().conversation(conversation).truncation_sweep();
}

/// What the plugin says of a TCP flow that began with these bytes, from A (who opened it) and from B, at a server
/// port that tells nothing. [`probe_heads`] has all the arguments.
#[must_use]
pub fn probe<P: Parser>(a: &[u8], b: &[u8]) -> Verdict {
    probe_heads::<P>(&Heads { a_opened: true, a_is_mid_stream: false, b_is_mid_stream: false, ..mid_stream(a, b) })
}

/// The heads of a TCP flow that was caught in its middle, at ports that tell nothing.
#[must_use]
pub const fn mid_stream<'a>(a: &'a [u8], b: &'a [u8]) -> Heads<'a> {
    Heads {
        a,
        b,
        a_port: 50_000,
        b_port: 50_001,
        transport: Transport::Tcp,
        a_opened: false,
        a_is_mid_stream: true,
        b_is_mid_stream: true,
        is_complete: false,
    }
}

/// What the plugin says of these heads, by way of the contract.
///
/// # Panics
/// If it answers what is not in the contract, or asks for no more than it has.
#[must_use]
pub fn probe_heads<P: Parser>(heads: &Heads<'_>) -> Verdict {
    let mut plugin = Guest::<P>::default();
    fill(&mut plugin, &[heads.a, heads.b]);
    let bits = [
        (heads.transport == Transport::Udp, flag::DATAGRAM),
        (heads.a_opened, flag::A_OPENED),
        (heads.a_is_mid_stream, flag::A_MID_STREAM),
        (heads.b_is_mid_stream, flag::B_MID_STREAM),
        (heads.is_complete, flag::HEADS_COMPLETE),
    ];
    let flags = bits.iter().filter(|(is_set, _)| *is_set).fold(0, |flags, (_, bit)| flags | bit);
    let ports = u32::from(heads.a_port) | u32::from(heads.b_port) << 16;
    let answer = plugin.probe(heads.a.len(), heads.b.len(), flags, ports);
    let verdict = Verdict::from_contract(answer).unwrap_or_else(|| panic!("no verdict: {answer:#x}"));
    if let Verdict::More(len) = verdict {
        let longest = heads.a.len().max(heads.b.len());
        assert!(len as usize > heads.a.len().min(heads.b.len()), "wants {len} bytes of heads of at most {longest}");
    }
    verdict
}
