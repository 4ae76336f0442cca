//! A plugin whose type is forgotten, so that a replay has none either.

use crate::guest::{Guest, Parser};
use crate::manifest::Manifest;

/// A plugin, whatever its type.
pub(super) trait Plugin {
    fn manifest(&self) -> Manifest;
    fn input(&mut self, len: usize) -> &mut [u8];
    fn configure(&mut self, len: usize) -> u32;
    fn open(&mut self) -> u32;
    fn close(&mut self, handle: u32);
    fn parse(&mut self, handle: u32, flags: u32, offset: u64, len: usize, gap: u64) -> u32;
    fn resync(&mut self, handle: u32, flags: u32, offset: u64, len: usize) -> u32;
    fn memory(&self) -> &[u8];
}

impl<P: Parser> Plugin for Guest<P> {
    fn manifest(&self) -> Manifest {
        P::MANIFEST
    }
    fn input(&mut self, len: usize) -> &mut [u8] {
        self.input(len)
    }
    fn configure(&mut self, len: usize) -> u32 {
        self.configure(len)
    }
    fn open(&mut self) -> u32 {
        self.open()
    }
    fn close(&mut self, handle: u32) {
        self.close(handle);
    }
    fn parse(&mut self, handle: u32, flags: u32, offset: u64, len: usize, gap: u64) -> u32 {
        self.parse(handle, flags, offset, len, gap)
    }
    fn resync(&mut self, handle: u32, flags: u32, offset: u64, len: usize) -> u32 {
        self.resync(handle, flags, offset, len)
    }
    fn memory(&self) -> &[u8] {
        self.memory()
    }
}

/// Puts `bytes` into the plugin's input buffer.
pub(super) fn fill(plugin: &mut dyn Plugin, bytes: &[&[u8]]) {
    let len = bytes.iter().map(|part| part.len()).sum();
    let mut input = plugin.input(len);
    for part in bytes {
        let Some((head, rest)) = core::mem::take(&mut input).split_at_mut_checked(part.len()) else { return };
        head.copy_from_slice(part);
        input = rest;
    }
}
