//! The text of lines that wait for their turn, as it came: a page for each batch. A page goes back once all its lines are
//! written; should single lines that wait for long hold many pages, what is left is copied together.

use std::ops::Range;

/// Bytes in pages, beside twice what still waits, from which on what waits is copied together.
const MAX_WASTE: usize = 8 << 20;
/// Pages that are kept for others at most, and the room that such a one may have.
const MAX_SPARES: usize = 64;
const MAX_ROOM: usize = 1 << 20;

/// Where a line lies: on which page, once the page is here.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) page: usize,
    pub(super) bytes: Range<usize>,
}

#[derive(Debug, Default)]
struct HeldPage {
    text: Vec<u8>,
    /// Lines that wait.
    lines: usize,
}

/// Pages, by number.
#[derive(Debug, Default)]
pub(super) struct Pages {
    pages: Vec<HeldPage>,
    free: Vec<usize>,
    /// Bytes in all pages.
    held: usize,
    /// Bytes of lines that wait.
    waiting: usize,
    spares: Vec<Vec<u8>>,
}

impl Pages {
    /// The number of the page that will be added next.
    pub(super) fn next(&self) -> usize {
        self.free.last().copied().unwrap_or(self.pages.len())
    }

    /// Takes a page of which so many lines will wait.
    pub(super) fn add(&mut self, text: Vec<u8>, lines: usize) {
        if lines == 0 {
            return self.keep(text);
        }
        self.held += text.len();
        self.waiting += text.len();
        let page = HeldPage { text, lines };
        match self.free.pop().and_then(|number| self.pages.get_mut(number)) {
            Some(place) => *place = page,
            None => self.pages.push(page),
        }
    }

    /// The line there.
    pub(super) fn line(&self, place: &Place) -> &[u8] {
        self.pages.get(place.page).and_then(|page| page.text.get(place.bytes.clone())).unwrap_or_default()
    }

    /// The line there waits no more.
    pub(super) fn done(&mut self, place: &Place) {
        let Some(page) = self.pages.get_mut(place.page) else { return };
        self.waiting = self.waiting.saturating_sub(place.bytes.len());
        page.lines = page.lines.saturating_sub(1);
        if page.lines == 0 {
            let text = std::mem::take(&mut page.text);
            self.held = self.held.saturating_sub(text.len());
            self.free.push(place.page);
            self.keep(text);
        }
    }

    /// Whether most of what is held waits no more.
    pub(super) fn is_wasteful(&self) -> bool {
        self.held > self.waiting.saturating_mul(2).saturating_add(MAX_WASTE)
    }

    /// Copies what waits together; these are all of its places.
    pub(super) fn compact<'a>(&mut self, places: impl Iterator<Item = &'a mut Place>) {
        let (mut text, mut lines) = (Vec::with_capacity(self.waiting), 0);
        let old = std::mem::take(self);
        for place in places {
            let start = text.len();
            text.extend_from_slice(old.line(place));
            *place = Place { page: 0, bytes: start..text.len() };
            lines += 1;
        }
        self.spares = old.spares;
        self.add(text, lines);
    }

    /// Room for a page.
    pub(super) fn spare(&mut self) -> Vec<u8> {
        self.spares.pop().unwrap_or_default()
    }

    fn keep(&mut self, mut text: Vec<u8>) {
        if self.spares.len() < MAX_SPARES && text.capacity() <= MAX_ROOM {
            text.clear();
            self.spares.push(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_WASTE, Pages, Place};

    fn add(pages: &mut Pages, line: &[u8], times: usize) -> Vec<Place> {
        let number = pages.next();
        pages.add(line.repeat(times), times);
        (0..times).map(|at| Place { page: number, bytes: at * line.len()..(at + 1) * line.len() }).collect()
    }

    #[test]
    fn numbers_are_taken_again_once_all_lines_are_done() {
        let mut pages = Pages::default();
        let first = add(&mut pages, b"one", 2);
        let second = add(&mut pages, b"two", 1);
        assert_eq!((pages.line(&first[1]), pages.line(&second[0])), (&b"one"[..], &b"two"[..]));
        first.iter().for_each(|place| pages.done(place));
        assert_eq!((pages.next(), pages.held), (first[0].page, 3));
        let third = add(&mut pages, b"three", 1);
        assert_eq!((pages.line(&third[0]), pages.line(&second[0])), (&b"three"[..], &b"two"[..]));
        assert!(pages.spare().capacity() > 0);
    }

    /// One line in each page waits for ever.
    #[test]
    fn lines_that_wait_for_long_do_not_hold_their_pages() {
        let (mut pages, mut waiting) = (Pages::default(), Vec::new());
        for number in 0..4096_u32 {
            let line = [number.to_le_bytes().as_slice(), &[7; 800]].concat();
            let mut places = add(&mut pages, &line, 64);
            waiting.push(places.remove(5));
            places.iter().for_each(|place| pages.done(place));
            if pages.is_wasteful() {
                pages.compact(waiting.iter_mut());
                assert_eq!(pages.held, pages.waiting);
            }
            assert!(pages.held <= 2 * pages.waiting + MAX_WASTE + 64 * 804);
        }
        for (number, place) in (0..4096_u32).zip(&waiting) {
            assert_eq!(pages.line(place)[..4], number.to_le_bytes());
        }
        waiting.iter().for_each(|place| pages.done(place));
        assert_eq!((pages.held, pages.waiting), (0, 0));
    }
}
