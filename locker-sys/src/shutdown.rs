//! The end of everything: every client disconnected, every thread ended, as before the first connect.

use crate::client::Client;
use crate::context;
use crate::ending;
use crate::fail::Fail;
use crate::limit::Limit;
use crate::log;
use crate::runtime::Runtime;
use crate::thread;
use std::time::Duration;

/// What a client's timeout is when it was not told.
const USUAL: Duration = Duration::from_secs(5);

/// Disconnects every client, turns the log off and stops the library's threads, for tests and before
/// dlclose. Calls that wait elsewhere give LOCKER_CANCELLED. Waits for etcd and for running callbacks, 0: as
/// long as the clients' timeout_ms; in a callback not at all. A later locker_connect starts anew.
#[unsafe(no_mangle)]
pub extern "C" fn locker_shutdown(timeout_ms: i64) {
    // There is nobody to tell that a time is wrong.
    let limit = Limit::parse(timeout_ms, "timeout_ms").unwrap_or(Limit::Usual);
    crate::boundary::getter((), || {
        shutdown(limit);
        Ok::<(), Fail>(())
    });
}

fn shutdown(limit: Limit) {
    let waits = limit != Limit::NoWait && !context::in_callback();
    log::end();
    let runtime = Runtime::retire();
    let clients = runtime.as_ref().map(Client::take_all).unwrap_or_default();
    let usual = clients.iter().map(|client| client.core.timeout()).max().unwrap_or(USUAL);
    let deadline = if limit == Limit::NoWait { Limit::Usual } else { limit }.deadline(usual);
    // Also those of clients that are gone.
    let mut callbacks = ending::take_left();
    callbacks.extend(clients.iter().flat_map(|client| client.retire()));
    // Their callback threads end when nobody can call them any more.
    drop(clients);
    if let Some(runtime) = runtime {
        runtime.stop_after(deadline);
        if waits { runtime.join() } else { runtime.leave() }
    }
    if waits {
        // Those of the host's threads; ours are waited for below, also for what an earlier shutdown did not wait for.
        for callback in &callbacks {
            callback.wait_until(deadline);
        }
        thread::join_ending(deadline);
    }
    ending::leave(callbacks);
}
