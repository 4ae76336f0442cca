//! The attributes of request and response as one object: each name once, at the place where it first occurs, with the
//! value that was given last. So a response corrects what its request said without moving it.

use crate::emit::outcome;
use crate::record::{Content, Part, Record, Value};

/// A value, and the content that says it.
pub(super) type Said<'a> = (&'a Content, Value);

/// Merges attributes; kept from record to record so that it need not allocate.
#[derive(Default)]
pub(super) struct AttributeMerge {
    /// By index into the schema: the place of the last occurrence, from 1 on. All zero between records.
    last: Vec<usize>,
}

impl AttributeMerge {
    /// Gives `put` the index into the schema and the value of each attribute to write. What the schema does not name is
    /// left out. Names are taken to be unique within the schema: a manifest that repeats one is refused when the plugin is
    /// loaded.
    pub(super) fn for_each_declared<'r>(&mut self, record: &'r Record, mut put: impl FnMut(usize, Said<'r>)) {
        let parts = [attributes(&record.request), attributes(&record.response)];
        self.last.resize(record.plugin.attributes.len(), 0);
        let mut place = 0;
        for (index, _) in parts.iter().flat_map(|(_, attributes)| *attributes) {
            place += 1;
            if let Some(last) = self.last.get_mut(usize::from(*index)) {
                *last = place;
            }
        }
        let [(asking, asked), (answering, answered)] = parts;
        for (index, _) in asked.iter().chain(answered) {
            let index = usize::from(*index);
            let Some(last) = self.last.get_mut(index).map(std::mem::take) else { continue };
            let Some(place) = last.checked_sub(1) else { continue };
            let said = match place.checked_sub(asked.len()) {
                None => asking.zip(asked.get(place)),
                Some(place) => answering.zip(answered.get(place)),
            };
            if let Some((content, (_, value))) = said {
                put(index, (content, *value));
            }
        }
    }
}

/// What no manifest declares, behind what one does; a name that is declared, too, is left out.
pub(super) fn extra(record: &Record) -> impl Iterator<Item = (&str, Said<'_>)> {
    let all = move || {
        let extras = outcome::contents(record).filter_map(|content| Some((content, content.extra.as_deref()?)));
        extras.flat_map(|(content, extra)| extra.attributes.iter().map(move |(name, value)| (name, (content, *value))))
    };
    let is_declared = |name: &String| {
        let index = record.plugin.attributes.iter().position(|declared| declared == name);
        index.is_some_and(|index| occurrences(record).any(|(other, _)| usize::from(*other) == index))
    };
    all().enumerate().filter_map(move |(place, (name, _))| {
        let is_first = !all().take(place).any(|(before, _)| before == name);
        let (_, last) = all().filter(|(other, _)| *other == name).last()?;
        (is_first && !is_declared(name)).then_some((name.as_str(), last))
    })
}

fn occurrences(record: &Record) -> impl Iterator<Item = &(u16, Value)> {
    outcome::contents(record).flat_map(|content| &content.attributes)
}

fn attributes(part: &Option<Part>) -> (Option<&Content>, &[(u16, Value)]) {
    part.as_ref().map_or((None, &[]), |part| (Some(&part.content), &part.content.attributes))
}
