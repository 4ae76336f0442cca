//! The strings of an answer. Most are copied into it; one that is told of in several places is copied once, and one that
//! the module has among its constants need not be copied at all.

use core::ops::Range;

use super::message::AttributeHead;
use super::{Output, REASONS, STRINGS, STRINGS_AT};
use crate::contract::Str;

/// What the setters of a [`MessageWriter`](super::MessageWriter) take for a string: bytes, which are copied, one that is
/// [`Written`], or one that is [`Fixed`].
pub trait Writable: Sized {
    /// The string in the answer.
    #[doc(hidden)]
    fn write_to(self, output: &mut Output) -> Written;

    /// Adds an attribute whose value it is.
    #[doc(hidden)]
    #[inline(always)]
    fn add_to(self, output: &mut Output, head: AttributeHead) {
        let value = self.write_to(output).0.to_value();
        output.add(head, value);
    }

    /// Adds it to the list that begins there, if there is room.
    #[doc(hidden)]
    #[inline]
    fn add_element(self, output: &mut Output, first: usize) -> bool {
        let text = self.write_to(output).0;
        output.element(first, text)
    }
}

/// A string that lies in the answer, to be told of in several places, as a whole or in part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written(pub(super) Str);

impl Written {
    /// The bytes in that range, as far as the string has them.
    #[must_use]
    #[inline]
    pub fn part(self, range: Range<usize>) -> Self {
        let (start, len) = part(range, self.0.len);
        Self(Str { ptr: self.0.ptr.wrapping_add(start), len })
    }

    /// All from the beginning of this string to the end of another one that was
    /// [written together](super::MessageWriter::write_all) with it.
    #[must_use]
    #[inline]
    pub fn through(self, last: Self) -> Self {
        let end = last.0.ptr.wrapping_add(last.0.len);
        Self(Str { ptr: self.0.ptr, len: end.saturating_sub(self.0.ptr) })
    }
}

/// Where in a string of that length a range begins, and how many of its bytes the string has.
#[inline]
pub(crate) fn part(range: Range<usize>, len: u32) -> (u32, u32) {
    let all = len as usize;
    let start = range.start.min(all);
    let end = range.end.clamp(start, all);
    (start as u32, (end - start) as u32)
}

/// A string that is known when the plugin is built: in a module it is told of where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed(pub &'static str);

impl<T: AsRef<[u8]>> Writable for T {
    #[inline]
    fn write_to(self, output: &mut Output) -> Written {
        Written(output.text(self.as_ref()))
    }

    #[inline]
    fn add_to(self, output: &mut Output, head: AttributeHead) {
        output.text_attribute(head, self.as_ref());
    }

    #[inline]
    fn add_element(self, output: &mut Output, first: usize) -> bool {
        output.text_element(first, self.as_ref())
    }
}

/// A string that was read from a stream ([`Texts::read`](crate::Texts::read)). Where it was left in the window, a module
/// tells of it there: the host takes the answer before it gives another window.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) is_in_window: bool,
}

impl Writable for Read<'_> {
    #[inline(always)]
    fn write_to(self, output: &mut Output) -> Written {
        if self.is_in_window && cfg!(target_family = "wasm") {
            in_place(self.bytes)
        } else {
            self.bytes.write_to(output)
        }
    }
}

/// A string that stays where it is in a module's memory, until the host has taken the answer.
#[inline(always)]
fn in_place(text: &[u8]) -> Written {
    Written(Str { ptr: text.as_ptr() as usize as u32, len: text.len() as u32 })
}

impl Writable for Written {
    #[inline(always)]
    fn write_to(self, _: &mut Output) -> Written {
        self
    }
}

impl Writable for Fixed {
    #[cfg(target_family = "wasm")]
    #[inline(always)]
    fn write_to(self, _: &mut Output) -> Written {
        in_place(self.0.as_bytes())
    }

    #[cfg(not(target_family = "wasm"))]
    fn write_to(self, output: &mut Output) -> Written {
        self.0.write_to(output)
    }
}

impl Output {
    /// Copies a string into the arena; `None` if there is no room. An empty string is present, not absent.
    #[inline]
    pub(super) fn string(&mut self, text: &[u8]) -> Option<Str> {
        self.copy(text, STRINGS)
    }

    /// As `string`, but with room of its own.
    pub(super) fn reason(&mut self, reason: &str) -> Option<Str> {
        if reason.is_empty() { None } else { self.copy(reason.as_bytes(), STRINGS + REASONS) }
    }

    /// Copies a string of the message that is being put together.
    pub(super) fn text(&mut self, text: &[u8]) -> Str {
        self.string(text).unwrap_or_else(|| self.cut())
    }

