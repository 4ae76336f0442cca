//! The plugin's options, and what else all flows share.

use core::cell::RefCell;

use protap_plugin::OptionDef;

use crate::compressed::Limits;
use crate::shape::Show;

/// What a user may set.
pub(crate) const OPTIONS: &[OptionDef] = &[
    OptionDef { key: "shape", default: "on", help: "on or off: the shape of queries, with ? for values" },
    OptionDef {
        key: "values",
        default: "off",
        help: "on or off: show the values in queries, and ids of sessions; credentials never are",
    },
    OptionDef { key: "inflate", default: "256", help: "KiB of a compressed message that are looked at, at most 512" },
];

/// What the user set.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) show: Show,
    pub(crate) limits: Limits,
    /// Where a text is put together, so that none costs an allocation.
    pub(crate) scratch: RefCell<Vec<u8>>,
}

impl Settings {
    /// Takes one option.
    pub(crate) fn configure(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        let switch = match value {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err("give on or off"),
        };
        match key {
            "shape" => self.show.shape = switch?,
            "values" => self.show.values = switch?,
            "inflate" => self.limits.configure(value)?,
            _ => return Err("the plugin has no such option"),
        }
        Ok(())
    }
}
