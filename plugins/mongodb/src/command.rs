//! A command: the document whose first element names it. What it acts upon, how much it carries, whether the server
//! may hold it back. Filters, documents, pipelines and credentials are passed over unread.

use protap_plugin::{Stop, Stream, Text};

use crate::document::{Document, Element};

/// Longest command name.
const MAX_NAME: usize = 64;
/// Longest name of a database, a collection, or both with a dot.
pub(crate) const MAX_NAMESPACE: u64 = 255;
/// Longest name of an application; the server allows 128.
const MAX_APP_NAME: u64 = 128;

/// What the plugin has to know about a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Its value, if a string, may be anything.
    #[default]
    Other,
    /// Its value names a collection.
    OnCollection,
    /// Its value names a database and a collection.
    OnNamespace,
    /// Its value is a cursor's id; an element of its own names the collection.
    GetMore,
    /// Its value is another command.
    Explain,
    /// Replies hold a document for each of its operations.
    BulkWrite,
    /// It may wait for the topology to change.
    Hello,
    /// Not a command, but what an old driver wraps one in.
    Wrapper,
}

impl Verb {
    /// The verb of the command with this name.
    #[rustfmt::skip]
    fn of(name: &[u8]) -> Self {
        match name {
            b"find" | b"insert" | b"update" | b"delete" | b"aggregate" | b"count" | b"distinct"
            | b"findAndModify" | b"findandmodify" | b"mapReduce" | b"mapreduce" | b"create" | b"drop"
            | b"createIndexes" | b"dropIndexes" | b"deleteIndexes" | b"listIndexes" | b"reIndex" | b"collMod"
            | b"collStats" | b"collstats" | b"validate" | b"compact" | b"convertToCapped" | b"killCursors"
            | b"cloneCollectionAsCapped" | b"parallelCollectionScan" | b"geoNear" | b"geoSearch" | b"analyze"
            | b"planCacheClear" | b"planCacheListFilters" | b"planCacheSetFilter" | b"planCacheClearFilters"
            | b"createSearchIndexes" | b"updateSearchIndex" | b"dropSearchIndex" | b"listSearchIndexes" => {
                Self::OnCollection
            }
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
}

/// The elements of a command that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Database,
    Collection,
    Operations,
    MaxTime,
    MaxAwaitTime,
    TopologyVersion,
    Autocommit,
    Client,
}

impl Field {
    fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"$db" => Self::Database,
            b"collection" => Self::Collection,
            b"maxTimeMS" => Self::MaxTime,
            b"maxAwaitTimeMS" => Self::MaxAwaitTime,
            b"topologyVersion" => Self::TopologyVersion,
            b"autocommit" => Self::Autocommit,
            b"client" => Self::Client,
            _ if carries_operations(name) => Self::Operations,
            _ => return None,
        })
    }
}

/// Whether the array or document sequence of this name holds what a write command writes.
pub(crate) fn carries_operations(name: &[u8]) -> bool {
    matches!(name, b"documents" | b"updates" | b"deletes" | b"ops")
}

/// A namespace: the database, and the collection in it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Namespace {
    pub(crate) database: Option<Text>,
    pub(crate) collection: Option<Text>,
}

impl Namespace {
    /// Splits `database.collection` at its first dot.
    pub(crate) fn split(stream: &Stream, full_name: Text) -> Self {
        let dot = stream.with_texts(|texts| {
            let name = texts.get(full_name);
            name.iter().position(|byte| *byte == b'.').unwrap_or(name.len())
        });
        let collection = full_name.part(dot.saturating_add(1)..usize::MAX);
        Self { database: Some(full_name.part(0..dot)), collection: (!collection.is_empty()).then_some(collection) }
    }
}

/// What a command says.
#[derive(Debug, Default)]
pub(crate) struct Command {
    pub(crate) verb: Verb,
    pub(crate) name: Option<Text>,
    pub(crate) namespace: Namespace,
    /// Documents or operations that it carries.
    pub(crate) operations: u64,
    pub(crate) cursor_id: Option<i64>,
    pub(crate) app_name: Option<Text>,
    pub(crate) is_in_transaction: bool,
    has_topology_version: bool,
    has_max_time: bool,
    has_max_await_time: bool,
}

