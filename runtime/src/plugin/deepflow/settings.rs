//! How payloads are cut for a plugin, as options of the plugin: DeepFlow hands over each packet on its own, cut to a
//! size; here a plugin may get the head of what one side says instead.

use crate::plugin::manifest::OptionEntry;

/// Size of the buffer unless told otherwise: the most that plugins built with any SDK have room for.
const DEFAULT_BUF_SIZE: u16 = 8192;
/// The least that DeepFlow allows.
const MIN_BUF_SIZE: u16 = 256;

/// How payloads are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// A payload is a stream's head, not a segment.
    pub(super) is_stream: bool,
    /// Most bytes of a payload.
    pub(super) buf_size: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self { is_stream: false, buf_size: DEFAULT_BUF_SIZE }
    }
}

impl Settings {
    /// Sets an option; `None` if there is none of that name, or it cannot have that value.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match (key, value) {
            ("payload", "segment") => self.is_stream = false,
            ("payload", "stream") => self.is_stream = true,
            ("buf_size", size) => self.buf_size = size.parse().ok().filter(|size| *size >= MIN_BUF_SIZE)?,
            _ => return None,
        }
        Some(())
    }
}

/// The options, for people.
pub(super) fn options() -> Vec<OptionEntry> {
    let entry = |key: &str, default: &str, help: &str| OptionEntry {
        key: key.to_owned(),
        default: default.to_owned(),
        help: help.to_owned(),
    };
    vec![
        entry(
            "payload",
            "segment",
            "segment: each segment on its own; stream: what a side says, until a record comes of it",
        ),
        entry("buf_size", "8192", "most bytes of a payload, 256 to 65535"),
    ]
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn options_are_within_their_bounds() {
        let mut settings = Settings::default();
        assert!(settings.set("payload", "stream").is_some() && settings.is_stream);
        assert!(settings.set("buf_size", "256").is_some() && settings.buf_size == 256);
        for (key, value) in [("buf_size", "255"), ("buf_size", "65536"), ("payload", ""), ("other", "1")] {
            assert_eq!(settings.set(key, value), None, "{key}={value}");
        }
    }
}
