//! Every type and constant of the header, in its order. The comments here are the header's.
// A field that its name explains has none.
#![allow(missing_docs)]

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;

/// The ABI version. A program built with another number must not use this library.
pub const LOCKER_ABI: u32 = 1;
/// As a timeout: do not wait at all.
pub const LOCKER_NO_WAIT: i64 = -1;
/// The longest lock name, in bytes, without its NUL.
pub const LOCKER_NAME_MAX: usize = 255;
/// The most names of one locker_lock_all.
pub const LOCKER_NAMES_MAX: usize = 60;
/// The longest value, in bytes, without its NUL.
pub const LOCKER_VALUE_MAX: usize = 1023;
/// The longest reason, in bytes, without its NUL.
pub const LOCKER_REASON_MAX: usize = 255;

/// What a function returns. Treat a number not listed here as a failure.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum locker_code {
    /// It worked.
    LOCKER_OK = 0,
    /// The wait ended first. Nothing is held.
    LOCKER_TIMEOUT = 1,
    /// The guard was unlocked, or its client ended: disconnected, or since etcd's history went back.
    LOCKER_CANCELLED = 2,
    /// The guard was held and is no longer. The error's detail is one of locker_loss.
    LOCKER_LOST = 3,
    /// etcd cannot be reached or has no leader. Trying again may help.
    LOCKER_UNAVAILABLE = 4,
    /// etcd refused: wrong credentials, or no permission on the key.
    LOCKER_DENIED = 5,
    /// An argument is wrong; the message says which.
    LOCKER_INVALID = 6,
    /// The handle is zero, already closed, or of another kind.
    LOCKER_BAD_HANDLE = 7,
    /// A call that blocks was made inside a callback, or any call after fork().
    LOCKER_BAD_CONTEXT = 8,
    /// A bug in locker.
    LOCKER_INTERNAL = 9,
}

/// How a lock was lost. Treat a number not listed here as LOCKER_LOSS_EXPIRED.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum locker_loss {
    /// The lease was not renewed in time, by this process's own clock: etcd was out of reach, or the
    /// process or its machine stood still.
    LOCKER_LOSS_EXPIRED = 1,
    /// etcd said that the lease is gone: revoked by hand, or ended by an etcd that lacks the fixes.
    LOCKER_LOSS_LEASE_GONE = 2,
    /// Somebody deleted the key.
    LOCKER_LOSS_KEY_DELETED = 3,
    /// etcd was wiped or restored from a backup. The client refuses all calls; connect another.
    LOCKER_LOSS_WENT_BACK = 4,
}

/// Where a guard stands: WAITING, then HELD and AT_RISK in turn, then ENDED, which is final.
/// Treat a number not listed here as AT_RISK. It is held when HELD or AT_RISK.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum locker_state {
    /// No such guard: never made, or already unlocked.
    LOCKER_NONE = 0,
    /// In the queue, or on its way there.
    LOCKER_WAITING = 1,
    /// Held, as far as this process can know. Let locker_guard_token decide what matters.
    LOCKER_HELD = 2,
    /// Held, but its lease was not renewed for so long that it may soon be lost. Finish, or stop.
    LOCKER_AT_RISK = 3,
    /// Lost, failed, cancelled or unlocked. Only locker_unlock is of use now.
    LOCKER_ENDED = 4,
}

/// How a lock is held. Treat a number not listed here as LOCKER_EXCLUSIVE.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum locker_mode {
    /// Nobody holds it.
    LOCKER_FREE = 0,
    /// By one holder at a time.
    LOCKER_EXCLUSIVE = 1,
    /// By several at the same time: see `shared` and `limit` of locker_lock_options.
    LOCKER_SHARED = 2,
    /// By something that is not locker: etcdctl lock, Go's concurrency, a key written by hand.
    LOCKER_FOREIGN = 15,
}

/// A connection to an etcd cluster. Any thread may use it. Zero is never valid.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct locker_client {
    pub id: u64,
}

/// One acquisition of one lock. Any thread may use it. Zero is never valid.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct locker_guard {
    pub id: u64,
}

/// A subscription to one lock. Any thread may use it. Zero is never valid.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct locker_watcher {
    pub id: u64,
}

/// Why a call failed. The caller's own memory; nothing to free. Its layout is frozen.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct locker_error {
    /// One of locker_code.
    pub code: i32,
    /// Of LOCKER_LOST one of locker_loss; else the gRPC status when etcd or the transport to it gave
    /// one; else 0.
    pub detail: i32,
    /// UTF-8 with a NUL, for people; never parse it.
    pub message: [c_char; 504],
}

