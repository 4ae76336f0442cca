//! A command: the document whose first element names it. What it acts upon, how much it carries, under which terms,
//! whether the server may hold it back, and the [shape](crate::shape) of its query. Documents, error texts and
//! credentials are passed over unread.

use core::cell::Cell;

use protap_plugin::{Source, Stop, Stream, Text, at_once, rare};

use crate::document::{Document, Element};
use crate::field::Field;
use crate::query::Query;
use crate::shape::Show;
use crate::terms::Terms;
use crate::verb::Verb;

/// Longest command name.
const MAX_NAME: usize = 64;
/// Longest name of a database, a collection, or both with a dot.
pub(crate) const MAX_NAMESPACE: u64 = 255;
/// Longest name of an application; the server allows 128.
const MAX_APP_NAME: u64 = 128;
/// Most collections of a `bulkWrite` that are named.
const MAX_COLLECTIONS: usize = 16;

/// What an array or document sequence holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// Documents to be inserted.
    Documents,
    /// Operations, with filters and updates.
    Operations,
    /// The namespaces that operations act upon.
    Namespaces,
    Other,
}

impl Carried {
    /// What the array or document sequence of this name holds.
    pub(crate) fn of(name: &[u8]) -> Self {
        match name {
            b"documents" => Self::Documents,
            b"updates" | b"deletes" | b"ops" => Self::Operations,
            b"nsInfo" => Self::Namespaces,
            _ => Self::Other,
        }
    }
}

/// A namespace: the database, and the collection in it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Namespace {
    pub(crate) database: Option<Text>,
    pub(crate) collection: Option<Text>,
}

impl Namespace {
    /// Splits `database.collection` at its first dot.
    pub(crate) fn split(stream: &Stream<impl Source>, full_name: Text) -> Self {
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
    /// Documents, operations or cursors that it carries.
    pub(crate) operations: u64,
    pub(crate) cursor_id: Option<i64>,
    pub(crate) app_name: Option<Text>,
    pub(crate) query: Query,
    pub(crate) terms: Terms,
    /// Namespaces of a `bulkWrite`, as many as are named.
    pub(crate) namespaces: Vec<Text>,
    pub(crate) view_on: Option<Text>,
    show: Show,
    is_tailable: bool,
    awaits_data: bool,
}

#[at_once]
impl Command {
    pub(crate) fn new(show: Show) -> Self {
        Self { show, ..Self::default() }
    }

    /// Whether the server may hold the command back on purpose: a `hello` that waits for news of the topology, or
    /// a `getMore` on a cursor that waits for documents (no other may have `maxTimeMS`).
    pub(crate) fn is_long_poll(&self) -> bool {
        match self.verb {
            Verb::Hello => self.terms.has_topology_version && self.terms.has_max_await_time,
            Verb::GetMore => self.terms.has_max_time,
            _ => false,
        }
    }

    /// Whether the cursor that it opens will wait for documents where there are none.
    pub(crate) fn opens_awaiting_cursor(&self) -> bool {
        self.query.is_change_stream || self.is_tailable && self.awaits_data
    }

    /// What of its query may be shown.
    pub(crate) fn show(&self) -> Show {
        self.show
    }

    /// Reads the command that the document beginning here is.
    pub(crate) async fn read(&mut self, stream: &Stream<impl Source>, limit: u64) -> Result<(), Stop> {
        let mut document = Document::open(stream, limit).await?;
        let first = self.first(&mut document).await?;
        if self.verb == Verb::Wrapper && first.is_document() {
            return rare(self.wrapped(&document, &first)).await;
        }
        self.rest(&mut document, &first).await
    }

    /// Reads the command that is the value of the first element. What stands beside it is passed over with the frame.
    async fn wrapped(&mut self, document: &Document<'_, impl Source>, wrapper: &Element<()>) -> Result<(), Stop> {
        let mut document = document.open_value(wrapper).await?;
        let first = self.first(&mut document).await?;
        self.rest(&mut document, &first).await
    }

    /// Reads what the command acts upon, and all else.
    async fn rest(&mut self, document: &mut Document<'_, impl Source>, first: &Element<()>) -> Result<(), Stop> {
        self.subject(document, first).await?;
        self.fields(document).await
    }

    /// Reads the first element, whose name is the command's.
    async fn first(&mut self, document: &mut Document<'_, impl Source>) -> Result<Element<()>, Stop> {
        let (stream, shown) = (document.stream(), Cell::new(None));
        let known = |name: &[u8]| {
            let verb = Verb::of(name);
            if verb != Verb::Other || printable(name) {
                shown.set(Some(stream.keep(name)));
            }
            Some(verb)
        };
        let Some(first) = document.next(known).await? else { return Err(Stop::Malformed("a command without a name")) };
        (self.verb, self.name) = (first.key, shown.get());
        Ok(first.without_key())
    }

    /// Reads the value of the first element: what the command acts upon.
    async fn subject(&mut self, document: &Document<'_, impl Source>, first: &Element<()>) -> Result<(), Stop> {
        match self.verb {
            verb if verb.is_on_collection() => self.collection(document, first).await?,
            Verb::OnNamespace => {
                if let Some(name) = document.text(first, MAX_NAMESPACE).await? {
                    self.namespace = Namespace::split(document.stream(), name);
                }
            }
            Verb::GetMore => self.cursor_id = document.number(first).await?,
            Verb::Explain if first.is_document() => rare(self.explained(document, first)).await?,
            _ => {}
        }
        Ok(())
    }

