//! What is remembered of a flow. The two directions know nothing of each other's present: how a request is told must
//! not depend on which responses happen to have come, so each has a state of its own, and what a response has to know
//! of its request comes with the request's context.

use core::cell::Cell;

use protap_plugin::{Direction, Source, Stream};

use crate::command::{Scope, Verb};

/// Both directions of a flow.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) asked: Asked,
    pub(crate) answered: Answered,
}

/// Of the requests.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Another database than the first may be selected.
    pub(crate) may_be_elsewhere: Cell<bool>,
    /// Commands since MULTI.
    pub(crate) queued: Cell<Option<u32>>,
    pub(crate) replies: Cell<Replies>,
}

/// What CLIENT REPLY asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Replies {
    #[default]
    On,
    Off,
    /// None to the next command.
    Skip,
}

/// Of the responses.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// The database, if it is known.
    pub(crate) database: Cell<Database>,
    /// What a SELECT in a transaction will select.
    pub(crate) queued: Cell<Option<u32>>,
    /// Replies to the present SUBSCRIBE so far.
    pub(crate) confirmed: Cell<u64>,
    /// Channels, patterns, shard channels that are subscribed to.
    pub(crate) subscribed: [Cell<u64>; 3],
    /// The server speaks RESP3, in which messages are pushes.
    pub(crate) is_resp3: Cell<bool>,
    /// Bytes were lost, or the beginning was not seen: the numbers above may be wrong.
    pub(crate) is_uncertain: Cell<bool>,
    pub(crate) is_monitoring: Cell<bool>,
    pub(crate) replication: Cell<Replication>,
}

/// Which database commands are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Database(pub(crate) Option<u32>);

impl Default for Database {
    /// Where every connection begins.
    fn default() -> Self {
        Self(Some(0))
    }
}

/// How far a replica is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Replication {
    /// It is none.
    #[default]
    None,
    /// It waits for the snapshot.
    Snapshot,
    /// It is sent commands.
    Commands,
}

impl Flow {
    /// Bytes of that direction were lost, or its beginning was not seen. What both sides agreed upon may have changed.
    pub(crate) fn lost(&self, direction: Direction) {
        let (asked, answered) = (&self.asked, &self.answered);
        if direction == Direction::ToServer {
            asked.may_be_elsewhere.set(true);
            asked.queued.set(None);
            if asked.replies.get() == Replies::Skip {
                asked.replies.set(Replies::On);
            }
        }
        answered.database.set(Database(None));
        answered.queued.set(None);
        answered.confirmed.set(0);
        answered.is_uncertain.set(true);
        if answered.replication.get() == Replication::Snapshot {
            answered.replication.set(Replication::Commands);
        }
    }
}

impl Answered {
    /// RESET: the connection is as if it were new.
    pub(crate) fn reset(&self) {
        self.database.set(Database::default());
        self.queued.set(None);
        self.confirmed.set(0);
        self.subscribed.iter().for_each(|number| number.set(0));
        self.is_resp3.set(false);
        self.is_uncertain.set(false);
        self.is_monitoring.set(false);
    }

    /// Whether anything is subscribed to.
    pub(crate) fn is_subscribed(&self) -> bool {
        self.subscribed.iter().any(|number| number.get() > 0)
    }

    /// Takes note of what the server says is subscribed to now: channels and patterns together, or shard channels.
    pub(crate) fn confirm(&self, scope: Scope, total: u64) {
        let [channels, patterns, shards] = &self.subscribed;
        let (these, others) = match scope {
            Scope::Channels => (channels, patterns),
            Scope::Patterns => (patterns, channels),
            Scope::Shards => return shards.set(total),
        };
        others.set(others.get().min(total));
        these.set(total - others.get());
    }

    pub(crate) fn subscriptions(&self, scope: Scope) -> &Cell<u64> {
        let [channels, patterns, shards] = &self.subscribed;
        match scope {
            Scope::Channels => channels,
            Scope::Patterns => patterns,
            Scope::Shards => shards,
        }
    }
}

/// What a response has to know of its request: eight bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) verb: Verb,
    /// The request said which database it is about.
    pub(crate) has_said_database: bool,
    /// SELECT: the database. Subscriptions: how many are named. EXEC: commands queued.
    pub(crate) number: Option<u32>,
}

impl Context {
    pub(crate) fn to_bytes(self) -> [u8; 8] {
        let [a, b, c, d] = self.number.unwrap_or_default().to_le_bytes();
        [1, self.verb.to_byte(), u8::from(self.has_said_database), u8::from(self.number.is_some()), a, b, c, d]
    }

    /// Of the request that the next response answers; `None` if that was not seen.
    pub(crate) fn pending(stream: &Stream<impl Source>) -> Option<Self> {
        match *stream.pending_front()? {
            [1, verb, has_said_database, has_number, a, b, c, d] => Some(Self {
                verb: Verb::from_byte(verb),
                has_said_database: has_said_database != 0,
                number: (has_number != 0).then(|| u32::from_le_bytes([a, b, c, d])),
            }),
            _ => None,
        }
    }
}
