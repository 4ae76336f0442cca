//! What a command looks for, changes and computes: the shapes of its parts, which together are its text.

use protap_plugin::{Stream, Text, Texts};

use crate::line::Line;
use crate::shape;

/// Parts that are kept: a filter, an update and an order are the most that a command has.
const MAX_PARTS: usize = 3;
/// Most bytes of a text: its parts, and the names around them.
const MAX_TEXT: usize = MAX_PARTS * shape::MAX_LEN + 384;

/// A part of a command whose shape is shown, under its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Part {
    #[default]
    Filter,
    Query,
    Q,
    Sort,
    Pipeline,
    U,
    Update,
    UpdateMods,
}

impl Part {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Filter => b"filter",
            Self::Query => b"query",
            Self::Q => b"q",
            Self::Sort => b"sort",
            Self::Pipeline => b"pipeline",
            Self::U => b"u",
            Self::Update => b"update",
            Self::UpdateMods => b"updateMods",
        }
    }
}

/// The shapes of a command's parts, in the order in which they stand there.
#[derive(Debug, Default)]
pub(crate) struct Query {
    parts: [Option<(Part, Text)>; MAX_PARTS],
    /// The pipeline opens a change stream.
    pub(crate) is_change_stream: bool,
}

impl Query {
    pub(crate) fn push(&mut self, stream: &Stream, part: Part, shape: Option<Text>) {
        let Some(shape) = shape else { return };
        if part == Part::Pipeline {
            let starts = stream.with_texts(|texts| texts.get(shape).starts_with(b"[{\"$changeStream\""));
            self.is_change_stream |= starts;
        }
        if let Some(slot) = self.parts.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some((part, shape));
        }
    }

    /// `{"find":"users","filter":{"age":{"$gt":"?"}}}`; nothing if there are no parts.
    pub(crate) fn text(&self, texts: Texts<'_>, name: &[u8], collection: &[u8]) -> Option<Line<MAX_TEXT>> {
        self.parts.first().copied().flatten()?;
        let mut line = Line::default();
        line.push(b"{\"");
        line.push(name);
        line.push(b"\":\"");
        line.push(collection);
        line.push(b"\"");
        for (part, shape) in self.parts.iter().flatten() {
            line.push(b",\"");
            line.push(part.name());
            line.push(b"\":");
            line.push(texts.get(*shape));
        }
        line.push(b"}");
        Some(line)
    }
}
