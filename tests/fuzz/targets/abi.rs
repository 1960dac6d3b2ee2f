//! Sequences of calls over the C ABI, with any handle and any argument. There is no etcd, so no handle is good: each call is
//! refused, says why, writes no output, and frees what it was given.
#![no_main]

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use locker_abi::*;
use std::ffi::{CString, c_char, c_void};
use std::mem::{MaybeUninit, offset_of};
use std::ptr::null;
use std::sync::atomic::{AtomicUsize, Ordering};

static GIVEN: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn free(_: *mut c_void) {
    FREED.fetch_add(1, Ordering::SeqCst);
}

/// Bytes with a NUL behind them, or NULL.
struct Text(Option<CString>);

impl Text {
    fn pointer(&self) -> *const c_char {
        self.0.as_ref().map_or(null(), |text| text.as_ptr())
    }
}

impl<'a> Arbitrary<'a> for Text {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let bytes: Option<Vec<u8>> = u.arbitrary()?;
        Ok(Text(bytes.map(|bytes| CString::new(bytes.split(|byte| *byte == 0).next().unwrap_or(&[])).unwrap())))
    }
}

/// A size that is right, or as many bytes as there are anyway.
fn size<T>(u: &mut Unstructured<'_>) -> Result<usize> {
    Ok(if u.ratio(3, 4)? { size_of::<T>() } else { u.int_in_range(0..=size_of::<T>())? })
}

/// What C calls a `bool`, and what it should not.
fn any_bool(u: &mut Unstructured<'_>) -> Result<MaybeUninit<bool>> {
    let mut any = MaybeUninit::new(u.arbitrary::<bool>()?);
    if u.ratio(1, 8)? {
        // SAFETY: it has room for a byte.
        unsafe { any.as_mut_ptr().cast::<u8>().write(u.arbitrary()?) };
    }
    Ok(any)
}

/// The library owns the user data of options whose size it takes for one.
fn given(options: &locker_lock_options) {
    if options.struct_size >= offset_of!(locker_lock_options, limit) {
        GIVEN.fetch_add(1, Ordering::SeqCst);
    }
}

fn refused(code: locker_code, error: MaybeUninit<locker_error>) {
    // SAFETY: zeros are one, and so is what a call writes.
    let error = unsafe { error.assume_init() };
    let wanted = [locker_code::LOCKER_INVALID, locker_code::LOCKER_BAD_HANDLE];
    assert!(wanted.contains(&code), "{code:?}");
    assert!(error.code == code as i32 && error.message[0] != 0 && error.message.contains(&0));
}

