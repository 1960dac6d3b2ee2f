//! Guards: wait, unlock, and what one may ask of them.

use crate::boundary::{Callback, Given, UserData, boundary, getter, output, write_text};
use crate::client::{CLIENTS, Client, Member, quiet};
use crate::context;
use crate::convert::millis;
use crate::fail::Fail;
use crate::handle::Table;
use crate::limit::Limit;
use crate::line::{Ending, Line};
use crate::lock::with_options;
use crate::park::parked;
use crate::types::*;
use locker_core::ErrorKind;
use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

static GUARDS: Table<Guard> = Table::new("guard");

/// Waits until a guard is held. LOCKER_TIMEOUT leaves it in the queue.
#[unsafe(no_mangle)]
pub extern "C" fn locker_wait(
    guard: locker_guard,
    timeout_ms: i64,
    error: Option<&mut MaybeUninit<locker_error>>,
) -> locker_code {
    boundary(error, || {
        let limit = Limit::parse(timeout_ms, "timeout_ms")?;
        limit.may_wait()?;
        GUARDS.get(guard.id)?.wait(limit.for_people())
    })
}

/// Has on_change called for a guard that was made without, as if it had been made with it: also for what has
/// changed since (64 changes are kept). The library owns user_data from the call on, even a failed one.
/// LOCKER_INVALID if the guard has an on_change.
#[unsafe(no_mangle)]
pub extern "C" fn locker_on_change(
    guard: locker_guard,
    on_change: locker_change_fn,
    user_data: *mut c_void,
    free_user_data: locker_free_fn,
    error: Option<&mut MaybeUninit<locker_error>>,
) -> locker_code {
    let user_data = UserData::new(user_data, free_user_data);
    boundary(error, || {
        if on_change.is_none() {
            return Err(Fail::invalid("on_change is NULL"));
        }
        GUARDS.get(guard.id)?.subscribe(guard, Callback::new(on_change, user_data))
    })
}

/// Ends a guard whatever its state: takes it out of the queue, or releases the lock, and waits for etcd to
/// confirm and for its last on_change: hold no mutex that on_change takes. LOCKER_LOST says the lock was lost
/// before. LOCKER_UNAVAILABLE says that etcd has not confirmed: the release is tried until the lease has ended.
/// LOCKER_TIMEOUT says that on_change is still running; with another code than LOCKER_OK it is not known
/// whether it runs or comes: user_data has to live until free_user_data. The handle is spent in any case, but
/// not by LOCKER_INVALID and LOCKER_BAD_CONTEXT, which did nothing.
#[unsafe(no_mangle)]
pub extern "C" fn locker_unlock(
    guard: locker_guard,
    timeout_ms: i64,
    error: Option<&mut MaybeUninit<locker_error>>,
) -> locker_code {
    boundary(error, || {
        let limit = Limit::parse(timeout_ms, "timeout_ms")?;
        limit.may_wait()?;
        let client = GUARDS.get(guard.id)?.client.clone();
        client.release(&GUARDS, guard.id)?.unlock(limit)
    })
}

/// The state of a guard, from memory. LOCKER_NONE for a stale handle.
#[unsafe(no_mangle)]
pub extern "C" fn locker_guard_state(guard: locker_guard) -> locker_state {
    getter(locker_state::LOCKER_NONE, || Ok(GUARDS.get(guard.id)?.core.state().into()))
}

/// The fencing token of a guard that is held, else 0. Each holder of a name gets a greater one: have what the
/// lock protects refuse a token lower than one it has seen. Of several names it is one for all. Those who share
/// a lock have different ones, which among them say nothing.
#[unsafe(no_mangle)]
pub extern "C" fn locker_guard_token(guard: locker_guard) -> i64 {
    getter(0, || Ok(GUARDS.get(guard.id)?.core.token()))
}

/// For how long a held guard stays held if etcd stops answering now, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn locker_guard_remaining_ms(guard: locker_guard) -> i64 {
    getter(0, || Ok(millis(GUARDS.get(guard.id)?.core.remaining())))
}

/// From memory: of a held guard what locker_get would say of it; of one that waits, or that ended waiting, who
/// held the lock when last heard of (token 0 when not known). Of several names it is about the first when held,
/// and else about the one that is in the way.
#[unsafe(no_mangle)]
pub extern "C" fn locker_guard_info(
    guard: locker_guard,
    out: Option<&mut MaybeUninit<locker_info>>,
    error: Option<&mut MaybeUninit<locker_error>>,
) -> locker_code {
    boundary(error, || {
        let out = output(out)?;
        out.write(locker_info::from(&GUARDS.get(guard.id)?.core.info()));
        Ok(())
    })
}

