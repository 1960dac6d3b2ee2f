//! PROTOTYPE: the C ABI over an in-memory lock table, to check that the header is usable.
#![allow(non_camel_case_types)]

mod boundary;
mod handle;
mod memory;
mod types;

pub use types::*;

use boundary::{boundary, text, Fail, Input, CALLBACK};
use handle::Table;
use memory::{Client, Guard, Watcher};
use std::ffi::c_char;
use std::sync::Arc;

static CLIENTS: Table<Client> = Table::new();
static GUARDS: Table<Guard> = Table::new();
static WATCHERS: Table<Watcher> = Table::new();

/// The ABI of the library that was loaded. Compare it with LOCKER_ABI.
#[no_mangle]
pub extern "C" fn locker_abi() -> u32 {
    LOCKER_ABI
}

/// The release as text, such as "0.1.0". Static; do not free.
#[no_mangle]
pub extern "C" fn locker_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// A short fixed name for a code, such as "timeout". Static; never NULL, whatever the number.
#[no_mangle]
pub extern "C" fn locker_code_name(code: i32) -> *const c_char {
    types::code_name(code).as_ptr()
}

/// How many handles are open. A test that ends with more than 0 has leaked.
#[no_mangle]
pub extern "C" fn locker_live_handles() -> usize {
    CLIENTS.len() + GUARDS.len() + WATCHERS.len()
}

/// Connects to an etcd cluster. `endpoints` is a comma-separated list of URLs.
/// End the client with locker_disconnect.
#[no_mangle]
pub unsafe extern "C" fn locker_connect(
    endpoints: *const c_char,
    options: *const locker_connect_options,
    out: *mut locker_client,
    error: *mut locker_error,
) -> locker_code {
    boundary(error, || {
        let endpoints = text(endpoints, "endpoints")?;
        let _options = locker_connect_options::read(options)?;
        let out = out.as_mut().ok_or(Fail::invalid("out is NULL"))?;
        if endpoints.is_empty() {
            return Err(Fail::invalid("endpoints is empty"));
        }
        out.id = CLIENTS.insert(Arc::new(Client::default()));
        Ok(())
    })
}

/// Ends a client, its guards and its watchers, and waits for etcd to confirm.
/// The handle is spent even if this fails; then the locks end with their lease.
#[no_mangle]
pub unsafe extern "C" fn locker_disconnect(
    client: locker_client,
    timeout_ms: i64,
    error: *mut locker_error,
) -> locker_code {
    boundary(error, || {
        let _ = timeout_ms;
        let client_ref = CLIENTS.remove(client.id)?;
        for id in client_ref.guards() {
            if let Ok(guard) = GUARDS.remove(id) {
                guard.release();
            }
        }
        for id in client_ref.watchers() {
            if let Ok(watcher) = WATCHERS.remove(id) {
                watcher.stop();
            }
        }
        Ok(())
    })
}

/// Acquires the lock `name`, first come first served. End the guard with locker_unlock.
/// Two guards for one name exclude each other, also within one client and one thread.
#[no_mangle]
pub unsafe extern "C" fn locker_lock(
    client: locker_client,
    name: *const c_char,
    options: *const locker_lock_options,
    out: *mut locker_guard,
    error: *mut locker_error,
) -> locker_code {
    boundary(error, || {
        let options = locker_lock_options::read(options)?;
        let owner = boundary::UserData::new(options.user_data, options.free_user_data);
        boundary::may_block()?;
        let (id, guard) = start(client, name, options, owner, out)?;
        let got = guard.wait(options.timeout_ms);
        if got.is_err() {
            (*out).id = 0;
            let _ = GUARDS.remove(id);
            guard.release();
        }
        got
    })
}

/// As locker_lock without the wait: returns a guard in LOCKER_WAITING, for on_change,
/// locker_wait or locker_unlock. When options->timeout_ms ends first, the guard ends with LOCKER_TIMEOUT.
#[no_mangle]
pub unsafe extern "C" fn locker_lock_start(
    client: locker_client,
    name: *const c_char,
    options: *const locker_lock_options,
    out: *mut locker_guard,
    error: *mut locker_error,
) -> locker_code {
    boundary(error, || {
        let options = locker_lock_options::read(options)?;
        let owner = boundary::UserData::new(options.user_data, options.free_user_data);
        start(client, name, options, owner, out).map(|_| ())
    })
}

/// Waits until a guard is held. LOCKER_TIMEOUT leaves it in the queue.
#[no_mangle]
pub unsafe extern "C" fn locker_wait(
    guard: locker_guard,
    timeout_ms: i64,
    error: *mut locker_error,
) -> locker_code {
    boundary(error, || {
        boundary::may_block()?;
        GUARDS.get(guard.id)?.wait(timeout_ms)
    })
}

/// Ends a guard whatever its state: takes it out of the queue, or releases the lock and waits for
/// etcd to confirm. LOCKER_LOST says the lock was lost before. The handle is spent in any case.
#[no_mangle]
pub unsafe extern "C" fn locker_unlock(
    guard: locker_guard,
    timeout_ms: i64,
    error: *mut locker_error,
) -> locker_code {
    boundary(error, || {
        if timeout_ms != LOCKER_NO_WAIT {
            boundary::may_block()?;
        }
        GUARDS.remove(guard.id)?.release();
        Ok(())
    })
}

