//! Clients: connect, disconnect, get.

use crate::boundary::{Callback, Given, Input, boundary, output, text};
use crate::context;
use crate::dispatch::Dispatcher;
use crate::due::Due;
use crate::ending::{self, Ending, Leaving};
use crate::event_loop::host_dispatches;
use crate::fail::Fail;
use crate::handle::Table;
use crate::limit::Limit;
use crate::line::Line;
use crate::runtime::Runtime;
use crate::types::*;
use locker_core::{Connect, Info};
use once_cell::sync::OnceCell;
use std::collections::BTreeMap;
use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

pub(crate) static CLIENTS: Table<Client> = Table::new("client");

/// Connects to an etcd cluster. `endpoints` is a comma-separated list of URLs, each with a port. If none of
/// them answers within options->timeout_ms: LOCKER_UNAVAILABLE, with the one that was asked last in the
/// message. End the client with locker_disconnect.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn locker_connect(
    endpoints: *const c_char,
    options: *const locker_connect_options,
    out: Option<&mut MaybeUninit<locker_client>>,
    error: Option<&mut MaybeUninit<locker_error>>,
) -> locker_code {
    // SAFETY: the header asks for texts that end with a NUL and for options that start with their size.
    let (endpoints, options) = unsafe { (text(endpoints, "endpoints"), locker_connect_options::read(options)) };
    boundary(error, || {
        let (endpoints, options, out) = (endpoints?, options?, output(out)?);
        let connect = with_options(locker_core::Client::connect(endpoints), &options)?;
        let host = host_dispatches(&options.fields)?;
        context::may_wait()?;
        out.write(locker_client { id: Client::connect(connect, host)? });
        Ok(())
    })
}

/// Ends a client, its guards and its watchers, whose handles are spent too, and waits for etcd to confirm
/// and for callbacks that are running. LOCKER_UNAVAILABLE says that etcd has not confirmed: the locks end
/// with their lease. LOCKER_TIMEOUT says that a callback is still running; with another code than LOCKER_OK
/// it is not known whether one runs or comes: user_data has to live until free_user_data. The client's handle
/// is spent in any case, but not by LOCKER_INVALID and LOCKER_BAD_CONTEXT, which did nothing.
#[unsafe(no_mangle)]
pub extern "C" fn locker_disconnect(
    client: locker_client,
    timeout_ms: i64,
    error: Option<&mut MaybeUninit<locker_error>>,
) -> locker_code {
    boundary(error, || {
        let limit = Limit::parse(timeout_ms, "timeout_ms")?;
        limit.may_wait()?;
        CLIENTS.take(client.id)?.disconnect(limit)
    })
}

/// Reads who holds the lock `name`. A token of 0 says nobody does. LOCKER_UNAVAILABLE if etcd has not
/// answered in time, and so always with LOCKER_NO_WAIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn locker_get(
    client: locker_client,
    name: *const c_char,
    timeout_ms: i64,
    out: Option<&mut MaybeUninit<locker_info>>,
    error: Option<&mut MaybeUninit<locker_error>>,
) -> locker_code {
    // SAFETY: the header asks for a text that ends with a NUL.
    let name = unsafe { text(name, "name") };
    boundary(error, || {
        let (name, out) = (name?, output(out)?);
        let limit = Limit::parse(timeout_ms, "timeout_ms")?;
        context::may_wait()?;
        out.write(locker_info::from(&CLIENTS.get(client.id)?.get(name, limit)?));
        Ok(())
    })
}

/// As locker_get, from memory where this client watches the lock or waits for it: then it asks nobody and
/// waits for nothing, also in a callback. Else it asks etcd; with LOCKER_NO_WAIT it gives LOCKER_UNAVAILABLE.
/// What it tells was so at its `revision`, which never goes back. It is behind by what is on its way, and
/// never more than 10 seconds old: memory is of no use from the moment when the connection to etcd breaks, or
/// within these 10 seconds when etcd falls silent, until the watch has come to the present again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn locker_get_cached(
    client: locker_client,
    name: *const c_char,
    timeout_ms: i64,
    out: Option<&mut MaybeUninit<locker_info>>,
    error: Option<&mut MaybeUninit<locker_error>>,
) -> locker_code {
    // SAFETY: the header asks for a text that ends with a NUL.
    let name = unsafe { text(name, "name") };
    boundary(error, || {
        let (name, out) = (name?, output(out)?);
        let limit = Limit::parse(timeout_ms, "timeout_ms")?;
        let client = CLIENTS.get(client.id)?;
        let info = match client.core.cached(name) {
            Some(info) => locker_info::from(&*info),
            None => locker_info::from(&client.get_uncached(name, limit)?),
        };
        out.write(info);
        Ok(())
    })
}

