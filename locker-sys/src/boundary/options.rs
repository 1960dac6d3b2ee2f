//! Options as C gives them: structs that begin with their own size and grow at the end.

use super::{UserData, text};
use crate::fail::Fail;
use crate::types::*;
use std::ffi::c_char;
use std::mem::offset_of;

/// Options as C gave them. With them the library owns their user data, which goes when this goes.
pub(crate) struct Given<T> {
    pub(crate) fields: T,
    pub(crate) user_data: UserData,
}

impl<T> Given<T> {
    /// A text of the options; `None` where it is NULL. `field` picks one of the fields, nothing else.
    pub(crate) fn text(&self, field: impl Fn(&T) -> *const c_char, argument: &str) -> Result<Option<&str>, Fail> {
        let pointer = field(&self.fields);
        if pointer.is_null() {
            return Ok(None);
        }
        // SAFETY: `Input::read` was promised that the texts of the options are good while the call lasts.
        unsafe { text(pointer, argument) }.map(Some)
    }
}

impl Given<locker_lock_options> {
    /// Whether the lock is to be shared. C writes 0 or 1 there; what is neither is no `bool` of Rust.
    pub(crate) fn shared(&self) -> Result<bool, Fail> {
        // SAFETY: `Input::read` has initialised each byte of the fields, and each may be a byte.
        let byte = unsafe { *self.fields.shared.as_ptr().cast::<u8>() };
        match byte {
            0 | 1 => Ok(byte == 1),
            _ => Err(Fail::invalid(format!("options.shared is {byte}, neither true nor false"))),
        }
    }
}

/// An options struct. Its first field is its own size as the compiler of the caller saw it.
///
/// # Safety
/// The type is `repr(C)`, starts with a `usize`, and is valid when all its bytes are zero.
pub(crate) unsafe trait Input: Copy {
    /// The least size: that of the first release, since options only grow.
    const LEAST: usize = size_of::<Self>();

    fn user_data(&self) -> UserData;

    /// Takes over what C gave; all defaults where that is NULL. If `struct_size` is wrong nothing else is looked at, and
    /// so the user data stays with the caller.
    ///
    /// # Safety
    /// `from` is NULL, or points to as many readable bytes as its first field says, and its texts are NULL or end with
    /// a NUL. All of that stays as it is while the call lasts.
    unsafe fn read(from: *const Self) -> Result<Given<Self>, Fail> {
        // SAFETY: the trait's promise.
        let mut fields: Self = unsafe { std::mem::zeroed() };
        if from.is_null() {
            return Ok(Given { user_data: fields.user_data(), fields });
        }
        // SAFETY: not NULL, and the size comes first.
        let theirs = unsafe { *from.cast::<usize>() };
        let ours = size_of::<Self>();
        if theirs < Self::LEAST || theirs > 4096 {
            return Err(Fail::invalid(format!("options.struct_size is {theirs}, not the size of the struct")));
        }
        // SAFETY: as many bytes are readable there as the caller's size says, and ours has room for `ours`.
        let newer = unsafe {
            std::ptr::copy_nonoverlapping(from.cast::<u8>(), (&raw mut fields).cast::<u8>(), theirs.min(ours));
            std::slice::from_raw_parts(from.cast::<u8>(), theirs)
        };
        let given = Given { user_data: fields.user_data(), fields };
        if newer.iter().skip(ours).any(|byte| *byte != 0) {
            return Err(Fail::invalid("options has a field set that is newer than this library"));
        }
        Ok(given)
    }
}

// SAFETY: `repr(C)`, the size first; pointers and numbers may be zero, and so may functions, which are `Option`s.
unsafe impl Input for locker_connect_options {
    const LEAST: usize = offset_of!(locker_connect_options, dispatch);

    fn user_data(&self) -> UserData {
        UserData { data: std::ptr::null_mut(), free: None }
    }
}

// SAFETY: as above.
unsafe impl Input for locker_lock_options {
    const LEAST: usize = offset_of!(locker_lock_options, limit);

    fn user_data(&self) -> UserData {
        UserData { data: self.user_data, free: self.free_user_data }
    }
}

// SAFETY: as above.
unsafe impl Input for locker_watch_options {
    fn user_data(&self) -> UserData {
        UserData { data: self.user_data, free: self.free_user_data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::c_void;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn options_own_their_user_data_whether_they_are_used_or_refused() {
        static FREED: AtomicUsize = AtomicUsize::new(0);
        unsafe extern "C" fn free(_: *mut c_void) {
            FREED.fetch_add(1, Ordering::SeqCst);
        }
        #[repr(C)]
        struct Newer(locker_watch_options, u64);
        let size = size_of::<Newer>();
        let known = locker_watch_options {
            struct_size: size,
            on_event: None,
            user_data: std::ptr::null_mut(),
            free_user_data: Some(free),
        };
        for (added, freed) in [(0, 1), (1, 2)] {
            let options = Newer(known, added);
            // SAFETY: as many bytes as its size says.
            let given = unsafe { locker_watch_options::read((&raw const options).cast()) };
            assert_eq!(given.is_ok(), added == 0);
            drop(given);
            assert_eq!(FREED.load(Ordering::SeqCst), freed);
        }
        let forgotten = locker_watch_options { struct_size: 0, ..known };
        // SAFETY: as above.
        assert!(unsafe { locker_watch_options::read(&forgotten) }.is_err());
        assert_eq!(FREED.load(Ordering::SeqCst), 2);
    }
}
