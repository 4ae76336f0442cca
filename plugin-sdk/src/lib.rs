//! The plugin contract, and an SDK to write plugins against it.

#[cfg(doctest)]
use protap_plugin as _;

pub mod contract;
mod export;
mod frames;
mod guest;
pub mod host;
mod manifest;
mod output;
mod plugin;
mod raw;
mod reader;
mod sequential;

pub use self::frames::{AsFrames, FrameBytes, Frames};
pub use self::guest::{Guest, Parser, ParserCall};
pub use self::manifest::{AttributeDef, Facts, Key, Manifest, OptionDef, Transport};
pub use self::output::{Kind, MessageWriter, Output, Status};
pub use self::plugin::{Client, Direction, Frame, Heads, Input, Progress, Resync, Verdict, resync_by_frames};
pub use self::raw::{AsRaw, Raw};
pub use self::reader::{ReadError, Reader};
pub use self::sequential::{AsSequential, Sequential, SequentialFlow, Stop, Stream, Text, Texts};

/// What a plugin's source needs.
pub mod prelude {
    pub use crate::{
        Client, Direction, Facts, Frame, FrameBytes, Frames, Heads, Input, Key, Kind, Manifest, MessageWriter, Output,
        Progress, Raw, ReadError, Reader, Resync, Sequential, Status, Stop, Stream, Text, Texts, Transport, Verdict,
        attributes, export, host,
    };
}
