//! A plugin linked into this program: the same crate, without the sandbox. It exists to be measured against, and for
//! tests; the `protap` program links none.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use protap_plugin::contract::{MAX_CONTEXT, flag};
use protap_plugin::host::{NativeHost, with_host};
use protap_plugin::{Guest, Manifest, Parser};

use super::instance::{Call, ProbeCall};
use crate::pair::Pairing;

/// Makes instances of a plugin that is linked in.
#[derive(Clone)]
pub struct NativeFactory {
    /// The manifest's JSON.
    pub manifest: Vec<u8>,
    make: fn() -> Box<dyn NativeGuest>,
}

impl fmt::Debug for NativeFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeFactory").finish_non_exhaustive()
    }
}

impl NativeFactory {
    /// A factory of `P`.
    #[must_use]
    pub fn of<P: Parser>() -> Self {
        let manifest: Manifest = P::MANIFEST;
        Self { manifest: manifest.to_json().into_bytes(), make: || Box::new(Guest::<P>::default()) }
    }

    /// A factory of anything that answers the contract's calls, with its manifest's JSON.
    #[must_use]
    pub fn new(manifest: Vec<u8>, make: fn() -> Box<dyn NativeGuest>) -> Self {
        Self { manifest, make }
    }

    pub(super) fn instantiate(&self) -> NativeInstance {
        let pairing = Rc::new(RefCell::new(Borrowed::default()));
        NativeInstance { guest: (self.make)(), host: Some(Box::new(NativeImports(pairing.clone()))), pairing }
    }
}

/// The contract's calls, whoever answers them: a [`Guest`] with whatever plugin. What `parse` and `resync` return is an
/// address in `memory`; nothing that is there is believed.
pub trait NativeGuest {
    /// `protap_input`: the buffer itself.
    fn input(&mut self, len: usize) -> &mut [u8];
    /// `protap_configure`.
    fn configure(&mut self, len: usize) -> u32;
    /// `protap_probe`.
    fn probe(&mut self, len_a: usize, len_b: usize, flags: u32, ports: u32) -> u64;
    /// `protap_open`.
    fn open(&mut self) -> u32;
    /// `protap_close`.
    fn close(&mut self, handle: u32);
    /// `protap_parse`.
    fn parse(&mut self, call: &Call, len: usize) -> u32;
    /// `protap_resync`.
    fn resync(&mut self, call: &Call, len: usize) -> u32;
    /// What takes the place of the linear memory.
    fn memory(&self) -> &[u8];
}

impl<P: Parser> NativeGuest for Guest<P> {
    fn input(&mut self, len: usize) -> &mut [u8] {
        Guest::input(self, len)
    }
    fn configure(&mut self, len: usize) -> u32 {
        Guest::configure(self, len)
    }
    fn probe(&mut self, len_a: usize, len_b: usize, flags: u32, ports: u32) -> u64 {
        Guest::probe(self, len_a, len_b, flags, ports)
    }
    fn open(&mut self) -> u32 {
        Guest::open(self)
    }
    fn close(&mut self, handle: u32) {
        Guest::close(self, handle);
    }
    fn parse(&mut self, call: &Call, len: usize) -> u32 {
        Guest::parse(self, call.handle, call.flags, call.offset, len, call.gap)
    }
    fn resync(&mut self, call: &Call, len: usize) -> u32 {
        Guest::resync(self, call.handle, call.flags, call.offset, len)
    }
    fn memory(&self) -> &[u8] {
        Guest::memory(self)
    }
}

/// An instance of a plugin that is linked in.
pub struct NativeInstance {
    guest: Box<dyn NativeGuest>,
    host: Option<Box<dyn NativeHost>>,
    pairing: Rc<RefCell<Borrowed>>,
}

impl fmt::Debug for NativeInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeInstance").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Borrowed {
    pairing: Option<Box<Pairing>>,
    asks_for_server_requests: bool,
}

struct NativeImports(Rc<RefCell<Borrowed>>);

impl NativeHost for NativeImports {
    fn pending(&mut self, select: i32, id: u64, out: &mut [u8; MAX_CONTEXT]) -> i32 {
        let borrowed = self.0.borrow();
        let context =
            borrowed.pairing.as_deref().and_then(|p| p.context(borrowed.asks_for_server_requests, select, id));
        match context.and_then(|context| Some((out.get_mut(..context.len())?, context))) {
            Some((out, context)) => {
                out.copy_from_slice(context);
                i32::try_from(context.len()).unwrap_or(-1)
            }
            None => -1,
        }
    }

    fn log(&mut self, _: i32, line: &str) {
        tracing::debug!("{line}");
    }
}

impl NativeInstance {
    pub(super) fn configure(&mut self, options: &[u8]) -> u32 {
        put(self.guest.input(options.len()), options);
        self.guest.configure(options.len())
    }

    pub(super) fn probe(&mut self, call: &ProbeCall<'_>) -> u64 {
        let input = self.guest.input(call.a.len() + call.b.len());
        if let Some((head, tail)) = input.split_at_mut_checked(call.a.len()) {
            put(head, call.a);
            put(tail, call.b);
        }
        self.guest.probe(call.a.len(), call.b.len(), call.flags, call.ports)
    }

    pub(super) fn open(&mut self) -> u32 {
        self.guest.open()
    }

    pub(super) fn close(&mut self, handle: u32) {
        self.guest.close(handle);
    }

    pub(super) fn parse(&mut self, call: &Call, window: &[u8], pairing: &mut Option<Box<Pairing>>) -> u32 {
        self.call(call, window, pairing, |guest, len| guest.parse(call, len))
    }

    pub(super) fn resync(&mut self, call: &Call, window: &[u8], pairing: &mut Option<Box<Pairing>>) -> u32 {
        self.call(call, window, pairing, |guest, len| guest.resync(call, len))
    }

    pub(super) fn memory(&self) -> &[u8] {
        self.guest.memory()
    }

    fn call(
        &mut self,
        call: &Call,
        window: &[u8],
        pairing: &mut Option<Box<Pairing>>,
        run: impl FnOnce(&mut dyn NativeGuest, usize) -> u32,
    ) -> u32 {
        put(self.guest.input(window.len()), window);
        {
            let mut borrowed = self.pairing.borrow_mut();
            borrowed.pairing = pairing.take();
            borrowed.asks_for_server_requests = call.flags & flag::TO_CLIENT == 0;
        }
        let guest = &mut *self.guest;
        let result = match self.host.take() {
            Some(host) => {
                let (result, host) = with_host(host, || run(guest, window.len()));
                self.host = host;
                result
            }
            None => run(guest, window.len()),
        };
        *pairing = self.pairing.borrow_mut().pairing.take();
        result
    }
}

fn put(target: &mut [u8], bytes: &[u8]) {
    if let Some(target) = target.get_mut(..bytes.len()) {
        target.copy_from_slice(bytes);
    }
}