fn with_options(mut connect: Connect, options: &Given<locker_connect_options>) -> Result<Connect, Fail> {
    if let Some(prefix) = options.text(|o| o.prefix, "options.prefix")? {
        connect = connect.prefix(prefix);
    }
    if let Some(ttl) = Limit::setting(options.fields.ttl_ms, "options.ttl_ms")? {
        connect = connect.ttl(ttl);
    }
    if let Some(timeout) = Limit::setting(options.fields.timeout_ms, "options.timeout_ms")? {
        connect = connect.timeout(timeout);
    }
    let user = options.text(|o| o.username, "options.username")?;
    let password = options.text(|o| o.password, "options.password")?;
    if let Some((user, password)) = both(user, "options.username", password, "options.password")? {
        connect = connect.user(user, password);
    }
    if let Some(file) = options.text(|o| o.ca_file, "options.ca_file")? {
        connect = connect.ca_file(file);
    }
    let cert = options.text(|o| o.cert_file, "options.cert_file")?;
    let key = options.text(|o| o.key_file, "options.key_file")?;
    if let Some((cert, key)) = both(cert, "options.cert_file", key, "options.key_file")? {
        connect = connect.cert_file(cert).key_file(key);
    }
    Ok(connect)
}

/// Two options of which neither is of use without the other.
fn both<'a>(
    one: Option<&'a str>,
    its: &str,
    other: Option<&'a str>,
    others: &str,
) -> Result<Option<(&'a str, &'a str)>, Fail> {
    match (one, other) {
        (Some(_), None) => Err(Fail::invalid(format!("{others} is NULL, but {its} is not"))),
        (None, Some(_)) => Err(Fail::invalid(format!("{its} is NULL, but {others} is not"))),
        _ => Ok(one.zip(other)),
    }
}

/// What a handle of a client stands for.
pub(crate) struct Client {
    pub(crate) core: locker_core::Client,
    pub(crate) runtime: Arc<Runtime>,
    /// A thread is made for the first callback.
    dispatcher: OnceCell<Dispatcher>,
    members: Mutex<Members>,
}

struct Members {
    /// Its guards and watchers by handle; `None` once it is disconnected.
    open: Option<BTreeMap<u64, Weak<dyn Member>>>,
    /// Those that ended before it and whose callbacks may still run.
    leaving: Leaving,
}

/// What ends with its client.
pub(crate) trait Member: Send + Sync {
    /// Spends the handle, which wakes whoever waits.
    fn end(&self, id: u64);
    /// How its callbacks end; `None` when there are none.
    fn ending(&self) -> Option<Ending>;
}

impl Client {
    fn connect(connect: Connect, host: bool) -> Result<u64, Fail> {
        let dispatcher = OnceCell::new();
        if host {
            let _ = dispatcher.set(Dispatcher::host()?);
        }
        let runtime = Runtime::get()?;
        let core = runtime.call(None, connect.into_future())?;
        let members = Mutex::new(Members { open: Some(BTreeMap::new()), leaving: Leaving::new() });
        let client = Arc::new(Client { core, runtime, dispatcher, members });
        let id = CLIENTS.insert(client.clone());
        // A shutdown that began before the line above may have missed it.
        if client.runtime.is_retired() && CLIENTS.take(id).is_ok() {
            return Err(Fail::cancelled("locker_shutdown was called"));
        }
        Ok(id)
    }

    fn get(&self, name: &str, limit: Limit) -> Result<Info, Fail> {
        // Not asked and looked whether it is there already: that would depend on who is faster.
        if limit == Limit::NoWait {
            return Err(Fail::new(locker_code::LOCKER_UNAVAILABLE, "etcd cannot be asked without waiting for it"));
        }
        let (core, name) = (self.core.clone(), name.to_owned());
        self.runtime.call(limit.for_people(), async move { core.get(name).await })
    }

    /// `get` of what is not in memory.
    fn get_uncached(&self, name: &str, limit: Limit) -> Result<Info, Fail> {
        if limit == Limit::NoWait {
            let why = format!("not in memory: this client does not watch {name:?}, or etcd is silent");
            return Err(Fail::new(locker_code::LOCKER_UNAVAILABLE, why));
        }
        context::may_wait()?;
        self.get(name, limit)
    }

