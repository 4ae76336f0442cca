//! What the plugin has to know about a command to read it: what its first value is, and what else it carries.

/// A kind of command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Its value, if a string, may be anything, and so may all else: nothing of it is shown.
    #[default]
    Other,
    /// Its value names a collection.
    OnCollection,
    /// The same; its reply has the document that it found.
    FindAndModify,
    /// Its value names a database and a collection.
    OnNamespace,
    /// Its value is a cursor's id; an element of its own names the collection.
    GetMore,
    /// Its value is another command.
    Explain,
    /// It names its collections beside its operations, and replies hold a document for each operation.
    BulkWrite,
    /// It may wait for the topology to change.
    Hello,
    /// Not a command, but what an old driver wraps one in.
    Wrapper,
}

impl Verb {
    /// The verb of the command with this name.
    #[rustfmt::skip]
    pub(crate) fn of(name: &[u8]) -> Self {
        match name {
            b"find" | b"insert" | b"update" | b"delete" | b"aggregate" | b"count" | b"distinct"
            | b"mapReduce" | b"mapreduce" | b"create" | b"drop" | b"group"
            | b"createIndexes" | b"dropIndexes" | b"deleteIndexes" | b"listIndexes" | b"reIndex" | b"collMod"
            | b"collStats" | b"collstats" | b"validate" | b"compact" | b"convertToCapped" | b"killCursors"
            | b"cloneCollectionAsCapped" | b"parallelCollectionScan" | b"geoNear" | b"geoSearch" | b"analyze"
            | b"planCacheClear" | b"planCacheListFilters" | b"planCacheSetFilter" | b"planCacheClearFilters"
            | b"createSearchIndexes" | b"updateSearchIndex" | b"dropSearchIndex" | b"listSearchIndexes" => {
                Self::OnCollection
            }
            b"findAndModify" | b"findandmodify" => Self::FindAndModify,
            b"renameCollection" | b"shardCollection" | b"reshardCollection" | b"unshardCollection"
            | b"refineCollectionShardKey" | b"dataSize" | b"getShardVersion" | b"split" | b"splitVector"
            | b"moveChunk" | b"mergeChunks" | b"moveCollection" | b"cleanupOrphaned" => Self::OnNamespace,
            b"getMore" => Self::GetMore,
            b"explain" => Self::Explain,
            b"bulkWrite" => Self::BulkWrite,
            b"hello" | b"isMaster" | b"ismaster" => Self::Hello,
            b"$query" | b"query" => Self::Wrapper,
            _ => Self::Other,
        }
    }

    /// Whether its value names a collection.
    pub(crate) fn is_on_collection(self) -> bool {
        matches!(self, Self::OnCollection | Self::FindAndModify)
    }

    /// Whether what it calls a filter, an update or a pipeline is one.
    pub(crate) fn has_query(self) -> bool {
        self.is_on_collection() || matches!(self, Self::Explain | Self::BulkWrite)
    }
}
