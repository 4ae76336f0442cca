//! The memory of an answer: zeros, of a length that the compiler knows, so that most checks of where something is written
//! are none. A module has it among its statics, which begin as pages that nobody has touched, and most of them stay so; what
//! is allocated there is first filled with zeros. A native program has as many answers as it has instances.

use super::ARENA;

#[cfg(target_family = "wasm")]
pub(super) type Arena = std::sync::MutexGuard<'static, [u8; ARENA]>;

#[cfg(target_family = "wasm")]
pub(super) fn new() -> Arena {
    static ZEROS: std::sync::Mutex<[u8; ARENA]> = std::sync::Mutex::new([0; ARENA]);
    ZEROS.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(not(target_family = "wasm"))]
pub(super) type Arena = Box<[u8; ARENA]>;

#[cfg(not(target_family = "wasm"))]
pub(super) fn new() -> Arena {
    // By way of a vector, since an array would be put together on the stack.
    vec![0; ARENA].into_boxed_slice().try_into().unwrap_or_else(|_| Box::new([0; ARENA]))
}
