//! The elements of a command that are looked at, by their names; and those of the operations that it carries.

use crate::command::Carried;
use crate::query::Part;

/// An element that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Database,
    Collection,
    Carried(Carried),
    Part(Part),
    Cursors,
    Namespace,
    MaxTime,
    MaxAwaitTime,
    TopologyVersion,
    Autocommit,
    TxnNumber,
    Session,
    ReadConcern,
    WriteConcern,
    ReadPreference,
    BatchSize,
    Cursor,
    Tailable,
    AwaitData,
    ViewOn,
    Client,
}

impl Field {
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"$db" => Self::Database,
            b"filter" => Self::Part(Part::Filter),
            b"lsid" => Self::Session,
            b"txnNumber" => Self::TxnNumber,
            b"autocommit" => Self::Autocommit,
            b"readConcern" => Self::ReadConcern,
            b"writeConcern" => Self::WriteConcern,
            b"$readPreference" => Self::ReadPreference,
            b"batchSize" => Self::BatchSize,
            b"sort" => Self::Part(Part::Sort),
            b"query" => Self::Part(Part::Query),
            b"q" => Self::Part(Part::Q),
            b"u" => Self::Part(Part::U),
            b"update" => Self::Part(Part::Update),
            b"updateMods" => Self::Part(Part::UpdateMods),
            b"pipeline" => Self::Part(Part::Pipeline),
            b"documents" | b"updates" | b"deletes" | b"ops" | b"nsInfo" => Self::Carried(Carried::of(name)),
            b"collection" => Self::Collection,
            b"cursor" => Self::Cursor,
            b"cursors" => Self::Cursors,
            b"ns" => Self::Namespace,
            b"maxTimeMS" => Self::MaxTime,
            b"maxAwaitTimeMS" => Self::MaxAwaitTime,
            b"topologyVersion" => Self::TopologyVersion,
            b"tailable" => Self::Tailable,
            b"awaitData" => Self::AwaitData,
            b"viewOn" => Self::ViewOn,
            b"client" => Self::Client,
            _ => return None,
        })
    }
}
