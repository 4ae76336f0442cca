//! Capabilities that are not needed any more are given up, so that whoever takes the program over through what it reads gets
//! as little as possible. They belong to threads: each gives up its own, and hands what is left to the threads that it starts.

use std::collections::HashSet;

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};

/// Gives up all capabilities of this thread.
pub fn drop_all() -> Result<(), CapsError> {
    keep_only(&[], || true)
}

/// Gives up all capabilities of this thread but those; CAP_BPF as well, unless `works` says that it does not work without.
pub(crate) fn keep_only(keep: &[Capability], works: impl FnOnce() -> bool) -> Result<(), CapsError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let mut keep: CapsHashSet = keep.iter().copied().filter(|kept| permitted.contains(kept)).collect();
    caps::set(None, CapSet::Effective, &keep)?;
    if !works() && permitted.contains(&Capability::CAP_BPF) {
        keep.insert(Capability::CAP_BPF);
        caps::set(None, CapSet::Effective, &keep)?;
    }
    // What is not permitted or not inheritable is not ambient either.
    caps::set(None, CapSet::Inheritable, &HashSet::new())?;
    caps::set(None, CapSet::Permitted, &keep)
}

#[cfg(test)]
mod tests {
    use super::{CapSet, drop_all};

    #[test]
    fn a_thread_gives_up_its_own_capabilities_and_those_of_its_children() {
        let before = caps::read(None, CapSet::Permitted).unwrap();
        let dropped = std::thread::spawn(|| {
            drop_all().unwrap();
            std::thread::spawn(|| [CapSet::Effective, CapSet::Permitted].map(|set| caps::read(None, set).unwrap()))
                .join()
        });
        assert!(dropped.join().unwrap().unwrap().iter().all(std::collections::HashSet::is_empty));
        assert_eq!(caps::read(None, CapSet::Permitted).unwrap(), before, "other threads keep theirs");
    }
}
