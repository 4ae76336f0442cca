//! Text that is safe on a terminal: control characters made visible, widths in columns, colours where wanted. Captured
//! data is hostile: a topic's name may hold escape sequences.

use std::env;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use terminal_size::{Width, terminal_size_of};
use unicode_width::UnicodeWidthChar;

/// What stands for text that was left out.
pub(crate) const ELLIPSIS: char = '…';

/// Columns assumed where the output has no width of its own.
const DEFAULT_WIDTH: usize = 120;

/// Widest output, so that a wild COLUMNS costs nothing.
const MAX_WIDTH: usize = 1_000;

/// How to write for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextStyle {
    /// Columns that a line may take.
    pub width: usize,
    /// Colours may be used.
    pub has_colour: bool,
}

impl TextStyle {
    /// What suits `output`: a terminal's own width, else `COLUMNS`, else 120; colours on a terminal alone, and not if
    /// `NO_COLOR` is set (<https://no-color.org>).
    #[must_use]
    pub fn detect(output: &(impl IsTerminal + AsFd)) -> Self {
        let is_terminal = output.is_terminal();
        let own = terminal_size_of(output).filter(|_| is_terminal).map(|(Width(width), _)| usize::from(width));
        let told = || env::var("COLUMNS").ok()?.parse().ok();
        let width = own.or_else(told).filter(|width| *width > 0).unwrap_or(DEFAULT_WIDTH).min(MAX_WIDTH);
        let is_refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { width, has_colour: is_terminal && !is_refused }
    }
}

/// What a text looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Paint {
    #[default]
    Plain,
    Bold,
    Dim,
    Green,
    Yellow,
    Red,
    Magenta,
}

impl Paint {
    /// The escape sequence that turns it on; [`Paint::OFF`] turns it off.
    pub(crate) fn on(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Green => "\x1b[32m",
            Self::Yellow => "\x1b[33m",
            Self::Red => "\x1b[31m",
            Self::Magenta => "\x1b[35m",
        }
    }

    pub(crate) const OFF: &'static str = "\x1b[0m";
}

/// Columns that `character` takes on a terminal; rather too many than too few.
pub(crate) fn char_width(character: char) -> usize {
    // VARIATION SELECTOR-16 makes an emoji, two columns wide, of the character before it.
    if character == '\u{fe0f}' { 1 } else { character.width().unwrap_or(0) }
}

/// Columns that `text` takes on a terminal.
pub(crate) fn text_width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// `text` with whatever a terminal would not simply show made visible (`\n`, `\u{1b}`).
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::new();
    push_visible(&mut out, text, usize::MAX);
    out
}

/// Appends `text` with whatever a terminal would not simply show made visible (`\n`, `\u{1b}`). Stops soon after
/// `max_width` columns, where text is cut anyway.
pub(crate) fn push_visible(out: &mut String, text: &str, max_width: usize) {
    let mut width = 0;
    for character in text.chars() {
        let start = out.len();
        if is_unsafe(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
        // An upper bound of one for what has no width: it must end, too.
        width += out.get(start..).map_or(0, text_width).max(1);
        if width > max_width {
            break;
        }
    }
}

/// A terminal would do something else than show it: control characters obviously, but also what turns the order of
/// the text around (so that it reads as something else), separates lines, or hides.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::{push_visible, text_width, visible};

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(visible("a\x1b[2Jb\r\n\u{9b}0m\u{7f}"), "a\\u{1b}[2Jb\\r\\n\\u{9b}0m\\u{7f}");
        assert_eq!(visible("a\u{200d}b\u{3164}\u{2800}"), "a\\u{200d}b\\u{3164}\\u{2800}");
        assert_eq!(visible("a\u{202e}b\u{2066}\u{200b}\u{2028}"), "a\\u{202e}b\\u{2066}\\u{200b}\\u{2028}");
    }

    #[test]
    fn ordinary_text_of_any_script_is_shown_as_it_is() {
        assert_eq!(visible("Bestellungen-äöü 注文 🦀"), "Bestellungen-äöü 注文 🦀");
    }

    #[test]
    fn long_text_stops_soon_after_the_width() {
        let mut out = String::new();
        push_visible(&mut out, &"\u{301}".repeat(5_000), 100);
        push_visible(&mut out, &"x".repeat(5_000), 100);
        assert_eq!(out.chars().count(), 202);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!([text_width("abc"), text_width("注文"), text_width("❤\u{fe0f}")], [3, 4, 2]);
    }
}