    /// Opens a handle that ends with this client.
    pub(crate) fn adopt<T: Member + 'static>(&self, table: &Table<T>, member: &Arc<T>) -> Result<u64, Fail> {
        let mut members = self.members();
        let members = members.open.as_mut().ok_or_else(|| Fail::cancelled("the client was disconnected"))?;
        let id = table.insert(member.clone());
        let weak: Weak<dyn Member> = Arc::<T>::downgrade(member);
        members.insert(id, weak);
        Ok(id)
    }

    /// Spends a handle that `adopt` opened. `disconnect` waits for its callbacks all the same.
    pub(crate) fn release<T: Member>(&self, table: &Table<T>, id: u64) -> Result<Arc<T>, Fail> {
        let member = table.take(id)?;
        let mut members = self.members();
        // Else a disconnect has found it where it was.
        if members.open.as_mut().is_some_and(|open| open.remove(&id).is_some())
            && let Some(ending) = member.ending()
        {
            members.leaving.add(ending);
        }
        drop(members);
        Ok(member)
    }

    /// A line to where its callbacks run.
    pub(crate) fn line<F>(&self, callback: Callback<F>) -> Result<Line<F>, Fail>
    where
        Callback<F>: Send + Sync + 'static,
    {
        Ok(self.dispatcher.get_or_try_init(|| Dispatcher::start(&self.runtime))?.line(callback))
    }

    /// Whether this call is made by one of its callbacks.
    pub(crate) fn is_calling(&self) -> bool {
        self.dispatcher.get().is_some_and(Dispatcher::is_calling)
    }

    /// What waits for `locker_dispatch`.
    pub(crate) fn due(&self) -> Result<&Arc<Due>, Fail> {
        match self.dispatcher.get() {
            Some(Dispatcher::Host(due)) => Ok(due),
            _ => Err(Fail::invalid("the client was connected without options.dispatch: a thread runs its callbacks")),
        }
    }

    fn disconnect(&self, limit: Limit) -> Result<(), Fail> {
        let deadline = limit.deadline(self.core.timeout());
        let (confirmed, callbacks) = self.end(limit);
        let ended = confirmed.and(callbacks.iter().try_for_each(|callback| quiet(callback, limit, deadline)));
        // A shutdown waits for those that this did not wait for.
        ending::leave(callbacks);
        ended
    }

    /// `disconnect` behind the call, for `locker_shutdown`: gives how its callbacks end.
    pub(crate) fn retire(&self) -> Vec<Ending> {
        self.end(Limit::NoWait).1
    }

    fn end(&self, limit: Limit) -> (Result<(), Fail>, Vec<Ending>) {
        // Before its guards end one by one: none of them is to hold in the place of another that ended sooner.
        let ended = self.core.disconnect();
        let callbacks = self.end_members();
        if let Ok(due) = self.due() {
            due.close();
        }
        let unfinished = self.runtime.unfinished();
        let confirmed = self.runtime.confirm(limit, async move {
            // Whether the call waits for it or not.
            let _unfinished = unfinished;
            ended.await
        });
        (confirmed, callbacks)
    }

    /// Spends the handles of all clients that the runtime turns.
    pub(crate) fn take_all(runtime: &Arc<Runtime>) -> Vec<Arc<Client>> {
        let on_it = |id: &u64| CLIENTS.get(*id).is_ok_and(|client| Arc::ptr_eq(&client.runtime, runtime));
        CLIENTS.ids().into_iter().filter(on_it).filter_map(|id| CLIENTS.take(id).ok()).collect()
    }

    fn end_members(&self) -> Vec<Ending> {
        let (open, mut endings) = {
            let mut members = self.members();
            (members.open.take().unwrap_or_default(), members.leaving.take())
        };
        for (id, member) in open {
            let Some(member) = member.upgrade() else { continue };
            member.end(id);
            endings.extend(member.ending());
        }
        endings
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the last callback of something that has ended.
pub(crate) fn quiet(callback: &Ending, limit: Limit, deadline: Instant) -> Result<(), Fail> {
    if limit == Limit::NoWait || callback.wait_until(deadline) {
        return Ok(());
    }
    Err(Fail::new(locker_code::LOCKER_TIMEOUT, "it has ended, but a callback is still running"))
}