impl Command {
    /// Whether the server may hold the command back on purpose: a `hello` that waits for news of the topology, or
    /// a `getMore` on a cursor that waits for documents (no other may have `maxTimeMS`).
    pub(crate) fn is_long_poll(&self) -> bool {
        match self.verb {
            Verb::Hello => self.has_topology_version && self.has_max_await_time,
            Verb::GetMore => self.has_max_time,
            _ => false,
        }
    }

    /// Reads the command that the document beginning here is.
    pub(crate) async fn read(&mut self, stream: &Stream, limit: u64) -> Result<(), Stop> {
        let outer = Document::open(stream, limit).await?;
        let (mut document, mut first) = self.first(stream, outer).await?;
        if let (Verb::Wrapper, Some(wrapper)) = (self.verb, &first)
            && wrapper.is_document()
        {
            // What stands beside the wrapped command is passed over with the frame.
            let inner = document.open_value(wrapper).await?;
            (document, first) = self.first(stream, inner).await?;
        }
        let Some(first) = first else { return Err(Stop::Malformed("a command without a name")) };
        self.subject(stream, &document, &first).await?;
        while let Some(element) = document.next(Field::of).await? {
            self.field(&document, &element).await?;
        }
        Ok(())
    }

    /// Reads the first element, whose name is the command's.
    async fn first<'a>(
        &mut self,
        stream: &'a Stream,
        mut document: Document<'a>,
    ) -> Result<(Document<'a>, Option<Element<()>>), Stop> {
        let first = document.next(|name| Some((Verb::of(name), printable(name).then(|| stream.keep(name))))).await?;
        let first = first.map(|element| {
            (self.verb, self.name) = element.key;
            element.without_key()
        });
        Ok((document, first))
    }

    /// Reads the value of the first element: what the command acts upon.
    async fn subject(&mut self, stream: &Stream, document: &Document<'_>, first: &Element<()>) -> Result<(), Stop> {
        match self.verb {
            Verb::OnCollection => self.namespace.collection = document.text(first, MAX_NAMESPACE).await?,
            Verb::OnNamespace => {
                if let Some(name) = document.text(first, MAX_NAMESPACE).await? {
                    self.namespace = Namespace::split(stream, name);
                }
            }
            Verb::GetMore => self.cursor_id = document.number(first).await?,
            Verb::Explain if first.is_document() => {
                let mut inner = document.open_value(first).await?;
                if let Some(explained) = inner.next(|name| Some(Verb::of(name))).await?
                    && explained.key == Verb::OnCollection
                {
                    self.namespace.collection = inner.text(&explained, MAX_NAMESPACE).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn field(&mut self, document: &Document<'_>, element: &Element<Field>) -> Result<(), Stop> {
        match element.key {
            // A namespace of the command's own stands.
            Field::Database if self.namespace.database.is_none() => {
                self.namespace.database = document.text(element, MAX_NAMESPACE).await?;
            }
            Field::Collection if self.verb == Verb::GetMore => {
                self.namespace.collection = document.text(element, MAX_NAMESPACE).await?;
            }
            Field::Operations if element.is_array() => {
                self.operations += document.open_value(element).await?.count().await?
            }
            Field::Client if self.verb == Verb::Hello && element.is_document() => {
                self.app_name = app_name(document, element).await?;
            }
            Field::MaxTime => self.has_max_time = true,
            Field::MaxAwaitTime => self.has_max_await_time = true,
            Field::TopologyVersion => self.has_topology_version = element.is_document(),
            Field::Autocommit => self.is_in_transaction = true,
            _ => {}
        }
        Ok(())
    }
}

/// Reads `application.name` of the metadata that a driver sends with its first command.
async fn app_name<K>(document: &Document<'_>, client: &Element<K>) -> Result<Option<Text>, Stop> {
    let mut client = document.open_value(client).await?;
    let application = client.next(|name| (name == b"application").then_some(())).await?;
    let Some(application) = application.filter(Element::is_document) else { return Ok(None) };
    let mut application = client.open_value(&application).await?;
    match application.next(|name| (name == b"name").then_some(())).await? {
        Some(name) => application.text(&name, MAX_APP_NAME).await,
        None => Ok(None),
    }
}

/// Whether a name can be shown as it is.
pub(crate) fn printable(name: &[u8]) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && name.iter().all(u8::is_ascii_graphic)
}
