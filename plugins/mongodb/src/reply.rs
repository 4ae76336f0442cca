//! A command's reply: whether it succeeded, the error if not, and how many documents came back. Error texts and
//! documents are passed over unread, as they are the user's.

use protap_plugin::{Source, Stop, Stream, Text, at_once, rare};

use crate::command::MAX_NAMESPACE;
use crate::context::Context;
use crate::document::{Document, Element};

/// Most operations of a `bulkWrite` that are searched for one that failed.
const MAX_OPERATIONS: u32 = 4096;
/// Longest error name, or error label.
const MAX_CODE_NAME: u64 = 64;
/// Most error labels that are named.
const MAX_LABELS: usize = 8;

/// The elements of a reply that are looked at, at any depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Ok,
    Code,
    CodeName,
    Err,
    WriteErrors,
    WriteConcernError,
    Errors,
    Cursor,
    CursorId,
    CursorNamespace,
    Batch,
    Values,
    Value,
    N,
    NModified,
    NInserted,
    NMatched,
    NUpserted,
    NDeleted,
    Upserted,
    LastErrorObject,
    ErrorLabels,
}

impl Field {
    fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"ok" => Self::Ok,
            b"code" => Self::Code,
            b"codeName" => Self::CodeName,
            b"err" => Self::Err,
            b"writeErrors" => Self::WriteErrors,
            b"writeConcernError" => Self::WriteConcernError,
            b"nErrors" => Self::Errors,
            b"cursor" => Self::Cursor,
            b"id" => Self::CursorId,
            b"ns" => Self::CursorNamespace,
            b"firstBatch" | b"nextBatch" => Self::Batch,
            b"values" => Self::Values,
            b"n" => Self::N,
            b"nModified" => Self::NModified,
            b"nInserted" => Self::NInserted,
            b"nMatched" => Self::NMatched,
            b"nUpserted" => Self::NUpserted,
            b"nDeleted" => Self::NDeleted,
            b"upserted" => Self::Upserted,
            b"value" => Self::Value,
            b"lastErrorObject" => Self::LastErrorObject,
            b"errorLabels" => Self::ErrorLabels,
            _ => return None,
        })
    }
}

/// An error as replies report it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Error {
    pub(crate) code: Option<i64>,
    pub(crate) name: Option<Text>,
}

/// What a reply says.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) ok: Option<bool>,
    /// All of the reply was read: what `ok` says of it may be taken back by errors that stand behind it.
    pub(crate) is_whole: bool,
    /// Of the command as a whole.
    pub(crate) error: Error,
    /// Of the first operation that failed.
    pub(crate) write_error: Option<Error>,
    /// Operations that failed.
    pub(crate) write_errors: u64,
    pub(crate) write_concern_error: Option<Error>,
    pub(crate) cursor_id: Option<i64>,
    /// Database and collection of the cursor.
    pub(crate) namespace: Option<Text>,
    /// Documents in the batch.
    pub(crate) rows: Option<u64>,
    pub(crate) n: Option<i64>,
    pub(crate) n_modified: Option<i64>,
    pub(crate) n_inserted: Option<i64>,
    pub(crate) n_matched: Option<i64>,
    pub(crate) n_upserted: Option<i64>,
    pub(crate) n_deleted: Option<i64>,
    pub(crate) error_labels: Vec<Text>,
    /// `getLastError` succeeds when it reports an error.
    has_last_error: bool,
}

#[at_once]
impl Reply {
    /// Whether the request succeeded, as far as all that could say otherwise was read.
    pub(crate) fn is_success(&self) -> bool {
        self.is_whole && self.ok == Some(true) && self.failure().is_none()
    }

    /// The error that the request came to, if any.
    pub(crate) fn failure(&self) -> Option<Error> {
        match self.ok {
            Some(false) => Some(self.error),
            _ if self.has_last_error => Some(self.error),
            _ if self.write_errors > 0 => Some(self.write_error.unwrap_or_default()),
            _ => self.write_concern_error,
        }
    }

    /// Reads the reply that the document beginning here is.
    pub(crate) async fn read(
        &mut self,
        stream: &Stream<impl Source>,
        limit: u64,
        context: Context,
    ) -> Result<(), Stop> {
        let mut document = Document::open(stream, limit).await?;
        while let Some(element) = document.next(Field::of).await? {
            self.field(&document, &element, context).await?;
        }
        self.is_whole = true;
        Ok(())
    }

