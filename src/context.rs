//! What all parts of one client share.

use crate::clock::Clock;
use crate::commit::Commit;
use crate::history::History;
use crate::info::Record;
use crate::key::Keys;
use crate::leases::{Granted, Leases, Left};
use crate::line::Lines;
use crate::store::Store;
use crate::views::{Closed, Views};
use crate::{Error, ErrorKind, Loss, Result};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

/// A client's insides. Its lease is revoked when the last one who holds it goes.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: Keys,
    pub(crate) timeout: Duration,
    pub(crate) leases: Arc<Leases>,
    pub(crate) views: Arc<Views>,
    pub(crate) runtime: Handle,
    pub(crate) lines: Lines,
    me: Identity,
}

/// Who we are to those who find a lock busy.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) program: String,
}

impl Context {
    /// Must be called within the runtime on which the client will live.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        keys: Keys,
        ttl: Duration,
        timeout: Duration,
        me: Identity,
    ) -> Arc<Self> {
        let runtime = Handle::current();
        let history = History::new(Arc::new(Commit::new(store)), keys.probe());
        let store: Arc<dyn Store> = Arc::new(history.clone());
        let leases = Leases::new(store.clone(), clock.clone(), keys.clone(), ttl, timeout, runtime.clone());
        let views = Views::new(store.clone(), clock, runtime.clone());
        runtime.spawn(end_with(history, leases.clone(), Arc::downgrade(&views)));
        Arc::new(Context { store, keys, timeout, leases, views, lines: Lines::default(), runtime, me })
    }

    /// When a request to etcd that is made now has to be answered.
    pub(crate) fn by(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// What a key of ours says; `since` in milliseconds since 1970.
    pub(crate) fn record(&self, value: Option<String>, reason: String, since: u64) -> Record {
        Record {
            v: 1,
            value: value.unwrap_or_else(|| format!("{}:{}", self.me.host, self.me.pid)),
            host: self.me.host.clone(),
            pid: self.me.pid,
            program: self.me.program.clone(),
            reason,
            since,
            unknown: Default::default(),
        }
    }

    /// Fails with `Cancelled` after `close`.
    pub(crate) fn check_open(&self) -> Result<()> {
        self.leases.check_open()
    }

    /// What `answer` brings, or `Cancelled` as soon as the client has ended.
    pub(crate) async fn unless_closed<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! { biased;
            error = self.views.wait_closed() => Err(error),
            answer = answer => answer,
        }
    }

    /// Ends everything here in the call; what it returns waits until etcd has confirmed the end of the lease, which goes
    /// on when that is dropped.
    pub(crate) fn close(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        let disconnected = || Closed::Disconnected.to_error();
        self.views.close(Closed::Disconnected);
        let (left, leases, by) = (self.leases.close(disconnected(), disconnected()), self.leases.clone(), self.by());
        let revoked = match left {
            Left::Nothing => None,
            Left::Lease(lease) => Some(self.runtime.spawn(async move { leases.revoke(&lease).await })),
            Left::Grant(granted) => Some(self.runtime.spawn(revoked(granted, by))),
        };
        async move {
            let Some(revoked) = revoked else { return Ok(()) };
            revoked.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Cancelled, "the runtime is shutting down")))
        }
    }
}

/// Waits until a grant that was under way has come to its end.
async fn revoked(mut granted: Granted, by: Instant) -> Result<()> {
    match timeout_at(by, granted.wait_for(Option::is_some)).await {
        Ok(Ok(end)) => match &*end {
            Some(Err(error)) if error.kind() != ErrorKind::Cancelled => Err(error.clone()),
            _ => Ok(()),
        },
        _ => Err(Error::new(ErrorKind::Unavailable, "etcd has not confirmed the end of the lease")),
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let disconnected = Closed::Disconnected.to_error();
        self.leases.close_behind(disconnected.clone(), disconnected);
    }
}

pub(crate) fn millis_since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// Ends what a client has when etcd's history goes back; ends itself when the client does.
async fn end_with(history: History, leases: Arc<Leases>, views: Weak<Views>) {
    let Some(mut closed) = views.upgrade().map(|views| views.closed()) else { return };
    let why = tokio::select! { biased;
        why = history.broken() => why,
        _ = closed.wait_for(Option::is_some) => return,
    };
    warn!(reason = %why, "all locks are lost");
    // It may still be there, with keys of which we know nothing good.
    leases.close_behind(why.clone(), Error::lost(Loss::WentBack, why.to_string()));
    if let Some(views) = views.upgrade() {
        views.close(Closed::Broken(why));
    }
}

impl Identity {
    /// This process. Long names are cut.
    pub(crate) fn of_this_process(program: Option<String>) -> Self {
        let uname = rustix::system::uname();
        Identity {
            host: cut(uname.nodename().to_string_lossy().into_owned()),
            pid: std::process::id(),
            program: cut(program.unwrap_or_else(program_name)),
        }
    }
}

fn program_name() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    std::path::Path::new(&path).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(255));
    text.retain(|c| c != '\0');
    text
}