/// Who holds a lock. Copy it freely; nothing to free. Its layout is frozen.
/// All texts are UTF-8 with a NUL, and empty when not known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct locker_info {
    /// The holder's fencing token; 0 when nobody holds the lock.
    pub token: i64,
    /// When the holder asked for the lock, by its own clock, in milliseconds since 1970; 0: not known.
    pub since_ms: i64,
    /// For how long the holder's lease lasts if it is not kept alive from now on; -1: not known. Not told by
    /// this release: always -1.
    pub lease_left_ms: i64,
    /// The revision of etcd at which it was so; 0: not known. It rises with every write to etcd, of whatever
    /// key. Of two that were told, the one with the higher revision is the later one.
    pub revision: i64,
    /// How many hold it: more than one only if it is LOCKER_SHARED. All else here is of the one who has held it
    /// for the longest time; in what locker_guard_info says of a guard that holds it is of this guard, and 1.
    pub holders: u32,
    /// How many may hold it at the same time, if it is shared with a limit; else 0.
    pub limit: u32,
    /// Zero, for what is to come.
    pub reserved: [i64; 3],
    /// The holder's process on `host`; 0: not known.
    pub pid: u32,
    /// How many wait behind those who hold it: clients, of which one may want it many times.
    pub waiters: u32,
    /// One of locker_mode.
    pub mode: i32,
    /// Zero, for what is to come.
    pub reserved_mode: i32,
    pub name: [c_char; 256],
    /// The machine of the holder.
    pub host: [c_char; 256],
    /// The program of the holder.
    pub program: [c_char; 256],
    /// Why it is held, if the holder said so.
    pub reason: [c_char; 256],
    /// What the holder published; of a foreign holder, the value of its key.
    pub value: [c_char; 1024],
}

/// Called when a guard changes state, in order; LOCKER_ENDED is the last call. LOCKER_WAITING says that
/// it lost its place in the queue and entered again; no other state comes twice running. `error` says why
/// it ended, is at risk or entered again; it is NULL when locker_unlock ended it. (See EVENT LOOP for who is not
/// told of what they end themselves.)
pub type locker_change_fn = Option<
    unsafe extern "C" fn(user_data: *mut c_void, guard: locker_guard, state: locker_state, error: *const locker_error),
>;

/// Called when a lock changes hands. Exactly one of `info` and `error` is not NULL;
/// an error is the last call: LOCKER_CANCELLED when the client is disconnected. Both live only until the
/// callback returns. One that is slow misses older states (64 are kept), never the last.
pub type locker_event_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, info: *const locker_info, error: *const locker_error)>;

/// Called for each line of the library's log, by a thread of its own. Levels: 1 error, 2 warning, 3 info,
/// 4 debug.
pub type locker_log_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char)>;

/// Called once, after the last callback that got this `user_data` has returned.
pub type locker_free_fn = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// Options start with their own size and are otherwise zero for the defaults:
/// `locker_connect_options o = { .struct_size = sizeof o, .ttl_ms = 30000 };`
/// Strings are copied before the call returns. NULL in place of options: all defaults.
/// A wrong struct_size gives LOCKER_INVALID, and then nothing else of the options was looked at.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct locker_connect_options {
    pub struct_size: usize,
    /// Put before every key. NULL: "/locker/". Empty: nothing, which is how to share a name with
    /// `etcdctl lock NAME`. With a prefix "P/", a lock P of those with an empty prefix is busy while
    /// this client lives.
    pub prefix: *const c_char,
    /// How long a dead process keeps its locks, at least 2000; rounded up to seconds. 0: 10 seconds.
    pub ttl_ms: i64,
    /// The limit of all that waits for etcd, not for another holder. 0: 5 seconds.
    pub timeout_ms: i64,
    /// An etcd user. NULL: none, and no password then.
    pub username: *const c_char,
    pub password: *const c_char,
    /// PEM file of the authorities to trust with https endpoints. NULL: the system's.
    pub ca_file: *const c_char,
    /// PEM files of the client's certificate and its key. NULL: none.
    pub cert_file: *const c_char,
    pub key_file: *const c_char,
    /// 1: the client's callbacks are run by locker_dispatch and by nothing else, see EVENT LOOP. 0: by a thread of
    /// the library.
    pub dispatch: i32,
    /// Zero, for what is to come.
    pub reserved: i32,
}

/// As locker_connect_options. The library owns user_data from the call on, even a failed one (but for a
/// wrong struct_size): it calls free_user_data once, on a callback thread or the calling one.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct locker_lock_options {
    pub struct_size: usize,
    /// What others read with locker_get. NULL: "<host>:<pid>".
    pub value: *const c_char,
    /// Why the lock is wanted, shown to those who find it busy. NULL: nothing.
    pub reason: *const c_char,
    /// How long to wait for other holders. 0: as long as it takes. LOCKER_NO_WAIT: not at all.
    pub timeout_ms: i64,
    pub on_change: locker_change_fn,
    pub user_data: *mut c_void,
    pub free_user_data: locker_free_fn,
    /// To hold it together with others, at most so many at the same time: a counting semaphore. All that want a
    /// lock at the same time must say the same limit, or the later one gets LOCKER_INVALID with both numbers;
    /// so do `limit` and mere `shared` on one lock. 0: no limit.
    pub limit: u32,
    /// To hold it together with all others who ask for it so: the read side of a read-write lock. Who wants it
    /// alone waits until none of them is left, and those who come later wait behind him. A `limit` is shared by
    /// itself. Not with several names.
    pub shared: MaybeUninit<bool>,
    /// Zero, for what is to come.
    pub reserved: [u8; 3],
}

/// As locker_lock_options.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct locker_watch_options {
    pub struct_size: usize,
    /// NULL: read events with locker_watch_next instead.
    pub on_event: locker_event_fn,
    pub user_data: *mut c_void,
    pub free_user_data: locker_free_fn,
}