    async fn field(
        &mut self,
        document: &Document<'_, impl Source>,
        element: &Element<Field>,
        context: Context,
    ) -> Result<(), Stop> {
        match element.key {
            Field::Ok => self.ok = document.truth(element).await?,
            Field::Code | Field::CodeName => self.error.field(document, element).await?,
            Field::Err => self.has_last_error = element.is_string(),
            Field::WriteErrors if element.is_array() => rare(self.write_errors(document, element)).await?,
            Field::WriteConcernError if element.is_document() => {
                self.write_concern_error = Some(rare(Error::read(document, element)).await?.0);
            }
            Field::Errors => {
                let errors = document.number(element).await?.and_then(|errors| u64::try_from(errors).ok());
                self.write_errors = errors.unwrap_or_default();
            }
            Field::Cursor if element.is_document() => self.cursor(document, element, context).await?,
            Field::Values if element.is_array() => self.rows = Some(rare(count(document, element)).await?),
            Field::Value if context.is_find_and_modify() => self.rows = Some(u64::from(!element.is_null())),
            Field::LastErrorObject if element.is_document() => rare(self.last_error(document, element)).await?,
            Field::Upserted if element.is_array() => {
                self.n_upserted = i64::try_from(rare(count(document, element)).await?).ok();
            }
            Field::ErrorLabels if element.is_array() => rare(self.error_labels(document, element)).await?,
            _ => self.count(document, element).await?,
        }
        Ok(())
    }

    async fn count(&mut self, document: &Document<'_, impl Source>, element: &Element<Field>) -> Result<(), Stop> {
        let count = match element.key {
            Field::N => &mut self.n,
            Field::NModified => &mut self.n_modified,
            Field::NInserted => &mut self.n_inserted,
            Field::NMatched => &mut self.n_matched,
            Field::NUpserted => &mut self.n_upserted,
            Field::NDeleted => &mut self.n_deleted,
            _ => return Ok(()),
        };
        *count = document.number(element).await?;
        Ok(())
    }

    async fn last_error<K>(&mut self, document: &Document<'_, impl Source>, object: &Element<K>) -> Result<(), Stop> {
        let mut object = document.open_value(object).await?;
        if let Some(n) = object.next(|name| (name == b"n").then_some(())).await? {
            self.n = object.number(&n).await?;
        }
        Ok(())
    }

    async fn error_labels<K>(&mut self, document: &Document<'_, impl Source>, labels: &Element<K>) -> Result<(), Stop> {
        let mut labels = document.open_value(labels).await?;
        while self.error_labels.len() < MAX_LABELS
            && let Some(label) = labels.next_any().await?
        {
            self.error_labels.extend(labels.text(&label, MAX_CODE_NAME).await?);
        }
        Ok(())
    }

    async fn write_errors<K>(&mut self, document: &Document<'_, impl Source>, errors: &Element<K>) -> Result<(), Stop> {
        let mut errors = document.open_value(errors).await?;
        if let Some(first) = errors.next_any().await? {
            if first.is_document() {
                self.write_error = Some(Error::read(&errors, &first).await?.0);
            }
            self.write_errors = 1 + errors.count().await?;
        }
        Ok(())
    }

    async fn cursor<K>(
        &mut self,
        document: &Document<'_, impl Source>,
        cursor: &Element<K>,
        context: Context,
    ) -> Result<(), Stop> {
        let mut cursor = document.open_value(cursor).await?;
        while let Some(element) = cursor.next(Field::of).await? {
            match element.key {
                Field::CursorId => self.cursor_id = cursor.number(&element).await?,
                Field::CursorNamespace => self.namespace = cursor.text(&element, MAX_NAMESPACE).await?,
                Field::Batch if !element.is_array() => {}
                Field::Batch if context.is_bulk_write() => rare(self.operations(&cursor, &element)).await?,
                Field::Batch => self.rows = Some(cursor.open_value(&element).await?.count().await?),
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads what became of the operations of a `bulkWrite`, up to the first that failed among the first so many.
    async fn operations<K>(&mut self, document: &Document<'_, impl Source>, batch: &Element<K>) -> Result<(), Stop> {
        let mut batch = document.open_value(batch).await?;
        let mut left = MAX_OPERATIONS;
        while let (1.., Some(operation)) = (left, batch.next_any().await?) {
            left -= 1;
            if operation.is_document()
                && let (error, Some(false)) = Error::read(&batch, &operation).await?
            {
                self.write_error = Some(error);
                break;
            }
        }
        Ok(())
    }
}

/// How many elements the value of `element` has.
#[at_once]
async fn count<K>(document: &Document<'_, impl Source>, element: &Element<K>) -> Result<u64, Stop> {
    document.open_value(element).await?.count().await
}

#[at_once]
impl Error {
    /// Reads the error that the value of `element` reports, and the `ok` beside it.
    async fn read<K>(document: &Document<'_, impl Source>, element: &Element<K>) -> Result<(Self, Option<bool>), Stop> {
        let (mut error, mut ok) = (Self::default(), None);
        let mut document = document.open_value(element).await?;
        while let Some(element) = document.next(Field::of).await? {
            match element.key {
                Field::Ok => ok = document.truth(&element).await?,
                _ => error.field(&document, &element).await?,
            }
        }
        Ok((error, ok))
    }

    async fn field(&mut self, document: &Document<'_, impl Source>, element: &Element<Field>) -> Result<(), Stop> {
        match element.key {
            Field::Code => self.code = document.number(element).await?,
            Field::CodeName => self.name = document.text(element, MAX_CODE_NAME).await?,
            _ => {}
        }
        Ok(())
    }
}