    /// As `text`, of several, one behind the other: where the first one lies, or 0.
    #[inline(never)]
    fn texts(&mut self, texts: &[&[u8]]) -> u32 {
        let start = self.strings;
        for text in texts {
            if self.string(text).is_none() {
                self.strings = start;
                return self.cut().ptr;
            }
        }
        self.address(STRINGS_AT + start)
    }

    #[inline(always)]
    pub(super) fn write_all<const N: usize>(&mut self, texts: [&[u8]; N]) -> [Written; N] {
        let mut ptr = self.texts(&texts);
        if ptr == 0 {
            return [Written::default(); N];
        }
        texts.map(|text| {
            let written = Str { ptr, len: text.len() as u32 };
            ptr = ptr.wrapping_add(written.len);
            Written(written)
        })
    }

    /// Adds an attribute with a string; one function for copying and adding, as calls are dear in the sandbox.
    #[inline(never)]
    pub(super) fn text_attribute(&mut self, head: AttributeHead, text: &[u8]) {
        let value = self.text(text).to_value();
        self.add(head, value);
    }

    #[cold]
    fn cut(&mut self) -> Str {
        self.draft.is_cut = true;
        Str::default()
    }

    fn copy(&mut self, text: &[u8], room: usize) -> Option<Str> {
        let end = self.strings.checked_add(text.len()).filter(|end| *end <= room)?;
        let at = STRINGS_AT + self.strings;
        copy_text(self.arena.get_mut(at..STRINGS_AT + end)?, text);
        self.strings = end;
        Some(Str { ptr: self.address(at), len: text.len() as u32 })
    }
}

/// Copies a string to a place of its length. Most are short, and where memory is copied by a call of the host, as it is in
/// Wasm, that call costs more than they do: a front and an end of fixed lengths, which may overlap, need none.
#[inline]
fn copy_text(to: &mut [u8], text: &[u8]) {
    fn both_ends<const N: usize>(to: &mut [u8], text: &[u8]) -> Option<()> {
        *to.first_chunk_mut::<N>()? = *text.first_chunk()?;
        *to.last_chunk_mut::<N>()? = *text.last_chunk()?;
        Some(())
    }
    let is_copied = match text.len() {
        0 => Some(()),
        1..4 => {
            // First, middle and last byte.
            let middle = text.len() / 2;
            let copied = both_ends::<1>(to, text);
            to.get_mut(middle).zip(text.get(middle)).map(|(to, from)| *to = *from).and(copied)
        }
        4..8 => both_ends::<4>(to, text),
        8..=16 => both_ends::<8>(to, text),
        17..=32 => both_ends::<16>(to, text),
        33..=64 => both_ends::<32>(to, text),
        _ => None,
    };
    if is_copied.is_none() {
        to.copy_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::{Fixed, copy_text};
    use crate::contract::memory::Memory;
    use crate::contract::verb;
    use crate::manifest::Key;
    use crate::output::{Kind, Output};

    #[test]
    fn strings_of_every_length_are_copied_as_they_are() {
        let text: Vec<u8> = (1..=100).collect();
        for len in 0..text.len() {
            let mut to = vec![0; len];
            copy_text(&mut to, &text[..len]);
            assert_eq!(to, text[..len]);
        }
    }

    #[test]
    fn a_string_that_is_set_in_several_places_is_copied_once() {
        let mut output = Output::default();
        let mut writer = output.message(Kind::Request);
        let [domain, _, resource] = writer.write_all([b"shop", b".", b"orders"]);
        let endpoint = domain.through(resource);
        assert_eq!(endpoint.part(5..usize::MAX), resource);
        writer.endpoint(endpoint).domain(domain).resource(resource).str(Key(0), resource).version(Fixed("7")).emit();
        let address = output.finish(verb::MORE, 0, 0, "");
        let memory = Memory(output.memory());
        let message = memory.messages(&memory.result(address).unwrap()).unwrap().next().unwrap();
        let text = |string| core::str::from_utf8(memory.string("", string).unwrap().unwrap()).unwrap();
        let said = [message.endpoint, message.domain, message.resource, message.version].map(text);
        assert_eq!(said, ["shop.orders", "shop", "orders", "7"]);
        let attribute = memory.attributes(&message).unwrap().next().unwrap();
        assert_eq!(attribute.value, message.resource.to_value());
        assert_eq!(output.strings, "shop.orders7".len());
    }

    #[test]
    fn a_string_for_which_there_is_no_room_is_left_out_in_all_its_places() {
        let mut output = Output::default();
        let mut writer = output.message(Kind::Request);
        let long = [b'x'; 40 << 10];
        let [first, second] = writer.write_all([&long, &long]);
        let absent = [first, second, first.through(second), first.part(1..2)];
        assert_eq!(absent.map(|written| written.0.to_value()), [0; 4]);
        writer.resource(b"short").emit();
        assert_eq!(output.strings, "short".len() + "no room in the answer".len());
    }
}