/// The name of one of a guard's locks, in the order of locker_lock_all; the first has index 0. Writes as much
/// of it as `size` bytes have room for, with a NUL, and returns its whole length, as snprintf does. 0, and "":
/// there are not so many, or the handle is stale.
/// `char name[LOCKER_NAME_MAX + 1]; for (size_t i = 0; locker_guard_name(guard, i, name, sizeof name); i++) ...`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn locker_guard_name(guard: locker_guard, index: usize, out: *mut c_char, size: usize) -> usize {
    let name =
        getter(String::new(), || Ok(GUARDS.get(guard.id)?.core.names().nth(index).unwrap_or_default().to_owned()));
    // SAFETY: the header says that so many bytes are written to.
    unsafe { write_text(&name, out, size) };
    name.len()
}

pub(crate) fn live() -> usize {
    GUARDS.len()
}

/// What a handle of a guard stands for.
pub(crate) struct Guard {
    core: locker_core::Guard,
    client: Arc<Client>,
    /// How its callbacks end; nothing when there are none.
    told: OnceLock<Ending>,
}

impl Guard {
    /// Starts one and waits until it is held.
    pub(crate) fn hold(
        client: locker_client,
        names: &[&str],
        options: Given<locker_lock_options>,
    ) -> Result<locker_guard, Fail> {
        context::may_wait()?;
        let (handle, guard) = Guard::start(client, names, options)?;
        guard.wait(None).inspect_err(|_| guard.forget(handle))?;
        Ok(handle)
    }

    pub(crate) fn start(
        client: locker_client,
        names: &[&str],
        options: Given<locker_lock_options>,
    ) -> Result<(locker_guard, Arc<Guard>), Fail> {
        let client = CLIENTS.get(client.id)?;
        let lock = with_options(client.core.lock_all(names.iter().copied()), &options)?;
        let core = lock.start()?;
        let line = match options.fields.on_change {
            None => None,
            on_change => Some(client.line(Callback::new(on_change, options.user_data))?),
        };
        let told = line.as_ref().map_or_else(OnceLock::new, |line| OnceLock::from(line.ending()));
        let guard = Arc::new(Guard { core, client, told });
        let adopted = guard.client.adopt(&GUARDS, &guard).inspect_err(|_| guard.silence());
        let handle = locker_guard { id: adopted? };
        if let Some(line) = line {
            guard.client.runtime.spawn(tell_changes(guard.clone(), handle, line));
        }
        Ok((handle, guard))
    }

    fn subscribe(self: &Arc<Self>, handle: locker_guard, callback: Callback<locker_change_fn>) -> Result<(), Fail> {
        let has_one = || Fail::invalid("the guard has an on_change");
        if self.told.get().is_some() {
            return Err(has_one());
        }
        let line = self.client.line(callback)?;
        self.told.set(line.ending()).map_err(|_| has_one())?;
        // Who spends the handle from here on waits for the last callback. Who spent it before may not know of any.
        GUARDS.get(handle.id).inspect_err(|_| self.silence())?;
        self.client.runtime.spawn(tell_changes(self.clone(), handle, line));
        Ok(())
    }

    /// Waits without a task of its own, as long as there is time: it costs the runtime's thread nothing.
    fn wait(self: &Arc<Self>, limit: Option<Duration>) -> Result<(), Fail> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        if let Some(outcome) = parked(deadline, self.core.wait(None)) {
            return Ok(outcome?);
        }
        // Says who is in the way.
        let guard = self.clone();
        self.client.runtime.call(None, async move { guard.core.wait(Duration::ZERO).await })
    }

    fn unlock(self: Arc<Self>, limit: Limit) -> Result<(), Fail> {
        let deadline = limit.deadline(self.client.core.timeout());
        self.silence();
        // Of a loss that is known there is nothing to wait for.
        let lost = self.core.check().err().filter(|error| error.kind() == ErrorKind::Lost);
        let guard = self.clone();
        let unlocked = self.client.runtime.confirm(limit, async move { guard.core.unlock().await });
        let told = self.told.get().map_or(Ok(()), |told| quiet(told, limit, deadline));
        lost.map_or(unlocked, |error| Err(error.into())).and(told)
    }

    /// See `Ending::cut`.
    fn silence(&self) {
        if let Some(told) = self.told.get() {
            told.cut();
        }
    }

    /// Spends the handle of a guard that has failed and that nobody was given.
    fn forget(&self, handle: locker_guard) {
        let _ = self.client.release(&GUARDS, handle.id);
        self.silence();
        if let Some(told) = self.told.get() {
            told.wait_until(Limit::Usual.deadline(self.client.core.timeout()));
        }
    }
}

impl Member for Guard {
    fn end(&self, id: u64) -> Option<Ending> {
        let _ = GUARDS.take(id);
        self.silence();
        self.told.get().cloned()
    }
}

async fn tell_changes(guard: Arc<Guard>, handle: locker_guard, line: Line<locker_change_fn>) {
    while let Some(change) = guard.core.changed().await {
        let error = change.error.map(|error| locker_error::from(&Fail::from(error)));
        let tell = move |on_change: &Callback<locker_change_fn>| {
            on_change.call(handle, change.state.into(), error.as_ref());
            true
        };
        line.tell(tell).await;
    }
}
