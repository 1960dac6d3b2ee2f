//! Where a call is made: in which process, and in a callback or not.

use crate::fail::Fail;
use std::cell::Cell;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// The process whose threads turn the library; 0 while there are none.
static OWNER: AtomicU32 = AtomicU32::new(0);

thread_local!(static CALLBACK: Cell<bool> = const { Cell::new(false) });

/// Says that this process is about to start the library's threads.
pub(crate) fn claim_process() {
    OWNER.store(process::id(), Ordering::SeqCst);
}

/// Says that all of them have ended: a child forked from now on may start its own.
pub(crate) fn release_process() {
    OWNER.store(0, Ordering::SeqCst);
}

/// Fails in a child that was forked while the threads ran: they are not there, and what they had locked stays locked.
pub(crate) fn same_process() -> Result<(), Fail> {
    match OWNER.load(Ordering::SeqCst) {
        0 => Ok(()),
        owner if owner == process::id() => Ok(()),
        owner => Err(Fail::bad_context(format!("locker cannot be used after fork(): it runs in process {owner}"))),
    }
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