/// The state of a guard, from memory. LOCKER_NONE for a stale handle.
#[no_mangle]
pub extern "C" fn locker_guard_state(guard: locker_guard) -> locker_state {
    GUARDS.get(guard.id).map_or(locker_state::LOCKER_NONE, |g| g.state())
}

/// The fencing token of a guard that is held, else 0. Each holder of a name gets a greater one:
/// have what the lock protects refuse a token lower than one it has seen.
#[no_mangle]
pub extern "C" fn locker_guard_token(guard: locker_guard) -> i64 {
    GUARDS.get(guard.id).map_or(0, |g| g.token())
}

/// For how long a held guard stays held if etcd stops answering now, else 0.
#[no_mangle]
pub extern "C" fn locker_guard_remaining_ms(guard: locker_guard) -> i64 {
    GUARDS.get(guard.id).map_or(0, |g| if g.token() > 0 { 10_000 } else { 0 })
}

/// From memory: of a held guard what locker_get would say of it; of one that waits, or that ended
/// waiting, who held the lock when last heard of (token 0 when not known).
#[no_mangle]
pub unsafe extern "C" fn locker_guard_info(
    guard: locker_guard,
    out: *mut locker_info,
    error: *mut locker_error,
) -> locker_code {
    boundary(error, || {
        let out = out.as_mut().ok_or(Fail::invalid("out is NULL"))?;
        *out = GUARDS.get(guard.id)?.info();
        Ok(())
    })
}

/// Reads who holds the lock `name`. A token of 0 says nobody does.
#[no_mangle]
pub unsafe extern "C" fn locker_get(
    client: locker_client,
    name: *const c_char,
    timeout_ms: i64,
    out: *mut locker_info,
    error: *mut locker_error,
) -> locker_code {
    boundary(error, || {
        CLIENTS.get(client.id)?;
        let _ = timeout_ms;
        boundary::may_block()?;
        let name = text(name, "name")?;
        let out = out.as_mut().ok_or(Fail::invalid("out is NULL"))?;
        *out = memory::holder(name).unwrap_or_else(|| memory::info(name, "", 0));
        Ok(())
    })
}

/// Subscribes to the lock `name`: the present holder, then each change. End it with locker_unwatch.
#[no_mangle]
pub unsafe extern "C" fn locker_watch(
    client: locker_client,
    name: *const c_char,
    options: *const locker_watch_options,
    out: *mut locker_watcher,
    error: *mut locker_error,
) -> locker_code {
    boundary(error, || {
        let options = locker_watch_options::read(options)?;
        let owner = boundary::UserData::new(options.user_data, options.free_user_data);
        let client = CLIENTS.get(client.id)?;
        let name = text(name, "name")?;
        let out = out.as_mut().ok_or(Fail::invalid("out is NULL"))?;
        let watcher = Watcher::new(name, options.on_event, owner);
        out.id = WATCHERS.insert(watcher.clone());
        client.add_watcher(out.id);
        watcher.start();
        Ok(())
    })
}

/// Waits for the next event of a watcher made without on_event.
#[no_mangle]
pub unsafe extern "C" fn locker_watch_next(
    watcher: locker_watcher,
    timeout_ms: i64,
    out: *mut locker_info,
    error: *mut locker_error,
) -> locker_code {
    boundary(error, || {
        boundary::may_block()?;
        let out = out.as_mut().ok_or(Fail::invalid("out is NULL"))?;
        *out = WATCHERS.get(watcher.id)?.next(timeout_ms)?;
        Ok(())
    })
}

/// Ends a watcher and waits for its running callback. After this no callback runs;
/// called from that very callback it does not wait, and no further one runs.
#[no_mangle]
pub unsafe extern "C" fn locker_unwatch(
    watcher: locker_watcher,
    timeout_ms: i64,
    error: *mut locker_error,
) -> locker_code {
    boundary(error, || {
        let _ = timeout_ms;
        WATCHERS.remove(watcher.id)?.stop();
        if !CALLBACK.with(|c| c.get()) {
            memory::drain_callbacks();
        }
        Ok(())
    })
}

/// Sends the library's log to `log`, up to `level`; NULL turns it off, which is the default.
#[no_mangle]
pub unsafe extern "C" fn locker_set_log(
    level: i32,
    log: locker_log_fn,
    user_data: *mut std::ffi::c_void,
    free_user_data: locker_free_fn,
) {
    let _ = (level, log, boundary::UserData::new(user_data, free_user_data));
}

/// Disconnects every client and stops the library's threads, for tests and before dlclose.
#[no_mangle]
pub extern "C" fn locker_shutdown(timeout_ms: i64) {
    let _ = timeout_ms;
}

unsafe fn start(
    client: locker_client,
    name: *const c_char,
    options: locker_lock_options,
    owner: boundary::UserData,
    out: *mut locker_guard,
) -> Result<(u64, Arc<Guard>), Fail> {
    let client = CLIENTS.get(client.id)?;
    let name = text(name, "name")?;
    let value = if options.value.is_null() { "host:pid" } else { text(options.value, "value")? };
    let out = out.as_mut().ok_or(Fail::invalid("out is NULL"))?;
    let guard = Guard::new(name, value, options.on_change, owner);
    out.id = GUARDS.insert(guard.clone());
    guard.set_id(out.id);
    client.add_guard(out.id);
    guard.enqueue();
    Ok((out.id, guard))
}
