//! Watchers: watch, read the next event, unwatch.

use crate::boundary::{Callback, Given, Input, boundary, output, text};
use crate::client::{CLIENTS, Client, Member, quiet};
use crate::context;
use crate::ending::Ending;
use crate::fail::Fail;
use crate::handle::Table;
use crate::limit::Limit;
use crate::line::Line;
use crate::park::parked;
use crate::types::*;
use locker_core::Info;
use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, watch};

static WATCHERS: Table<Watcher> = Table::new("watcher");

/// Subscribes to the lock `name`: the present holder, then each change. End it with locker_unwatch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn locker_watch(
    client: locker_client,
    name: *const c_char,
    options: *const locker_watch_options,
    out: Option<&mut MaybeUninit<locker_watcher>>,
    error: Option<&mut MaybeUninit<locker_error>>,
) -> locker_code {
    // SAFETY: the header asks for a text that ends with a NUL and for options that start with their size.
    let (name, options) = unsafe { (text(name, "name"), locker_watch_options::read(options)) };
    boundary(error, || {
        let (options, name, out) = (options?, name?, output(out)?);
        context::may_wait()?;
        out.write(Watcher::start(client, name, options)?);
        Ok(())
    })
}

/// Waits for the next event of a watcher made without on_event: first the present holder, then each
/// change. LOCKER_CANCELLED says that the watcher has ended.
#[unsafe(no_mangle)]
pub extern "C" fn locker_watch_next(
    watcher: locker_watcher,
    timeout_ms: i64,
    out: Option<&mut MaybeUninit<locker_info>>,
    error: Option<&mut MaybeUninit<locker_error>>,
) -> locker_code {
    boundary(error, || {
        let out = output(out)?;
        let limit = Limit::parse(timeout_ms, "timeout_ms")?;
        limit.may_wait()?;
        out.write(locker_info::from(&*WATCHERS.get(watcher.id)?.pull(limit.for_people())?));
        Ok(())
    })
}

/// Ends a watcher and waits for its running callback. After LOCKER_OK no callback runs, but after
/// LOCKER_NO_WAIT one may; called from a callback of its own client it does not wait, and no further one
/// runs. LOCKER_TIMEOUT says that the callback is still running; it is the last. The handle is spent, but
/// not by LOCKER_INVALID and LOCKER_BAD_CONTEXT.
#[unsafe(no_mangle)]
pub extern "C" fn locker_unwatch(
    watcher: locker_watcher,
    timeout_ms: i64,
    error: Option<&mut MaybeUninit<locker_error>>,
) -> locker_code {
    boundary(error, || {
        let mut limit = Limit::parse(timeout_ms, "timeout_ms")?;
        let client = WATCHERS.get(watcher.id)?.client.clone();
        if client.is_calling() {
            limit = Limit::NoWait;
        }
        limit.may_wait()?;
        let watcher = client.release(&WATCHERS, watcher.id)?;
        watcher.ended.send_replace(Some(End::Unwatched));
        watcher.silence();
        let deadline = limit.deadline(client.core.timeout());
        watcher.told.as_ref().map_or(Ok(()), |told| quiet(told, limit, deadline))
    })
}

pub(crate) fn live() -> usize {
    WATCHERS.len()
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    /// After this no callback runs.
    Unwatched,
    /// Its client is gone, which is told.
    Disconnected,
}

/// What a handle of a watcher stands for.
struct Watcher {
    core: Mutex<locker_core::Watcher>,
    client: Arc<Client>,
    ended: watch::Sender<Option<End>>,
    /// How its callbacks end; `None` when events are pulled.
    told: Option<Ending>,
}

impl Watcher {
    fn start(client: locker_client, name: &str, options: Given<locker_watch_options>) -> Result<locker_watcher, Fail> {
        let client = CLIENTS.get(client.id)?;
        let (core, name) = (client.core.clone(), name.to_owned());
        let core = client.runtime.call(None, async move { core.watch(name).await })?;
        let line = match options.fields.on_event {
            None => None,
            on_event => Some(client.line(Callback::new(on_event, options.user_data))?),
        };
        let (core, ended, told) = (Mutex::new(core), watch::Sender::new(None), line.as_ref().map(Line::ending));
        let watcher = Arc::new(Watcher { core, client, ended, told });
        let adopted = watcher.client.adopt(&WATCHERS, &watcher).inspect_err(|_| watcher.silence());
        let handle = locker_watcher { id: adopted? };
        if let Some(line) = line {
            watcher.client.runtime.spawn(tell_events(watcher.clone(), line));
        }
        Ok(handle)
    }

    /// See `Ending::cut`.
    fn silence(&self) {
        if let Some(told) = &self.told {
            told.cut();
        }
    }

    /// The next event; `None` when the watcher has ended, and then for ever.
    async fn next(&self) -> Option<locker_core::Result<Arc<Info>>> {
        let mut ended = self.ended.subscribe();
        tokio::select! {
            biased;
            _ = ended.wait_for(Option::is_some) => None,
            event = async { self.core.lock().await.next().await } => event,
        }
    }

    fn pull(self: Arc<Self>, limit: Option<Duration>) -> Result<Arc<Info>, Fail> {
        if self.told.is_some() {
            return Err(Fail::invalid("watcher has an on_event, which gets its events"));
        }
        let changed = |next: Option<Option<locker_core::Result<_>>>| match next {
            Some(Some(event)) => event.map_err(Fail::from),
            Some(None) => Err(Fail::cancelled("the watcher has ended")),
            None => Err(Fail::new(locker_code::LOCKER_TIMEOUT, "the lock has not changed hands")),
        };
        if limit == Some(Duration::ZERO) {
            // A timer would take a millisecond.
            return changed(parked(Some(Instant::now()), self.next()));
        }
        let runtime = self.client.runtime.clone();
        // The limit is kept in there: an event must not be read for a caller that has gone.
        runtime.call(None, async move {
            changed(match limit {
                None => Some(self.next().await),
                Some(limit) => tokio::time::timeout(limit, self.next()).await.ok(),
            })
        })
    }
}

impl Member for Watcher {
    fn end(&self, id: u64) {
        let _ = WATCHERS.take(id);
        self.ended.send_replace(Some(End::Disconnected));
        self.silence();
    }

    fn ending(&self) -> Option<Ending> {
        self.told.clone()
    }
}

async fn tell_events(watcher: Arc<Watcher>, line: Line<locker_event_fn>) {
    let mut last = false;
    while !last {
        let gone = || Err(Fail::cancelled("the client was disconnected"));
        let event = watcher.next().await.map_or_else(gone, |event| event.map_err(Fail::from));
        last = event.is_err();
        let event = event.map(|info| locker_info::from(&*info)).map_err(|fail| locker_error::from(&fail));
        let watcher = watcher.clone();
        let tell = move |on_event: &Callback<locker_event_fn>| {
            let wanted = *watcher.ended.borrow() != Some(End::Unwatched);
            if wanted {
                on_event.call(event.as_ref());
            }
            wanted
        };
        line.tell(tell).await;
    }
}
