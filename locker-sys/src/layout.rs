//! The layout of what C programs were compiled with, frozen: `tests/c/layout.c` has the same numbers.

use crate::types::*;
use std::mem::offset_of;

/// Stops the build where the size of a struct or the offset of a field is not the frozen one.
macro_rules! frozen {
    ($($type:ident: $size:literal { $($field:ident: $offset:literal),* })*) => {
        $(
            const _: () = assert!(size_of::<$type>() == $size);
            $(const _: () = assert!(offset_of!($type, $field) == $offset);)*
        )*
    };
}

frozen! {
    locker_client: 8 { id: 0 }
    locker_guard: 8 { id: 0 }
    locker_watcher: 8 { id: 0 }
    locker_code: 4 {}
    locker_loss: 4 {}
    locker_state: 4 {}
    locker_mode: 4 {}
    locker_error: 512 { code: 0, detail: 4, message: 8 }
    locker_info: 2128 {
        token: 0, since_ms: 8, lease_left_ms: 16, revision: 24, holders: 32, limit: 36, reserved: 40, pid: 64,
        waiters: 68, mode: 72, reserved_mode: 76, name: 80, host: 336, program: 592, reason: 848, value: 1104
    }
}

// Options may grow at the end; what is there stays where it is.
#[cfg(target_pointer_width = "64")]
frozen! {
    locker_connect_options: 80 {
        struct_size: 0, prefix: 8, ttl_ms: 16, timeout_ms: 24, username: 32, password: 40, ca_file: 48, cert_file: 56,
        key_file: 64, dispatch: 72, reserved: 76
    }
    locker_lock_options: 64 {
        struct_size: 0, value: 8, reason: 16, timeout_ms: 24, on_change: 32, user_data: 40, free_user_data: 48, limit: 56,
        shared: 60, reserved: 61
    }
    locker_watch_options: 32 { struct_size: 0, on_event: 8, user_data: 16, free_user_data: 24 }
}
