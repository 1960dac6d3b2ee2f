//! A connection to an etcd cluster.

use crate::{Guard, Info, Lock, Result, Watcher};
use std::future::{Future, IntoFuture};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

/// A connection to an etcd cluster. Cloning it is cheap and shares the connection.
#[derive(Clone, Debug)]
pub struct Client {}

impl Client {
    /// Connects to the cluster at `endpoints`, a comma-separated list of URLs such as `http://127.0.0.1:2379`.
    ///
    /// Awaiting the result succeeds once one endpoint has answered. Fails with `Invalid` (an endpoint or option is
    /// wrong), `Unavailable` (no endpoint answered within [`timeout`](Connect::timeout); the message names them) or
    /// `Denied`.
    pub fn connect(endpoints: impl Into<String>) -> Connect {
        Connect {
            endpoints: endpoints.into(),
            prefix: "/locker/".into(),
            ttl: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            user: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
        }
    }

    /// Acquires the lock `name`, first come first served: add options, then await it.
    pub fn lock(&self, name: impl Into<String>) -> Lock {
        let _ = name;
        todo!()
    }

    /// Acquires the lock if nobody holds it; `None` if somebody does. Nothing is left in the queue then.
    pub async fn try_lock(&self, name: impl Into<String>) -> Result<Option<Guard>> {
        let _ = name;
        todo!()
    }

    /// Reads who holds the lock `name`. A free lock is an [`Info`] with token 0.
    pub async fn get(&self, name: impl Into<String>) -> Result<Info> {
        let _ = name;
        todo!()
    }

    /// Watches who holds the lock `name`: first the present holder, then each change.
    pub async fn watch(&self, name: impl Into<String>) -> Result<Watcher> {
        let _ = name;
        todo!()
    }

    /// Ends all guards and watchers of this client and its lease, and waits until etcd has confirmed it, at most for
    /// the client's timeout. If that fails ([`Unavailable`](crate::ErrorKind::Unavailable)), the locks end with their
    /// lease. Later calls on this client or its clones fail with [`Cancelled`](crate::ErrorKind::Cancelled).
    pub async fn disconnect(&self) -> Result<()> {
        todo!()
    }

    /// The limit of one request to etcd, as given to [`Connect::timeout`].
    pub fn timeout(&self) -> Duration {
        todo!()
    }
}

/// A connection to be: add options, then await it.
#[must_use = "it does nothing until awaited"]
#[derive(Clone)]
#[allow(dead_code)]
pub struct Connect {
    endpoints: String,
    prefix: String,
    ttl: Duration,
    timeout: Duration,
    user: Option<(String, String)>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

impl Connect {
    /// Put before every key. Default: `/locker/`. May be empty: that is how one shares a name with `etcdctl lock NAME`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a dead process keeps its locks, in whole seconds from 2 s on (etcd's least); a fraction is rounded up.
    /// Default: 10 s. Below 6 s a change of etcd's leader may cost held locks.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// The limit of everything that waits for etcd (not for another holder). Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Name and password of an etcd user. Default: none.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some((name.into(), password.into()));
        self
    }

    /// A PEM file with the certificate authorities to trust, in place of the system's.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// PEM files with the client's certificate chain and its key.
    pub fn cert_files(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.cert_file = Some(cert.into());
        self.key_file = Some(key.into());
        self
    }
}

impl IntoFuture for Connect {
    type Output = Result<Client>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Client>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        todo!()
    }
}
