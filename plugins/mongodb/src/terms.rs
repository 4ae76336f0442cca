//! The terms of a command: which consistency it asks for and promises, which session and transaction it belongs to,
//! how much of an answer it wants at once and how long it waits.

use protap_plugin::{Source, Stop, Text, at_once, rare};

use crate::document::{Document, Element};
use crate::field::Field;
use crate::line::Line;
use crate::shape::Show;

/// Longest name of a read concern, a write concern or a read preference.
const MAX_NAME: u64 = 64;

/// What a command says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) read_concern: Option<Text>,
    pub(crate) write_concern: Option<Text>,
    pub(crate) read_preference: Option<Text>,
    /// Of a transaction, or of a write that may be retried.
    pub(crate) txn_number: Option<i64>,
    pub(crate) is_in_transaction: bool,
    pub(crate) session: Option<Text>,
    pub(crate) batch_size: Option<i64>,
    pub(crate) has_topology_version: bool,
    pub(crate) has_max_time: bool,
    pub(crate) has_max_await_time: bool,
}

#[at_once]
impl Terms {
    pub(crate) async fn field(
        &mut self,
        document: &Document<'_, impl Source>,
        element: &Element<Field>,
        show: Show,
    ) -> Result<(), Stop> {
        match element.key {
            Field::MaxTime => self.has_max_time = true,
            Field::MaxAwaitTime => self.has_max_await_time = true,
            Field::TopologyVersion => self.has_topology_version = element.is_document(),
            Field::Autocommit => self.is_in_transaction = true,
            Field::TxnNumber => self.txn_number = document.number(element).await?,
            Field::BatchSize => self.batch_size = document.number(element).await?,
            Field::Cursor | Field::ReadConcern | Field::WriteConcern | Field::ReadPreference => {
                self.inner(document, element).await?;
            }
            // An id of a session is the client's.
            Field::Session if show.values && element.is_document() => {
                rare(self.session(document, element)).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads what stands inside of `element`.
    async fn inner(&mut self, document: &Document<'_, impl Source>, element: &Element<Field>) -> Result<(), Stop> {
        let name: &[u8] = match element.key {
            Field::Cursor => b"batchSize",
            Field::ReadConcern => b"level",
            Field::WriteConcern => b"w",
            _ => b"mode",
        };
        let (text, number) = inner(document, element, name).await?;
        match element.key {
            Field::Cursor => self.batch_size = number,
            Field::ReadConcern => self.read_concern = text,
            Field::WriteConcern => self.write_concern = text,
            _ => self.read_preference = text,
        }
        Ok(())
    }

    async fn session(&mut self, document: &Document<'_, impl Source>, element: &Element<Field>) -> Result<(), Stop> {
        let mut session = document.open_value(element).await?;
        if let Some(id) = session.next(|name| (name == b"id").then_some(())).await? {
            self.session = session.uuid(&id).await?;
        }
        Ok(())
    }
}

/// The element of that name in the document that is the value of `element`: as a text, and as a number if it is one.
#[at_once]
async fn inner<K>(
    document: &Document<'_, impl Source>,
    element: &Element<K>,
    name: &[u8],
) -> Result<(Option<Text>, Option<i64>), Stop> {
    if !element.is_document() {
        return Ok((None, None));
    }
    let mut document = document.open_value(element).await?;
    let Some(found) = document.next(|found| (found == name).then_some(())).await? else { return Ok((None, None)) };
    if found.is_string() {
        return Ok((document.text(&found, MAX_NAME).await?, None));
    }
    let number = document.number(&found).await?;
    Ok((number.map(|number| document.stream().keep(Line::<24>::of(number).as_bytes())), number))
}
