//! Where a call is made: in which process, and in a callback or not.

use crate::boundary::at_fork;
use crate::fail::Fail;
use std::cell::Cell;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// The process that started the library's threads last.
static OWNER: AtomicU64 = AtomicU64::new(0);

/// How many forks lie between this process and the one that loaded the library.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// How many of them run. A child of fork has the number of that moment, and none of them.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static CALLBACK: Cell<bool> = const { Cell::new(false) };
    /// Not the number that the standard library gives: it is gone before the thread's last code has run.
    static THREAD: Cell<u64> = const { Cell::new(0) };
}

/// A number that no other thread has.
pub(crate) fn new_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The number of this thread, also while its thread-local data is being destroyed.
pub(crate) fn this_thread() -> u64 {
    if THREAD.get() == 0 {
        THREAD.set(new_thread());
    }
    THREAD.get()
}

/// A thread of the library, from before its start to its end, or the making of one.
pub(crate) struct Running(());

impl Running {
    pub(crate) fn new() -> Self {
        count_forks();
        OWNER.store(this_process(), Ordering::SeqCst);
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
    if RUNNING.load(Ordering::SeqCst) == 0 || owner == this_process() {
        return Ok(());
    }
    Err(Fail::bad_context(format!("locker cannot be used after fork(): it runs in process {}", owner as u32)))
}

/// What no child of fork has in common with its parent. The process id alone will not do: in a new PID namespace the
/// child of a process 1 is a process 1. Nor does the generation: `_Fork` and a bare system call do not tell us.
fn this_process() -> u64 {
    u64::from(GENERATION.load(Ordering::SeqCst)) << 32 | u64::from(process::id())
}

/// Has forks counted from now on. Two threads may do so at once, then each counts as two: a lock that only one could take
/// would stay locked in a child that is forked meanwhile.
fn count_forks() {
    static COUNTED: AtomicBool = AtomicBool::new(false);
    if !COUNTED.load(Ordering::SeqCst) {
        COUNTED.store(at_fork(forked), Ordering::SeqCst);
    }
}

/// Runs in the child, where nothing else is safe to do.
extern "C" fn forked() {
    GENERATION.fetch_add(1, Ordering::SeqCst);
}

/// Marks the thread as one that runs callbacks, and gives it this number.
pub(crate) fn mark_callback_thread(number: u64) {
    THREAD.set(number);
    CALLBACK.set(true);
}

/// A thread of the host that runs callbacks, while this lives.
pub(crate) struct InCallback(());

impl InCallback {
    pub(crate) fn begin() -> Self {
        CALLBACK.set(true);
        InCallback(())
    }
}

impl Drop for InCallback {
    fn drop(&mut self) {
        CALLBACK.set(false);
    }
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