    /// Reads the command that is to be explained.
    async fn explained(&mut self, document: &Document<'_, impl Source>, first: &Element<()>) -> Result<(), Stop> {
        let mut inner = document.open_value(first).await?;
        if let Some(explained) = inner.next(|name| Some(Verb::of(name))).await?
            && explained.key.is_on_collection()
        {
            self.collection(&inner, &explained.without_key()).await?;
            while let Some(element) = inner.next(Field::of).await? {
                self.query_field(&inner, &element).await?;
            }
        }
        Ok(())
    }

    async fn collection(&mut self, document: &Document<'_, impl Source>, name: &Element<()>) -> Result<(), Stop> {
        self.namespace.collection = document.text(name, MAX_NAMESPACE).await?;
        self.guard(document.stream());
        Ok(())
    }

    /// The server's own collections hold credentials and keys: their values are not shown.
    pub(crate) fn guard(&mut self, stream: &Stream<impl Source>) {
        if self.show.values {
            let is_system = |name: Text| stream.with_texts(|texts| texts.get(name).starts_with(b"system."));
            self.show.values = !self.namespace.collection.is_some_and(is_system);
        }
    }

    async fn fields(&mut self, document: &mut Document<'_, impl Source>) -> Result<(), Stop> {
        while let Some(element) = document.next(Field::of).await? {
            match element.key {
                // A namespace of the command's own stands.
                Field::Database if self.namespace.database.is_none() => {
                    self.namespace.database = document.text(&element, MAX_NAMESPACE).await?;
                }
                Field::Collection if self.verb == Verb::GetMore => {
                    self.namespace.collection = document.text(&element, MAX_NAMESPACE).await?;
                }
                Field::Client if self.verb == Verb::Hello && element.is_document() => {
                    self.app_name = rare(app_name(document, &element)).await?;
                }
                Field::Tailable => self.is_tailable = document.truth(&element).await? == Some(true),
                Field::AwaitData => self.awaits_data = document.truth(&element).await? == Some(true),
                Field::ViewOn => self.view_on = document.text(&element, MAX_NAMESPACE).await?,
                Field::Part(_) | Field::Carried(_) | Field::Cursors => {
                    self.query_field(document, &element).await?;
                }
                _ => self.terms.field(document, &element, self.show).await?,
            }
        }
        Ok(())
    }

    /// Reads what the command is to be done with.
    async fn query_field(
        &mut self,
        document: &Document<'_, impl Source>,
        element: &Element<Field>,
    ) -> Result<(), Stop> {
        match element.key {
            Field::Part(part) if self.verb.has_query() => {
                self.query.push(document.stream(), part, document.shape(element, self.show).await);
            }
            Field::Carried(Carried::Documents) if element.is_array() => {
                self.operations += document.open_value(element).await?.count().await?;
            }
            Field::Carried(carried) if element.is_array() => {
                let mut array = document.open_value(element).await?;
                while self.wants(carried) {
                    let Some(item) = array.next_any().await? else { return Ok(()) };
                    if item.is_document() {
                        self.item(carried, array.open_value(&item).await?).await?;
                    }
                    self.operations += u64::from(carried == Carried::Operations);
                }
                if carried == Carried::Operations {
                    self.operations += array.count().await?;
                }
            }
            Field::Cursors if element.is_array() => rare(self.cursors(document, element)).await?,
            _ => {}
        }
        Ok(())
    }

    async fn cursors(&mut self, document: &Document<'_, impl Source>, element: &Element<Field>) -> Result<(), Stop> {
        let mut cursors = document.open_value(element).await?;
        if let Some(first) = cursors.next_any().await? {
            self.cursor_id = cursors.number(&first).await?;
            self.operations += 1 + cursors.count().await?;
        }
        Ok(())
    }

    /// Whether the next of these is to be looked into: of operations the first one is.
    pub(crate) fn wants(&self, carried: Carried) -> bool {
        match carried {
            Carried::Operations => self.operations == 0,
            Carried::Namespaces => self.namespaces.len() < MAX_COLLECTIONS,
            Carried::Documents | Carried::Other => false,
        }
    }

    /// Reads an operation, or the namespace that operations act upon.
    pub(crate) async fn item(&mut self, carried: Carried, mut item: Document<'_, impl Source>) -> Result<(), Stop> {
        while let Some(element) = item.next(Field::of).await? {
            match element.key {
                Field::Part(part) if carried == Carried::Operations => {
                    self.query.push(item.stream(), part, item.shape(&element, self.show).await);
                }
                Field::Namespace if carried == Carried::Namespaces => {
                    if let Some(name) = item.text(&element, MAX_NAMESPACE).await? {
                        if self.namespaces.is_empty() {
                            self.namespace = Namespace::split(item.stream(), name);
                        }
                        self.namespaces.push(name);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads `application.name` of the metadata that a driver sends with its first command.
#[at_once]
async fn app_name<K>(document: &Document<'_, impl Source>, client: &Element<K>) -> Result<Option<Text>, Stop> {
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
