//! A connection to an etcd cluster.

use crate::clock::MachineClock;
use crate::context::{Context, Identity};
use crate::etcd::{Access, Cluster};
use crate::key::Keys;
use crate::queue::Queue;
use crate::store::{Fault, Range, Store};
use crate::{Error, ErrorKind, Guard, Info, Lock, Result, Watcher};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The shortest time to live that etcd grants with its default election timeout of 1 s.
const LEAST_TTL: Duration = Duration::from_secs(2);
/// Longer than anybody means.
const ABSURD: Duration = Duration::from_secs(365 * 86_400);

/// A connection to an etcd cluster. Cloning it is cheap and shares the connection. When the last clone and the last
/// guard have gone, its lease is revoked behind; [`disconnect`](Client::disconnect) waits for that.
#[derive(Clone)]
pub struct Client {
    context: Arc<Context>,
}

impl Client {
    /// Connects to the cluster at `endpoints`, a comma-separated list of URLs such as `http://127.0.0.1:2379`.
    /// Each names a port; without a scheme it is http, or https if TLS files are given.
    ///
    /// Awaiting the result succeeds once one endpoint has answered. Fails with `Invalid` (an endpoint or option is
    /// wrong), `Unavailable` (no endpoint answered within [`timeout`](Connect::timeout); the message names the one that was
    /// asked last) or `Denied`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up: its connections are closed. Nothing was made in etcd.
    pub fn connect(endpoints: impl Into<String>) -> Connect {
        Connect {
            endpoints: endpoints.into(),
            prefix: "/locker/".into(),
            ttl: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            program: None,
            access: Access::default(),
        }
    }

    /// Acquires the lock `name`, first come first served: add options, then await it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> locker::Result<()> {
    /// # let etcd = locker_harness::Etcd::start();
    /// # let client = locker::Client::connect(etcd.endpoint()).await?;
    /// use std::time::Duration;
    ///
    /// let guard = client.lock("db-migrate").value("node-3").timeout(Duration::from_secs(5)).await?;
    /// assert_eq!(client.get("db-migrate").await?.token, guard.token());
    /// guard.unlock().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, at any point, gives up: the place in the queue is left behind the call, and a lock that has come
    /// meanwhile is given back. Nobody holds it then.
    pub fn lock(&self, name: impl Into<String>) -> Lock {
        Lock::new(self.context.clone(), name.into())
    }

    /// Acquires all these locks or none, in one request and with one token: add options, then await it. It is held once
    /// it is the first in all their queues; its guard ends as a whole, also when only one of the locks is lost.
    ///
    /// Two such requests never wait for each other, however their names overlap: where both want a lock, the earlier is
    /// before the later. That holds for names in one request. Who holds a guard and asks for more may wait for ever, as
    /// with any lock.
    ///
    /// At most 60 names, none of them twice: else [`Invalid`](crate::ErrorKind::Invalid).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> locker::Result<()> {
    /// # let etcd = locker_harness::Etcd::start();
    /// # let client = locker::Client::connect(etcd.endpoint()).await?;
    /// let transfer = client.lock_all(["account/4711", "account/815"]).await?;
    /// assert_eq!(client.get("account/815").await?.token, transfer.token());
    /// transfer.unlock().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As of [`lock`](Client::lock), for all of them together.
    pub fn lock_all(&self, names: impl IntoIterator<Item = impl Into<String>>) -> Lock {
        Lock::all(self.context.clone(), names.into_iter().map(Into::into).collect())
    }

