//! Who serves the shards: the thread that reads, workers that each read the capture, or workers that are handed segments.
//! All give the merge the same outputs in the same order, but for a live capture whose workers cannot keep up.

mod gather;
mod job;
mod readers;
mod share;
mod shed;
mod threads;

use std::io;
use std::sync::Arc;
use std::thread::{Builder, Scope, ScopedJoinHandle};

use self::share::Share;
use super::front::{Place, Placed};
use super::report::ShardTotals;
use super::{LoopReport, Workers};
use crate::merge::{Merge, Page};
use crate::packet::Timestamp;
use crate::plugin::PluginSet;
use crate::record::ProcessPair;
use crate::shard::FlowOptions;

pub(super) use readers::read_each;
pub(super) use shed::ShedCounters;
pub(super) use threads::Threads;

/// Bytes of lines that are handed to the merge at a time: few enough to stay in the processor's cache.
const PAGE: usize = 64 << 10;

/// Starts a thread that runs what others wrote, or writes what that said: it needs no privilege for it.
fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    run: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    Builder::new().name(name.to_owned()).spawn_scoped(scope, || {
        #[cfg(target_os = "linux")]
        let _ = crate::privilege::drop_all();
        run()
    })
}

/// What came of such a thread.
fn join<T>(thread: ScopedJoinHandle<'_, io::Result<T>>) -> io::Result<T> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("a worker or the merge panicked")))
}

/// The shards, served by the thread that reads.
pub(super) struct Inline<'m, 's> {
    share: Share,
    page: Page,
    merge: &'m mut Merge<'s>,
}

impl<'m, 's> Inline<'m, 's> {
    pub(super) fn new(plugins: &Arc<PluginSet>, options: &Arc<FlowOptions>, merge: &'m mut Merge<'s>) -> Self {
        let share = Share::new(Place::ALONE, (plugins, options), merge.form());
        Self { share, page: Page::default(), merge }
    }

    pub(super) fn finish(mut self, report: &LoopReport) -> io::Result<ShardTotals> {
        let totals = self.share.end(report.end(), (&mut self.page, &mut self.merge.spares));
        self.flush()?;
        Ok(totals)
    }

    /// Hands the merge what was given out.
    fn turn_page(&mut self) -> io::Result<()> {
        self.merge.add(&mut self.page);
        self.merge.take(&mut self.page.emitted)
    }
}

impl Workers for Inline<'_, '_> {
    fn segment(&mut self, segment: &Placed<'_>, processes: Option<&ProcessPair>) -> io::Result<()> {
        self.share.segment(segment, processes, (&mut self.page, &mut self.merge.spares));
        if self.page.text.len() >= PAGE { self.turn_page() } else { Ok(()) }
    }

    fn tick(&mut self, now: Timestamp, packet: u64, is_quiet: bool) -> io::Result<()> {
        self.share.tick(now, packet, is_quiet, (&mut self.page, &mut self.merge.spares));
        self.turn_page()
    }

    fn replace_plugins(&mut self, set: &Arc<PluginSet>, packet: u64) -> io::Result<()> {
        self.share.replace_plugins(set, packet, (&mut self.page, &mut self.merge.spares));
        Ok(())
    }

    fn settle(&mut self) -> io::Result<()> {
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.turn_page()?;
        self.merge.flush()
    }
}
