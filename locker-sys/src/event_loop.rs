//! What a host's event loop needs: a descriptor, and the call that runs what is due.

use crate::boundary::{boundary, output};
use crate::client::CLIENTS;
use crate::context;
use crate::fail::Fail;
use crate::types::*;
use std::ffi::c_int;
use std::mem::MaybeUninit;

/// The descriptor of a client that was connected with options.dispatch = 1: readable, level-triggered, while
/// locker_dispatch has something to do. It is the library's: poll it, with whatever does that, but never read
/// nor close it. locker_disconnect and locker_shutdown close it, so take it out of the event loop before
/// those. It is closed on exec; a child of fork that inherits it does not poll it. LOCKER_INVALID if the
/// client was connected without dispatch.
#[unsafe(no_mangle)]
pub extern "C" fn locker_client_fd(
    client: locker_client,
    out: Option<&mut MaybeUninit<c_int>>,
    error: Option<&mut MaybeUninit<locker_error>>,
) -> locker_code {
    boundary(error, || {
        let out = output(out)?;
        out.write(CLIENTS.get(client.id)?.due()?.fd()?);
        Ok(())
    })
}

/// Runs callbacks of a client that was connected with options.dispatch = 1, on the calling thread, and waits
/// for none to come: those that are due at the moment of the call, in order, at most `max` of them unless
/// that is 0. `ran`, if it is not NULL, gets how many that were, which may be 0 when the descriptor was
/// readable. What is left, or came meanwhile, makes the descriptor readable again, also for a loop that
/// looks for edges (EPOLLET): one call for each time that it is reported will do, whatever `max`.
/// Threads that dispatch one client at once take turns. LOCKER_BAD_CONTEXT in a callback, LOCKER_INVALID if
/// the client was connected without dispatch.
#[unsafe(no_mangle)]
pub extern "C" fn locker_dispatch(
    client: locker_client,
    max: usize,
    ran: Option<&mut MaybeUninit<usize>>,
    error: Option<&mut MaybeUninit<locker_error>>,
) -> locker_code {
    boundary(error, || {
        if context::in_callback() {
            return Err(Fail::bad_context("locker_dispatch was called in a callback"));
        }
        let client = CLIENTS.get(client.id)?;
        let count = client.due()?.run(max);
        if let Some(ran) = ran {
            ran.write(count);
        }
        Ok(())
    })
}

/// Whether callbacks are run by `locker_dispatch`.
pub(crate) fn host_dispatches(options: &locker_connect_options) -> Result<bool, Fail> {
    if options.reserved != 0 {
        return Err(Fail::invalid("options.reserved is not 0: it is newer than this library, or was not set to zero"));
    }
    match options.dispatch {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Fail::invalid(format!("options.dispatch is {other}: neither 0 nor 1"))),
    }
}
