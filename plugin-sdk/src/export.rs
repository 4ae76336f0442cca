//! The macro that turns a parser into a plugin module.

/// Exports a parser as a plugin, naming the level that it is written at: `export!(MyParser as Frames);`, `as
/// Sequential` or `as Raw`. The exports exist in Wasm modules only, so that several plugins can be linked into one
/// native program; natively, the macro defines `Plugin`, the type to give to [`Guest`](crate::Guest).
#[macro_export]
macro_rules! export {
    ($parser:ty as Frames) => {
        $crate::export!(@plugin $crate::AsFrames<$parser>);
    };
    ($parser:ty as Sequential) => {
        $crate::export!(@plugin $crate::AsSequential<$parser>);
    };
    ($parser:ty as Raw) => {
        $crate::export!(@plugin $crate::AsRaw<$parser>);
    };
    (@plugin $plugin:ty) => {
        /// The parser as a plugin: what [`Guest`](protap_plugin::Guest) runs.
        pub type Plugin = $plugin;

        #[cfg(target_family = "wasm")]
        const _: () = {
            const MANIFEST: $crate::Manifest = <$plugin as $crate::Parser>::MANIFEST;

            #[used]
            #[unsafe(link_section = "protap.manifest")]
            static SECTION: [u8; MANIFEST.json_len()] = MANIFEST.json();

            ::std::thread_local! {
                static GUEST: ::core::cell::RefCell<$crate::Guest<$plugin>> = ::core::default::Default::default();
            }

            #[unsafe(no_mangle)]
            extern "C" fn protap_input(len: u32) -> u32 {
                GUEST.with_borrow_mut(|guest| guest.input(len as usize).as_ptr() as usize as u32)
            }

            #[unsafe(no_mangle)]
            extern "C" fn protap_configure(len: u32) -> u32 {
                GUEST.with_borrow_mut(|guest| guest.configure(len as usize))
            }

            #[unsafe(no_mangle)]
            extern "C" fn protap_probe(len_a: u32, len_b: u32, flags: u32, ports: u32) -> u64 {
                GUEST.with_borrow_mut(|guest| guest.probe(len_a as usize, len_b as usize, flags, ports))
            }

            #[unsafe(no_mangle)]
            extern "C" fn protap_open(_flags: u32, _ports: u32) -> u32 {
                GUEST.with_borrow_mut(|guest| guest.open())
            }

            #[unsafe(no_mangle)]
            extern "C" fn protap_close(handle: u32) {
                GUEST.with_borrow_mut(|guest| guest.close(handle));
            }

            #[unsafe(no_mangle)]
            extern "C" fn protap_parse(handle: u32, flags: u32, offset: u64, len: u32, gap: u64) -> u32 {
                GUEST.with_borrow_mut(|guest| guest.parse(handle, flags, offset, len as usize, gap))
            }

            #[unsafe(no_mangle)]
            extern "C" fn protap_resync(handle: u32, flags: u32, offset: u64, len: u32) -> u32 {
                GUEST.with_borrow_mut(|guest| guest.resync(handle, flags, offset, len as usize))
            }
        };
    };
}
