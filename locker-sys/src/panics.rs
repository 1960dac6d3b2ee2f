//! A panic in each function of the header: seeded where all of them pass, so that one that does not pass there is found.

use crate::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

thread_local! {
    static SEEDED: Cell<bool> = const { Cell::new(false) };
    static FREED: Cell<usize> = const { Cell::new(0) };
}

/// Panics if one was seeded on this thread.
pub(crate) fn strike() {
    if SEEDED.take() {
        panic!("seeded");
    }
}

/// What a function gave when it was struck: its code, or whether it said the nothing that it says in place of one.
enum Gave {
    Code(locker_code, String),
    Nothing(bool),
}

/// Calls a function that has a `locker_error`.
fn fails(call: impl FnOnce(Option<&mut MaybeUninit<locker_error>>) -> locker_code) -> Gave {
    let mut error = MaybeUninit::zeroed();
    let code = call(Some(&mut error));
    // SAFETY: zeros are one, and so is what the call wrote.
    let message = unsafe { CStr::from_ptr(error.assume_init_ref().message.as_ptr()) };
    Gave::Code(code, message.to_string_lossy().into_owned())
}

unsafe extern "C" fn free(_: *mut c_void) {
    FREED.set(FREED.get() + 1);
}

fn out<T>() -> MaybeUninit<T> {
    MaybeUninit::zeroed()
}

/// Calls the function `name`; `None` if this does not know how.
fn call(name: &str) -> Option<Gave> {
    let (client, guard, watcher) = (locker_client { id: 1 }, locker_guard { id: 1 }, locker_watcher { id: 1 });
    let user_data = std::ptr::null_mut::<c_void>();
    let lock = locker_lock_options {
        struct_size: size_of::<locker_lock_options>(),
        value: null(),
        reason: null(),
        timeout_ms: 0,
        on_change: None,
        user_data,
        free_user_data: Some(free),
        limit: 0,
        shared: MaybeUninit::new(false),
        reserved: [0; 3],
    };
    let watch = locker_watch_options {
        struct_size: size_of::<locker_watch_options>(),
        on_event: None,
        user_data,
        free_user_data: Some(free),
    };
    let text: *const c_char = c"x".as_ptr();
    let names = [text, c"y".as_ptr()];
    let names = names.as_ptr();
    // SAFETY: the texts end with a NUL, and the options begin with their size.
    Some(unsafe {
        match name {
            "locker_connect" => fails(|e| locker_connect(text, null(), Some(&mut out()), e)),
            "locker_disconnect" => fails(|e| locker_disconnect(client, 0, e)),
            "locker_client_fd" => fails(|e| locker_client_fd(client, Some(&mut out()), e)),
            "locker_dispatch" => fails(|e| locker_dispatch(client, 0, Some(&mut out()), e)),
            "locker_get" => fails(|e| locker_get(client, text, 0, Some(&mut out()), e)),
            "locker_get_cached" => fails(|e| locker_get_cached(client, text, 0, Some(&mut out()), e)),
            "locker_lock" => fails(|e| locker_lock(client, text, &lock, Some(&mut out()), e)),
            "locker_lock_start" => fails(|e| locker_lock_start(client, text, &lock, Some(&mut out()), e)),
            "locker_lock_all" => fails(|e| locker_lock_all(client, names, 2, &lock, Some(&mut out()), e)),
            "locker_lock_all_start" => fails(|e| locker_lock_all_start(client, names, 2, &lock, Some(&mut out()), e)),
            "locker_wait" => fails(|e| locker_wait(guard, 0, e)),
            "locker_on_change" => fails(|e| locker_on_change(guard, None, user_data, Some(free), e)),
            "locker_unlock" => fails(|e| locker_unlock(guard, 0, e)),
            "locker_guard_info" => fails(|e| locker_guard_info(guard, Some(&mut out()), e)),
            "locker_watch" => fails(|e| locker_watch(client, text, &watch, Some(&mut out()), e)),
            "locker_watch_next" => fails(|e| locker_watch_next(watcher, 0, Some(&mut out()), e)),
            "locker_unwatch" => fails(|e| locker_unwatch(watcher, 0, e)),
            "locker_guard_state" => Gave::Nothing(locker_guard_state(guard) == locker_state::LOCKER_NONE),
            "locker_guard_token" => Gave::Nothing(locker_guard_token(guard) == 0),
            "locker_guard_name" => Gave::Nothing(locker_guard_name(guard, 0, null_mut(), 0) == 0),
            "locker_guard_remaining_ms" => Gave::Nothing(locker_guard_remaining_ms(guard) == 0),
            "locker_live_handles" => Gave::Nothing(locker_live_handles() == 0),
            "locker_set_log" => {
                locker_set_log(0, None, user_data, Some(free));
                Gave::Nothing(true)
            }
            "locker_shutdown" => {
                locker_shutdown(0);
                Gave::Nothing(true)
            }
            _ => return None,
        }
    })
}

/// Those that only give a constant.
const CANNOT_PANIC: [&str; 3] = ["locker_abi", "locker_code_name", "locker_version"];

#[test]
fn a_panic_in_any_function_of_the_header_is_an_error() {
    let functions = include_str!("../abi.txt").lines().filter(|name| !CANNOT_PANIC.contains(name));
    let mut freed = BTreeMap::new();
    for name in functions.clone() {
        SEEDED.set(true);
        FREED.set(0);
        let gave = call(name).unwrap_or_else(|| panic!("{name} is new: it belongs in this test"));
        assert!(!SEEDED.take(), "{name} does not pass the boundary");
        match gave {
            Gave::Code(code, message) => {
                assert_eq!((code, &*message), (locker_code::LOCKER_INTERNAL, "a bug in locker: seeded"), "{name}");
            }
            Gave::Nothing(said) => assert!(said, "{name}"),
        }
        freed.insert(name, FREED.get());
    }
    // What the library was given is freed all the same.
    freed.retain(|_, times| *times > 0);
    let locking = ["locker_lock", "locker_lock_all", "locker_lock_all_start", "locker_lock_start"];
    let owning = locking.into_iter().chain(["locker_on_change", "locker_set_log", "locker_watch"]);
    assert_eq!(freed, owning.map(|name| (name, 1)).collect());
    report(functions.count());
}

/// A line for the file that LOCKER_REPORT names, as `tests/c/row.h` writes it.
fn report(functions: usize) {
    let Some(file) = std::env::var_os("LOCKER_REPORT").filter(|file| !file.is_empty()) else { return };
    let line = format!("43\tpanic in each entry point\t{functions}\t{functions}\tINTERNAL from each\tok\n");
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
    std::io::Write::write_all(&mut file, line.as_bytes()).unwrap();
}