    /// Acquires the lock if nobody holds it; `None` if somebody does. Nothing has been in the queue then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up: a lock that has come meanwhile is given back behind the call.
    pub async fn try_lock(&self, name: impl Into<String>) -> Result<Option<Guard>> {
        match self.lock(name).timeout(Duration::ZERO).await {
            Ok(guard) => Ok(Some(guard)),
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Who holds the lock `name`, from memory: where this client watches the lock or waits for it, what is known from that.
    /// `None` where nothing is: then [`get`](Client::get) asks etcd, and [`watch`](Client::watch) makes it known from now
    /// on. It waits for nothing and asks nobody: call it as often as you like.
    ///
    /// What it tells was so at its [`revision`](Info::revision), which never goes back, and is behind by what is on its way.
    /// It is never more than 10 s old, by a clock that goes on while the machine sleeps: while the lock is watched, etcd is
    /// asked every 5 s whether the watch tells the truth. When the connection to etcd breaks, this is `None` at once; when
    /// etcd falls silent, within these 10 s; and in both cases until the watch has come to the present again.
    ///
    /// Where nobody watches or waits any more, what was known is forgotten within half a minute. A guard that is held makes
    /// nothing known.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> locker::Result<()> {
    /// # let etcd = locker_harness::Etcd::start();
    /// # let client = locker::Client::connect(etcd.endpoint()).await?;
    /// assert_eq!(client.cached("leader"), None); // nobody watches it here
    /// let mut watcher = client.watch("leader").await?;
    /// watcher.next().await;
    /// assert_eq!(client.cached("leader").unwrap().token, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn cached(&self, name: impl AsRef<str>) -> Option<Arc<Info>> {
        self.context.views.cached(name.as_ref())
    }

    /// Reads who holds the lock `name`. A free lock is an [`Info`] with token 0.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn get(&self, name: impl AsRef<str>) -> Result<Info> {
        let queue = self.queue(name.as_ref())?;
        self.context.unless_closed(queue.holder()).await
    }

    /// Watches who holds the lock `name`: first the present holder, then each change. The [`Watcher`] is a stream.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> locker::Result<()> {
    /// # let etcd = locker_harness::Etcd::start();
    /// # let client = locker::Client::connect(etcd.endpoint()).await?;
    /// let mut watcher = client.watch("leader").await?;
    /// let guard = client.lock("leader").value("10.0.0.7:80").await?;
    /// while let Some(info) = watcher.next().await {
    ///     let info = info?;
    ///     if info.held() {
    ///         assert_eq!((&*info.value, info.token), ("10.0.0.7:80", guard.token()));
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up: what was begun of the watch ends by itself within half a minute.
    pub async fn watch(&self, name: impl Into<String>) -> Result<Watcher> {
        let name = name.into();
        let view = self.queue(&name)?.view();
        let holders = self.context.unless_closed(view.watch(self.context.by())).await?;
        Ok(Watcher::new(name, holders))
    }

    /// Ends all guards and watchers of this client and its lease, in the call: none of its guards comes to hold a lock
    /// after it. Await what it returns to know that etcd has confirmed it, at most for the client's timeout. If that fails
    /// ([`Unavailable`](crate::ErrorKind::Unavailable)), the locks end with their lease. Later calls on this client or its
    /// clones fail with [`Cancelled`](crate::ErrorKind::Cancelled), but for `disconnect`, which has nothing left to do.
    ///
    /// # Cancel safety
    ///
    /// All is over in the call. Dropping the future, also before it was polled, only drops the news: the lease is revoked
    /// behind.
    pub fn disconnect(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        self.context.close()
    }

    /// The limit of what waits for etcd, as given to [`Connect::timeout`].
    pub fn timeout(&self) -> Duration {
        self.context.timeout
    }

    fn queue(&self, name: &str) -> Result<Queue> {
        self.context.check_open()?;
        Queue::new(self.context.clone(), name, None)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A connection to be: add options, then await it.
#[must_use = "it does nothing until awaited"]
#[derive(Clone)]
pub struct Connect {
    endpoints: String,
    prefix: String,
    ttl: Duration,
    timeout: Duration,
    program: Option<String>,
    access: Access,
}

impl Connect {
    /// Put before every key. Default: `/locker/`. May be empty: that is how one shares a name with `etcdctl lock NAME`.
    /// With a prefix `P/` that is not empty, a lock `P` of those whose prefix is empty is busy while this client lives.
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
        self.access.user = Some((name.into(), password.into()));
        self
    }

    /// A PEM file with the certificate authorities to trust, in place of the system's.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.access.ca_file = Some(path.into());
        self
    }

