//! `poll_oneoff` of WASI preview 1, by which runtimes with a scheduler sleep. Nothing sleeps here: the clock that the guest
//! sees is set forward instead, and it is told at once that its time is over. Of anything but clocks there is nothing.
//!
//! ```text
//! subscription, 48 bytes   userdata u64, tag u8 (0: clock), at 16: clock id u32, at 24: timeout u64, at 40: flags u16
//! event, 32 bytes          userdata u64, errno u16, type u8
//! ```
//! <https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md#-poll_oneoff>

use wasmtime::Linker;

use crate::plugin::imports::{CALL_COST, Guest, HostState, WASI, charge, errno, memory, slice, slice_mut};

const SUBSCRIPTION: usize = 48;
const EVENT: usize = 32;
/// Most subscriptions of a call.
const MAX_SUBSCRIPTIONS: u32 = 64;
/// Most nanoseconds that a call sets the clock forward.
const MAX_SLEEP: u64 = 1_000_000_000;
/// Tag of a clock.
const CLOCK: u8 = 0;
/// Flag of a timeout that is a time, not a duration.
const IS_ABSOLUTE: u16 = 1;

/// Defines it, in place of the one that plugins of our contract get.
pub(super) fn define(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.func_wrap(WASI, "poll_oneoff", |mut caller: Guest<'_>, from: i32, to: i32, count: i32, out: i32| {
        let count = count.cast_unsigned();
        if !(1..=MAX_SUBSCRIPTIONS).contains(&count) {
            return errno::INVAL;
        }
        charge(&mut caller, CALL_COST.saturating_mul(count.into()));
        let Some(memory) = memory(&mut caller) else { return errno::FAULT };
        let (bytes, host) = memory.data_and_store_mut(&mut caller);
        let polled = poll(bytes, &mut host.now, (from, to, count, out));
        polled.map_or(errno::FAULT, |()| errno::SUCCESS)
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

fn poll(memory: &mut [u8], now: &mut u64, (from, to, count, out): (i32, i32, u32, i32)) -> Option<()> {
    let count = usize::try_from(count).ok()?;
    let subscriptions = slice(memory, from, count.checked_mul(SUBSCRIPTION)?)?.to_vec();
    let mut events = Vec::with_capacity(count.checked_mul(EVENT)?);
    let mut earliest = None;
    for subscription in subscriptions.chunks(SUBSCRIPTION) {
        let (userdata, tag) = (subscription.get(..8)?, *subscription.get(8)?);
        let error = if tag == CLOCK { errno::SUCCESS } else { errno::BADF };
        if tag == CLOCK {
            let timeout = u64::from_le_bytes(*subscription.get(24..)?.first_chunk()?);
            let flags = u16::from_le_bytes(*subscription.get(40..)?.first_chunk()?);
            let sleep = if flags & IS_ABSOLUTE == 0 { timeout } else { timeout.saturating_sub(*now) };
            earliest = Some(earliest.map_or(sleep, |earliest: u64| earliest.min(sleep)));
        }
        events.extend_from_slice(userdata);
        events.extend_from_slice(&u16::try_from(error).ok()?.to_le_bytes());
        events.push(tag);
        events.resize(events.len().next_multiple_of(EVENT), 0);
    }
    slice_mut(memory, to, events.len())?.copy_from_slice(&events);
    slice_mut(memory, out, 4)?.copy_from_slice(&u32::try_from(count).ok()?.to_le_bytes());
    *now = now.saturating_add(earliest.unwrap_or(0).min(MAX_SLEEP));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::{MAX_SLEEP, poll};

    fn clock(userdata: u8, timeout: u64) -> Vec<u8> {
        let mut bytes = vec![0; 48];
        bytes[0] = userdata;
        bytes[24..32].copy_from_slice(&timeout.to_le_bytes());
        bytes
    }

    #[test]
    fn sleeping_sets_the_clock_forward() {
        let mut memory = [clock(7, 5_000), clock(8, 9_000), vec![0xff; 160]].concat();
        let mut now = 100;
        assert_eq!(poll(&mut memory, &mut now, (0, 96, 2, 160)), Some(()));
        assert_eq!((now, memory[96], memory[128], &memory[160..164]), (5_100, 7, 8, &[2, 0, 0, 0][..]));
        assert_eq!(&memory[104..128], &[0; 24]);
        let mut memory = [clock(7, u64::MAX), vec![0; 64]].concat();
        assert_eq!(poll(&mut memory, &mut now, (0, 48, 1, 80)), Some(()));
        assert_eq!(now, 5_100 + MAX_SLEEP);
    }

    #[test]
    fn what_lies_outside_of_the_memory_is_a_fault() {
        for (from, to, out) in [(80, 0, 0), (-16, 0, 0), (0, 96, 0), (0, 48, 110)] {
            let mut memory = [clock(7, 5_000), vec![0; 64]].concat();
            assert_eq!(poll(&mut memory, &mut 0, (from, to, 1, out)), None, "{from} {to} {out}");
        }
    }
}
