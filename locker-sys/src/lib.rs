//! The C ABI of locker: this crate exports one, in spite of its name. `include/locker.h` is made from it, and its manual.
#![deny(unsafe_op_in_unsafe_fn)]
// The names are those of C, and what C must promise is in the header.
#![allow(non_camel_case_types, clippy::missing_safety_doc)]

mod boundary;
mod context;
mod convert;
mod dispatch;
mod due;
mod fail;
mod handle;
mod layout;
mod limit;
mod line;
#[cfg(test)]
mod panics;
mod park;
mod ready;
mod runtime;
mod thread;
mod types;

// Those that export functions, in the order of the header.
mod client;
mod lock;

mod guard;
mod watcher;

mod event_loop;

mod log;
mod shutdown;

pub use client::*;
pub use event_loop::*;
pub use guard::*;
pub use lock::*;
pub use log::*;
pub use shutdown::*;
pub use types::*;
pub use watcher::*;

use boundary::getter;
use std::ffi::{CStr, c_char};

/// The ABI of the library that was loaded. Compare it with LOCKER_ABI.
#[unsafe(no_mangle)]
pub extern "C" fn locker_abi() -> u32 {
    LOCKER_ABI
}

/// The release as text, such as "0.1.0". Static; do not free.
#[unsafe(no_mangle)]
pub extern "C" fn locker_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// A short fixed name for a code, such as "timeout". Static; never NULL, whatever the number.
#[unsafe(no_mangle)]
pub extern "C" fn locker_code_name(code: i32) -> *const c_char {
    const NAMES: [&CStr; 10] = [
        c"ok",
        c"timeout",
        c"cancelled",
        c"lost",
        c"unavailable",
        c"denied",
        c"invalid",
        c"bad handle",
        c"bad context",
        c"internal",
    ];
    usize::try_from(code).ok().and_then(|code| NAMES.get(code)).unwrap_or(&c"unknown").as_ptr()
}

/// How many handles are open. A test that ends with more than 0 has leaked.
#[unsafe(no_mangle)]
pub extern "C" fn locker_live_handles() -> usize {
    getter(0, || Ok(client::CLIENTS.len() + guard::live() + watcher::live()))
}