    /// A PEM file with the client's certificate chain. It needs a [`key_file`](Connect::key_file).
    pub fn cert_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.access.cert_file = Some(path.into());
        self
    }

    /// A PEM file with the key of the [`cert_file`](Connect::cert_file).
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.access.key_file = Some(path.into());
        self
    }

    /// What others see as [`Info::program`]. Default: the name under which this process was started.
    pub fn program(mut self, name: impl Into<String>) -> Self {
        self.program = Some(name.into());
        self
    }

    fn check(&self) -> Result<()> {
        check_time("ttl", self.ttl, LEAST_TTL)?;
        check_time("timeout", self.timeout, Duration::from_millis(1))?;
        match &self.access.user {
            Some((name, _)) if name.is_empty() => Err(Error::invalid("user name is empty")),
            _ => Ok(()),
        }
    }

    async fn connect(self) -> Result<Client> {
        self.check()?;
        let keys = Keys::new(self.prefix)?;
        // etcd counts whole seconds.
        let ttl = Duration::from_secs(self.ttl.as_secs() + u64::from(self.ttl.subsec_nanos() > 0));
        let by = Instant::now() + self.timeout;
        let cluster = Cluster::open(&self.endpoints, &self.access, ttl, by).await?;
        // Whoever may not read under the prefix is told now and not at the first lock.
        let probe = cluster.range(Range::key(keys.probe()), by).await;
        probe.map_err(Fault::into_error).map_err(with_hint)?;
        tokio::spawn(cluster.clone().watch_out(Instant::now() + self.timeout));
        let me = Identity::of_this_process(self.program);
        let context = Context::new(Arc::new(cluster), Arc::new(MachineClock), keys, ttl, self.timeout, me);
        Ok(Client { context })
    }
}

impl IntoFuture for Connect {
    type Output = Result<Client>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Client>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.connect())
    }
}

/// Without the password.
impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("endpoints", &self.endpoints)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// Asks whether it is a matter of TLS where a first connection broke as it then does: who knows etcd to work sees what is
/// wrong, and who knows nothing of TLS would not.
fn with_hint(error: Error) -> Error {
    let text = error.to_string();
    // In the words of HTTP/2 or of the system, which begin it in lower or in upper case.
    let ended_by = |how: &str| text.contains(how) || text.contains("onnection reset");
    match text.contains("https://") {
        false if ended_by("broken pipe") => error.hinted("does it speak TLS? Its address then begins with https://"),
        true if ended_by("tls handshake eof") => {
            error.hinted("does it speak no TLS? Its address then begins with http://")
        }
        _ => error,
    }
}

fn check_time(argument: &str, time: Duration, least: Duration) -> Result<()> {
    match time {
        _ if time < least => Err(Error::invalid(format!("{argument} is too short: {time:?} of at least {least:?}"))),
        _ if time > ABSURD => Err(Error::invalid(format!("{argument} is too long: {time:?} of at most a year"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_connection_that_breaks_as_between_tls_and_none_is_asked_about() {
        let broken = "transport error: connection error: stream closed because of a broken pipe";
        for (message, hint) in [
            (format!("at http://x:1: {broken}"), " (does it speak TLS? Its address then begins with https://)"),
            (format!("at https://x:1: {broken}"), ""),
            (
                "at https://x:1: tls handshake eof".into(),
                " (does it speak no TLS? Its address then begins with http://)",
            ),
            (
                "at http://x:1: transport error: connection reset".into(),
                " (does it speak TLS? Its address then begins with https://)",
            ),
            (
                "at https://x:1: Connection reset by peer (os error 104)".into(),
                " (does it speak no TLS? Its address then begins with http://)",
            ),
            ("at http://x:1: no answer in time".into(), ""),
        ] {
            let told = with_hint(Error::new(ErrorKind::Unavailable, &*message)).to_string();
            assert_eq!(told, message + hint);
        }
    }
}
