//! The views of one client: one for each lock that somebody waits for or watches.

use crate::clock::Clock;
use crate::store::Store;
use crate::view::View;
use crate::{Error, ErrorKind, Info};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep;

/// How long a view is kept after its last user.
const LINGER: Duration = Duration::from_secs(30);

/// How a client has ended.
#[derive(Clone, Debug)]
pub(crate) enum Closed {
    /// As it was told to.
    Disconnected,
    /// For this reason.
    Broken(Error),
}

impl Closed {
    /// What those hear who wait for something of the client.
    pub(crate) fn to_error(&self) -> Error {
        match self {
            Closed::Disconnected => Error::new(ErrorKind::Cancelled, "the client is disconnected"),
            Closed::Broken(error) => error.clone(),
        }
    }
}

/// The views of one client.
#[derive(Debug)]
pub(crate) struct Views {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    /// By the names of their locks.
    open: RwLock<HashMap<String, Arc<View>>>,
    /// Says when the client has ended; dropped with it.
    closed: watch::Sender<Option<Closed>>,
}

impl Views {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, runtime: Handle) -> Arc<Self> {
        Arc::new(Views { store, clock, runtime, open: RwLock::default(), closed: watch::Sender::new(None) })
    }

    /// The view of the lock `name`, whose keys start with `prefix`.
    pub(crate) fn of(self: &Arc<Self>, name: &str, prefix: &str) -> Arc<View> {
        let mut open = self.open();
        if let Some(view) = open.get(name) {
            return view.clone();
        }
        let view = View::new(name, prefix, self.clock.clone());
        open.insert(name.into(), view.clone());
        self.runtime.spawn(run(Arc::downgrade(self), self.store.clone(), self.closed.subscribe(), view.clone()));
        view
    }

    /// The view of the lock `name`, if there is one.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<View>> {
        self.look(name, |view| Some(view.clone()))
    }

    /// Who holds the lock `name`, if a view may tell that as the present.
    pub(crate) fn cached(&self, name: &str) -> Option<Arc<Info>> {
        self.look(name, |view| view.cached())
    }

    fn look<T>(&self, name: &str, what: impl FnOnce(&Arc<View>) -> Option<T>) -> Option<T> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).get(name).and_then(what)
    }

    pub(crate) fn close(&self, how: Closed) {
        self.closed.send_if_modified(|closed| closed.is_none().then(|| *closed = Some(how)).is_some());
        // Their ends are told behind; from now on nobody is to find them.
        self.open().clear();
    }

    /// Tells when the client has ended, or is dropped.
    pub(crate) fn closed(&self) -> watch::Receiver<Option<Closed>> {
        self.closed.subscribe()
    }

    /// Returns when the client has ended, with the reason.
    pub(crate) async fn wait_closed(&self) -> Error {
        let mut closed = self.closed();
        let how = closed.wait_for(Option::is_some).await.expect("the sender lives in self");
        how.as_ref().expect("waited for").to_error()
    }

    /// Whether there is no view of the lock `name`, or there is none any more: nobody used it.
    pub(crate) fn do_without(&self, name: &str) -> bool {
        let Some(view) = self.named(name) else { return true };
        let unused = self.forget_unused(&view, 1);
        if unused {
            view.unwanted.notify_one();
        }
        unused
    }

    /// Forgets a view that nobody has used for long, beside so `many` that ask. Says whether it did.
    fn forget_unused(&self, view: &Arc<View>, many: usize) -> bool {
        let mut open = self.open();
        // One for the map, one for the task that follows it.
        let unused = Arc::strong_count(view) == 2 + many && !view.is_watched();
        if unused {
            open.remove(view.name());
        }
        unused
    }

    fn forget(&self, view: &Arc<View>) {
        let mut open = self.open();
        if open.get(view.name()).is_some_and(|kept| Arc::ptr_eq(kept, view)) {
            open.remove(view.name());
        }
    }

    fn open(&self) -> RwLockWriteGuard<'_, HashMap<String, Arc<View>>> {
        self.open.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The life of a view. It holds no client: when the last one goes, `closed` ends.
async fn run(views: Weak<Views>, store: Arc<dyn Store>, mut closed: watch::Receiver<Option<Closed>>, view: Arc<View>) {
    let mut following = Following { views, view, error: None };
    let error = tokio::select! { biased;
        closed = closed.wait_for(Option::is_some) => match closed.as_deref() {
            Ok(Some(Closed::Broken(error))) => Some(error.clone()),
            _ => None,
        },
        error = following.view.follow(&*store) => Some(error),
        () = until_unused(&following.views, &following.view) => None,
    };
    following.error = error;
}

/// A view that is followed. It ends with this, also when its runtime goes.
struct Following {
    views: Weak<Views>,
    view: Arc<View>,
    error: Option<Error>,
}

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(views) = self.views.upgrade() {
            views.forget(&self.view);
        }
        self.view.end(self.error.take());
    }
}

async fn until_unused(views: &Weak<Views>, view: &Arc<View>) {
    loop {
        tokio::select! { biased;
            () = view.unwanted.notified() => return,
            () = sleep(LINGER) => (),
        }
        if views.upgrade().is_none_or(|views| views.forget_unused(view, 0)) {
            return;
        }
    }
}
