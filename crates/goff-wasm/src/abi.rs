//! The exports and imports of the module.
#![expect(
    unsafe_code,
    reason = "an export without name mangling and a call of an import are unsafe in Rust"
)]

use std::{
    cell::RefCell,
    time::{Duration, UNIX_EPOCH},
};

use goff_engine::Timestamp;

use crate::module::Module;

thread_local! {
    static MODULE: RefCell<Module> = RefCell::new(Module::default());
}

/// Refuses a call that a host makes while another one is running.
fn with_module<T>(refused: T, call: impl FnOnce(&mut Module) -> T) -> T {
    MODULE.with(|module| match module.try_borrow_mut() {
        Ok(mut module) => call(&mut module),
        Err(_) => refused,
    })
}

// SAFETY of the six exports: no other symbol of the module has the name. `malloc`, `calloc`,
// `realloc` and `free` have the signatures and the meaning of C's, and take the place of those in
// WASI's libc (build.rs).

#[unsafe(no_mangle)]
extern "C" fn malloc(size: usize) -> usize {
    with_module(0, |module| module.allocate(size).unwrap_or(0))
}

#[unsafe(no_mangle)]
extern "C" fn calloc(count: usize, size: usize) -> usize {
    with_module(0, |module| {
        let size = count.checked_mul(size);
        size.and_then(|size| module.allocate(size)).unwrap_or(0)
    })
}

#[unsafe(no_mangle)]
extern "C" fn realloc(address: usize, size: usize) -> usize {
    with_module(0, |module| module.reallocate(address, size).unwrap_or(0))
}

#[unsafe(no_mangle)]
extern "C" fn free(address: usize) {
    with_module((), |module| module.free(address));
}

#[unsafe(no_mangle)]
extern "C" fn evaluate(address: usize, length: usize) -> u64 {
    with_module(0, |module| {
        let output = module.evaluate(address, length, clock);
        (output.as_ptr().addr() as u64) << 32 | output.len() as u64
    })
}

/// Hosts call it once after instantiation.
#[unsafe(no_mangle)]
extern "C" fn _start() {}

/// The host's wall clock; `None` if it has none.
fn clock() -> Option<Timestamp> {
    let time = UNIX_EPOCH.checked_add(Duration::from_nanos(imported::nanoseconds()?))?;
    Some(Timestamp::from(time))
}

#[cfg(target_os = "wasi")]
mod imported {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
    }

    /// Since 1970.
    pub(super) fn nanoseconds() -> Option<u64> {
        let mut time = 0;
        // SAFETY: the signature is that of WASI preview 1; clock 0 is the wall clock, and the host
        // writes the time to where the pointer says, which is valid for the call.
        let error = unsafe { clock_time_get(0, 1_000, &raw mut time) };
        (error == 0).then_some(time)
    }
}

#[cfg(not(target_os = "wasi"))]
mod imported {
    #[link(wasm_import_module = "gojs")]
    unsafe extern "C" {
        // SAFETY: it takes nothing and returns a number.
        #[link_name = "runtime.ticks"]
        safe fn ticks() -> i64;
    }

    /// Since 1970.
    pub(super) fn nanoseconds() -> Option<u64> {
        u64::try_from(ticks()).ok()
    }
}
