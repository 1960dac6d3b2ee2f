//! Where a call is made: in which process, and in a callback or not.

use crate::fail::Fail;
use std::cell::Cell;
use std::process;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// The process that started the library's threads last.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// How many of them run. A child of fork has the number of that moment, and none of them.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

thread_local!(static CALLBACK: Cell<bool> = const { Cell::new(false) });

/// A thread of the library, from before its start to its end, or the making of one.
pub(crate) struct Running(());

impl Running {
    pub(crate) fn new() -> Self {
        OWNER.store(process::id(), Ordering::SeqCst);
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Running(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Fails in a child that was forked while threads ran: they are not there, and what they had locked stays locked.
pub(crate) fn same_process() -> Result<(), Fail> {
    let owner = OWNER.load(Ordering::SeqCst);
    if RUNNING.load(Ordering::SeqCst) == 0 || owner == process::id() {
        return Ok(());
    }
    Err(Fail::bad_context(format!("locker cannot be used after fork(): it runs in process {owner}")))
}

/// Marks the thread as one that runs callbacks.
pub(crate) fn mark_callback_thread() {
    CALLBACK.set(true);
}

/// Whether this call is made by a callback.
pub(crate) fn in_callback() -> bool {
    CALLBACK.get()
}

/// Fails in a callback: while it waited, no other callback could run, and perhaps not the one that it waits for.
pub(crate) fn may_wait() -> Result<(), Fail> {
    if in_callback() {
        return Err(Fail::bad_context("this call would wait, which a callback must not"));
    }
    Ok(())
}
