//! What a shard gives out, and where to.

use std::sync::Arc;

use super::{PluginIdentity, Record, Spares};
use crate::plugin::content::Fact;

/// What comes out of a session.
#[derive(Clone, Debug)]
pub enum Output {
    /// A record.
    Record(Box<Record>),
    /// A fact of that plugin.
    Fact(Arc<PluginIdentity>, Fact),
}

/// Where records go.
#[derive(Debug)]
pub struct Outlet<'a> {
    /// What came out so far.
    pub out: &'a mut Vec<Output>,
    /// What they are made of.
    pub spares: &'a mut Spares,
}

impl Outlet<'_> {
    /// Gives out a record.
    pub fn push(&mut self, record: Box<Record>) {
        self.out.push(Output::Record(record));
    }
}