fn step(u: &mut Unstructured<'_>) -> Result<()> {
    let mut error = MaybeUninit::<locker_error>::zeroed();
    let e = Some(&mut error);
    let (id, time): (u64, i64) = (u.arbitrary()?, u.arbitrary()?);
    let (name, text, other): (Text, Text, Text) = (u.arbitrary()?, u.arbitrary()?, u.arbitrary()?);
    let (client, guard, watcher) = (locker_client { id }, locker_guard { id }, locker_watcher { id });
    let (mut new_client, mut new_guard) = (MaybeUninit::zeroed(), MaybeUninit::zeroed());
    let (mut new_watcher, mut info) = (MaybeUninit::zeroed(), MaybeUninit::<locker_info>::zeroed());
    let (mut fd, mut ran) = (MaybeUninit::new(-77), MaybeUninit::new(77));
    let some = u.ratio(7, 8)?;
    let user_data = std::ptr::null_mut();
    let lock = locker_lock_options {
        struct_size: size::<locker_lock_options>(u)?,
        value: text.pointer(),
        reason: name.pointer(),
        timeout_ms: time,
        on_change: None,
        user_data,
        free_user_data: Some(free),
        limit: u.arbitrary()?,
        shared: any_bool(u)?,
        reserved: if u.ratio(7, 8)? { [0; 3] } else { u.arbitrary()? },
    };
    // Some of them, or none, and now and then a number that is not that of the names.
    let texts = [name.pointer(), text.pointer(), other.pointer(), c"x".as_ptr()];
    let count = if u.ratio(7, 8)? { u.int_in_range(0..=texts.len())? } else { u.int_in_range(61..=usize::MAX)? };
    let names = if u.ratio(7, 8)? { texts.as_ptr() } else { null() };
    let watch = locker_watch_options {
        struct_size: size::<locker_watch_options>(u)?,
        on_event: None,
        user_data,
        free_user_data: Some(free),
    };
    // SAFETY: all texts end with a NUL; the sizes of options are not above the true ones.
    let code = unsafe {
        match u.int_in_range(0..=15)? {
            0 => {
                // No connection: its ttl is too short in any case.
                let options = locker_connect_options {
                    struct_size: size::<locker_connect_options>(u)?,
                    prefix: text.pointer(),
                    ttl_ms: if time < 0 { time } else { 1 },
                    timeout_ms: u.arbitrary()?,
                    username: name.pointer(),
                    password: text.pointer(),
                    ca_file: null(),
                    cert_file: null(),
                    key_file: null(),
                    dispatch: u.arbitrary()?,
                    reserved: u.int_in_range(0..=3)?,
                };
                locker_connect(name.pointer(), &options, some.then_some(&mut new_client), e)
            }
            1 => locker_disconnect(client, time, e),
            2 => locker_get(client, name.pointer(), time, some.then_some(&mut info), e),
            3 | 4 => {
                given(&lock);
                locker_lock_start(client, name.pointer(), &lock, some.then_some(&mut new_guard), e)
            }
            14 => {
                given(&lock);
                locker_lock_all(client, names, count, &lock, some.then_some(&mut new_guard), e)
            }
            15 => {
                given(&lock);
                locker_lock_all_start(client, names, count, &lock, some.then_some(&mut new_guard), e)
            }
            5 => locker_wait(guard, time, e),
            6 => locker_unlock(guard, time, e),
            11 => {
                GIVEN.fetch_add(1, Ordering::SeqCst);
                locker_on_change(guard, lock.on_change, lock.user_data, lock.free_user_data, e)
            }
            7 => locker_guard_info(guard, some.then_some(&mut info), e),
            8 => {
                if watch.struct_size == size_of::<locker_watch_options>() {
                    GIVEN.fetch_add(1, Ordering::SeqCst);
                }
                locker_watch(client, name.pointer(), &watch, some.then_some(&mut new_watcher), e)
            }
            9 => locker_watch_next(watcher, time, some.then_some(&mut info), e),
            12 => locker_client_fd(client, some.then_some(&mut fd), e),
            13 => locker_dispatch(client, u.arbitrary()?, some.then_some(&mut ran), e),
            10 => locker_get_cached(client, name.pointer(), time, some.then_some(&mut info), e),
            _ => locker_unwatch(watcher, time, e),
        }
    };
    refused(code, error);
    // SAFETY: zeros are one of each.
    let outputs = unsafe { [new_client.assume_init().id, new_guard.assume_init().id, new_watcher.assume_init().id] };
    assert_eq!(outputs, [0; 3], "a refused call has written its output");
    // SAFETY: they were given values above.
    assert_eq!(unsafe { (fd.assume_init(), ran.assume_init()) }, (-77, 77));
    assert!(locker_guard_state(guard) == locker_state::LOCKER_NONE && locker_guard_token(guard) == 0);
    // As much as it has room for, and no more.
    let (mut text, size) = ([1; 8], u.int_in_range(0..=7)?);
    // SAFETY: there is room for so many bytes.
    assert_eq!(unsafe { locker_guard_name(guard, u.arbitrary()?, text.as_mut_ptr(), size) }, 0);
    assert_eq!(text, [c_char::from(size == 0), 1, 1, 1, 1, 1, 1, 1]);
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let mut u = Unstructured::new(data);
    while !u.is_empty() && step(&mut u).is_ok() {}
    assert_eq!(FREED.load(Ordering::SeqCst), GIVEN.load(Ordering::SeqCst));
    assert_eq!(locker_live_handles(), 0);
});
