//! Locks: what is asked for, by one name or by several, and with which options.

use crate::boundary::{Given, Input, boundary, output, text, texts};
use crate::fail::Fail;
use crate::guard::Guard;
use crate::limit::Limit;
use crate::types::*;
use locker_core::Lock;
use std::ffi::c_char;
use std::mem::MaybeUninit;

/// Acquires the lock `name`, first come first served. End the guard with locker_unlock.
/// Two guards for one name exclude each other, also within one client and one thread, unless both share it.
/// If it fails nothing is held, its place in the queue is given up behind the call, and on_change has been
/// called for the last time; unless callbacks of the client are so slow that this was not so within its
/// timeout_ms: what user_data points to has to live until free_user_data.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn locker_lock(
    client: locker_client,
    name: *const c_char,
    options: *const locker_lock_options,
    out: Option<&mut MaybeUninit<locker_guard>>,
    error: Option<&mut MaybeUninit<locker_error>>,
) -> locker_code {
    // SAFETY: the header asks for a text that ends with a NUL and for options that start with their size.
    let (name, options) = unsafe { (text(name, "name"), locker_lock_options::read(options)) };
    boundary(error, || {
        let (options, name, out) = (options?, name?, output(out)?);
        out.write(Guard::hold(client, &[name], options)?);
        Ok(())
    })
}

/// As locker_lock without the wait: returns a guard in LOCKER_WAITING, for on_change,
/// locker_wait or locker_unlock. When options->timeout_ms ends first, the guard ends with LOCKER_TIMEOUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn locker_lock_start(
    client: locker_client,
    name: *const c_char,
    options: *const locker_lock_options,
    out: Option<&mut MaybeUninit<locker_guard>>,
    error: Option<&mut MaybeUninit<locker_error>>,
) -> locker_code {
    // SAFETY: the header asks for a text that ends with a NUL and for options that start with their size.
    let (name, options) = unsafe { (text(name, "name"), locker_lock_options::read(options)) };
    boundary(error, || {
        let (options, name, out) = (options?, name?, output(out)?);
        out.write(Guard::start(client, &[name], options)?.0);
        Ok(())
    })
}

/// Acquires all these locks or none, in one request and with one token: as locker_lock, of `count` names, which
/// are 1 to LOCKER_NAMES_MAX and none of them twice. The guard is held once it is the first in all their
/// queues, and it ends as a whole, also when only one of the locks is lost. Two such requests never wait for
/// each other, in whatever order they have their names; but who holds one guard and asks for another may wait
/// for ever, as with any lock. A wrong name is told with its place: "names[2] is empty".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn locker_lock_all(
    client: locker_client,
    names: *const *const c_char,
    count: usize,
    options: *const locker_lock_options,
    out: Option<&mut MaybeUninit<locker_guard>>,
    error: Option<&mut MaybeUninit<locker_error>>,
) -> locker_code {
    // SAFETY: the header asks for so many texts that end with a NUL and for options that start with their size.
    let (names, options) = unsafe { (texts(names, count, "names"), locker_lock_options::read(options)) };
    boundary(error, || {
        let (options, names, out) = (options?, names?, output(out)?);
        check(&names)?;
        out.write(Guard::hold(client, &names, options)?);
        Ok(())
    })
}

/// As locker_lock_start, of several names: see locker_lock_all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn locker_lock_all_start(
    client: locker_client,
    names: *const *const c_char,
    count: usize,
    options: *const locker_lock_options,
    out: Option<&mut MaybeUninit<locker_guard>>,
    error: Option<&mut MaybeUninit<locker_error>>,
) -> locker_code {
    // SAFETY: the header asks for so many texts that end with a NUL and for options that start with their size.
    let (names, options) = unsafe { (texts(names, count, "names"), locker_lock_options::read(options)) };
    boundary(error, || {
        let (options, names, out) = (options?, names?, output(out)?);
        check(&names)?;
        out.write(Guard::start(client, &names, options)?.0);
        Ok(())
    })
}

pub(crate) fn with_options(mut lock: Lock, options: &Given<locker_lock_options>) -> Result<Lock, Fail> {
    if let Some(value) = options.text(|o| o.value, "options.value")? {
        lock = lock.value(value);
    }
    if let Some(reason) = options.text(|o| o.reason, "options.reason")? {
        lock = lock.reason(reason);
    }
    if let Some(limit) = Limit::parse(options.fields.timeout_ms, "options.timeout_ms")?.for_people() {
        lock = lock.timeout(limit);
    }
    if options.fields.reserved != [0; 3] {
        return Err(Fail::invalid("options.reserved is not zero"));
    }
    if options.shared()? {
        lock = lock.shared();
    }
    match options.fields.limit {
        0 => Ok(lock),
        limit => Ok(lock.limit(limit)),
    }
}

/// What the core would refuse, too, but without saying which of them it is.
fn check(names: &[&str]) -> Result<(), Fail> {
    names.iter().enumerate().try_for_each(|(i, name)| {
        if name.is_empty() {
            return Err(Fail::invalid(format!("names[{i}] is empty")));
        }
        if name.len() > LOCKER_NAME_MAX {
            let length = name.len();
            return Err(Fail::invalid(format!("names[{i}] is too long: {length} bytes of at most {LOCKER_NAME_MAX}")));
        }
        match names[..i].iter().position(|other| other == name) {
            Some(first) => Err(Fail::invalid(format!("names[{i}] is {name:?}, as names[{first}] is"))),
            None => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_is_wrong_is_named_by_its_place() {
        let (longest, longer) = ("n".repeat(LOCKER_NAME_MAX), "n".repeat(LOCKER_NAME_MAX + 1));
        check(&["a", "b", "A", "a/b", &longest]).unwrap();
        for (names, said) in [
            (&["a", ""][..], "names[1] is empty"),
            (&["a", "b", "a"], "names[2] is \"a\", as names[0] is"),
            (&[&*longer], "names[0] is too long: 256 bytes of at most 255"),
        ] {
            let told = format!("{:?}", check(names).unwrap_err());
            assert!(told.contains(&format!("{said:?}")), "{told}");
        }
    }
}
