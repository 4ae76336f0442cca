//! The attributes of request and response as one object: each name once, at the place where it first occurs, with the
//! value that was given last. So a response corrects what its request said without moving it.

use crate::emit::outcome;
use crate::record::{Record, Value};

/// Merges attributes; kept from record to record so that it need not allocate.
#[derive(Default)]
pub(super) struct AttributeMerge {
    /// By index into the schema: the place of the last occurrence, from 1 on. All zero between records.
    last: Vec<usize>,
}

impl AttributeMerge {
    /// The names and values to write. What the schema does not name is left out. Names are taken to be unique within
    /// the schema: a manifest that repeats one is refused when the plugin is loaded.
    pub(super) fn merged<'m>(&'m mut self, record: &'m Record) -> impl Iterator<Item = (&'m str, &'m Value)> {
        self.declared(record).chain(extra(record))
    }

    fn declared<'m>(&'m mut self, record: &'m Record) -> impl Iterator<Item = (&'m str, &'m Value)> {
        let schema = record.plugin.attributes.as_slice();
        self.last.clear();
        self.last.resize(schema.len(), 0);
        for (place, (index, _)) in occurrences(record).enumerate() {
            if let Some(last) = self.last.get_mut(usize::from(*index)) {
                *last = place + 1;
            }
        }
        occurrences(record).filter_map(|(index, _)| {
            let last = std::mem::take(self.last.get_mut(usize::from(*index))?);
            let (_, value) = occurrences(record).nth(last.checked_sub(1)?)?;
            Some((schema.get(usize::from(*index))?.as_str(), value))
        })
    }
}

/// What no manifest declares, behind what one does; a name that is declared, too, is left out.
fn extra(record: &Record) -> impl Iterator<Item = (&str, &Value)> {
    let all = || outcome::contents(record).filter_map(|content| content.extra.as_deref()).flat_map(|e| &e.attributes);
    let is_declared = |name: &String| {
        let index = record.plugin.attributes.iter().position(|declared| declared == name);
        index.is_some_and(|index| occurrences(record).any(|(other, _)| usize::from(*other) == index))
    };
    all().enumerate().filter_map(move |(place, (name, _))| {
        let is_first = !all().take(place).any(|(before, _)| before == name);
        let (_, last) = all().filter(|(other, _)| other == name).last()?;
        (is_first && !is_declared(name)).then_some((name.as_str(), last))
    })
}

fn occurrences(record: &Record) -> impl Iterator<Item = &(u16, Value)> {
    outcome::contents(record).flat_map(|content| &content.attributes)
}
