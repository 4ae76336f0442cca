//! Processes that were asked for by id: they must be there at the beginning, and it is told when they end. An id is not
//! looked at any more then, since another process may get it.

use std::fs;

use super::TraceOptions;
use crate::capture::CaptureError;

/// The processes asked for by id that are still there.
#[derive(Debug)]
pub(super) struct Watched {
    pids: Vec<u32>,
    /// Something else was asked for, so there is more to trace when all of them have ended.
    has_others: bool,
}

impl Watched {
    pub(super) fn find(options: &TraceOptions) -> Result<Self, CaptureError> {
        if let Some(pid) = options.pids.iter().copied().find(|pid| !is_there(*pid)) {
            return Err(CaptureError::NoProcess { pid });
        }
        let has_others = options.pids.is_empty() || !options.comms.is_empty() || options.cgroup.is_some();
        Ok(Self { pids: options.pids.clone(), has_others })
    }

    /// One that has ended since the last look.
    pub(super) fn look(&mut self) -> Option<u32> {
        let at = self.pids.iter().position(|pid| !is_there(*pid))?;
        let pid = self.pids.swap_remove(at);
        tracing::warn!("process {pid} has ended");
        Some(pid)
    }

    /// Nothing is left that could be traced.
    pub(super) fn are_over(&self) -> bool {
        self.pids.is_empty() && !self.has_others
    }
}

/// A process that has ended may still wait for its parent, as Z, or be on its way, as X.
fn is_there(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The name in parentheses may hold any characters.
    !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::TraceOptions;
    use super::Watched;

    #[test]
    fn an_ended_process_is_told_once_and_then_all_is_over() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let options = TraceOptions { pids: vec![child.id()], ..TraceOptions::default() };
        let mut watched = Watched::find(&options).unwrap();
        assert_eq!((watched.look(), watched.are_over()), (None, false));
        child.kill().unwrap();
        // Not waited for: a zombie has ended too.
        let ended = std::iter::repeat_with(|| watched.look()).find_map(|ended| ended);
        assert_eq!((ended, watched.look(), watched.are_over()), (Some(child.id()), None, true));
        child.wait().unwrap();
        assert!(Watched::find(&options).is_err());
        let others = TraceOptions { pids: Vec::new(), ..options };
        assert!(!Watched::find(&others).unwrap().are_over());
    }
}
