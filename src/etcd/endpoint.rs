//! One endpoint: its address, its connection, its credentials, and how well it answers.

use super::channel::Channel;
use super::classify::{Failure, Verdict, classify, classify_status};
use super::connection::{Address, Connection};
use super::proto::{AuthenticateRequest, AuthenticateResponse};
use super::rpc::{self, Caller, LARGEST_MESSAGE, Method, Origin};
use super::tls::Access;
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use etcd_client::{Client, ConnectOptions, LeaseClient, MaintenanceClient, WatchClient};
use http::uri::Scheme;
use http::{HeaderValue, Uri};
use prost::Message;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_rustls::rustls::ClientConfig;
use tonic::{ConnectError, Status};
use tower::util::BoxCloneSyncService;

/// For how long an endpoint that did not answer is passed over: doubled from the first to the last with each failure.
const EJECTION: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// How long an etcd may take to check a password: it does so on purpose, and one after the other.
const AUTHENTICATE: Duration = Duration::from_secs(30);

/// The ways to ask over one connection, as one user.
pub(crate) struct Stubs {
    caller: Caller,
    pub(crate) lease: LeaseClient,
    pub(crate) watch: WatchClient,
    pub(crate) maintenance: MaintenanceClient,
    connection: Connection,
}

pub(crate) struct Endpoint {
    pub(crate) url: String,
    address: Arc<Address>,
    origin: Origin,
    user: Option<(String, String)>,
    /// On which connections live: that of the first call.
    runtime: OnceLock<Handle>,
    /// What there is now.
    now: Mutex<Now>,
    /// What is being made: by one call for all that wait for it, and it goes on when that one gives up. An etcd takes long to
    /// check a password; who asks again and again has it do nothing else.
    making: tokio::sync::Mutex<Making>,
    health: Mutex<Health>,
}

/// Made at the first use, and made anew when it is of no more use.
#[derive(Default)]
struct Now {
    stubs: Option<Arc<Stubs>>,
    /// Survives its connection, and the other way round.
    token: Option<HeaderValue>,
    connection: Option<Connection>,
}

#[derive(Default)]
struct Making {
    connection: JoinSet<Result<Connection, ConnectError>>,
    token: JoinSet<Result<HeaderValue, Failure>>,
}

#[derive(Default)]
struct Health {
    ejected_until: Option<Instant>,
    /// How often in a row it did not answer.
    failures: u32,
    /// The usual round trip of either kind of call, smoothed.
    round_trips: [Duration; 2],
}

/// What the time of a call depends on: on the network alone, or on the disks of the cluster, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Look,
    Write,
}

impl Endpoint {
    /// The endpoints of a comma-separated list of URLs. Those of `https` are of use after [`secure`](Self::secure).
    pub(crate) fn list(urls: &str, access: &Access) -> Result<Vec<Self>> {
        let urls = urls.split(',').map(str::trim).filter(|url| !url.is_empty());
        let endpoints = urls.map(|url| Endpoint::new(url, access)).collect::<Result<Vec<_>>>()?;
        match endpoints.is_empty() {
            true => Err(Error::invalid("endpoints is empty")),
            false => Ok(endpoints),
        }
    }

    /// Fails with `Invalid` if the address is of no use.
    fn new(url: &str, access: &Access) -> Result<Self> {
        let files = access.has_files();
        let url = match url.split_once("://") {
            Some((scheme, rest)) if ["http", "https"].contains(&&*scheme.to_ascii_lowercase()) => {
                format!("{}://{rest}", scheme.to_ascii_lowercase())
            }
            Some(_) => return Err(invalid(url, "its scheme is neither http nor https")),
            None if files => format!("https://{url}"),
            None => format!("http://{url}"),
        };
        if url.contains('@') {
            // Not said which: it may hold a password.
            return Err(Error::invalid("endpoints: a user and a password do not belong there but into options"));
        }
        if files && url.starts_with("http://") {
            return Err(invalid(&url, "TLS files were given for an endpoint without TLS: write https://"));
        }
        let uri: Uri = url.parse().map_err(|error| invalid(&url, error))?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| invalid(&url, "it names no host"))?;
        let authority = uri.authority().cloned().ok_or_else(|| invalid(&url, "it names no host"))?;
        let port = authority.as_str().rsplit_once(':');
        if port.is_some_and(|(_, port)| !port.ends_with(']')) && uri.port_u16().is_none() {
            return Err(invalid(&url, "its port is not a number up to 65535"));
        }
        // The web's, 80 or 443, is hardly ever meant.
        let port = uri.port_u16().ok_or_else(|| invalid(&url, "it names no port; that of etcd is usually 2379"))?;
        let scheme = if url.starts_with("https://") { Scheme::HTTPS } else { Scheme::HTTP };
        Ok(Endpoint {
            address: Arc::new(Address::new(host, port)),
            origin: Origin { scheme, authority },
            url,
            user: access.user.clone(),
            runtime: OnceLock::new(),
            now: Default::default(),
            making: Default::default(),
            health: Default::default(),
        })
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.origin.scheme == Scheme::HTTPS
    }

    /// Has its connections use TLS.
    pub(crate) fn secure(&mut self, config: Arc<ClientConfig>) -> Result<()> {
        let address = Arc::get_mut(&mut self.address).expect("it is not in use yet");
        address.secure(config).map_err(|error| invalid(&self.url, error))
    }

    /// The stubs, of a connection that is up.
    pub(crate) async fn stubs(&self) -> Result<Arc<Stubs>, Failure> {
        if let Some(stubs) = self.present() {
            return Ok(stubs);
        }
        let mut making = self.making.lock().await;
        // Somebody else may have made them meanwhile.
        if let Some(stubs) = self.present() {
            return Ok(stubs);
        }
        let (connection, token) = {
            let now = self.now();
            (now.connection.clone().filter(Connection::is_open), now.token.clone())
        };
        let connection = match connection {
            Some(connection) => connection,
            None => {
                let connection = self.connect(&mut making.connection).await.map_err(cannot_connect)?;
                self.now().connection = Some(connection.clone());
                connection
            }
        };
        let token = match (&self.user, token) {
            (Some(user), None) => Some(self.authenticate(&mut making.token, &connection, user).await?),
            (_, token) => token,
        };
        let stubs = Arc::new(self.make_stubs(connection.clone(), token.clone()).await?);
        *self.now() = Now { stubs: Some(stubs.clone()), token, connection: Some(connection) };
        Ok(stubs)
    }

    fn present(&self) -> Option<Arc<Stubs>> {
        self.now().stubs.clone().filter(|stubs| stubs.connection.is_open())
    }

    async fn connect(
        &self,
        connecting: &mut JoinSet<Result<Connection, ConnectError>>,
    ) -> Result<Connection, ConnectError> {
        let address = self.address.clone();
        let connected = self.make(connecting, async move { address.connect().await }).await;
        connected.unwrap_or_else(|error| Err(ConnectError(error.into())))
    }

    /// What comes of what is being made; if it is not, from now on.
    async fn make<T: Send + 'static>(
        &self,
        making: &mut JoinSet<T>,
        one: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        if making.is_empty() {
            // Always on the same runtime: that of a call may end soon after it.
            making.spawn_on(one, self.runtime.get_or_init(Handle::current));
        }
        making.join_next().await.expect("there is one")
    }

    /// Gets a token. Whatever fails, the call that needs it was not sent.
    async fn authenticate(
        &self,
        authenticating: &mut JoinSet<Result<HeaderValue, Failure>>,
        connection: &Connection,
        (name, password): &(String, String),
    ) -> Result<HeaderValue, Failure> {
        let request = rpc::framed(&AuthenticateRequest { name: name.clone(), password: password.clone() });
        let caller = Caller::new(connection.clone(), &self.origin, None);
        let token = async move {
            let answer = timeout(AUTHENTICATE, caller.call(Method::Authenticate, request)).await;
            let answer = answer.map_or_else(|_| Err(Failure::silence(false)), |told| told.map_err(classify_status));
            let AuthenticateResponse { token } = answer.map_err(not_done)?;
            HeaderValue::try_from(token).map_err(|error| {
                Failure::new(Verdict::NotDone, ErrorKind::Unavailable, format!("a token that is none: {error}"))
            })
        };
        self.make(authenticating, token).await.unwrap_or_else(|_| Err(Failure::silence(false)))
    }

    async fn make_stubs(&self, connection: Connection, token: Option<HeaderValue>) -> Result<Stubs, Failure> {
        let caller = Caller::new(connection.clone(), &self.origin, token.as_ref());
        let channel = Channel { connection: connection.clone(), origin: self.origin.clone(), token };
        let channel = etcd_client::Channel::Custom(BoxCloneSyncService::new(channel));
        let options = ConnectOptions::new().with_require_leader(true);
        let client = Client::from_channel(channel, Some(options)).await.map_err(classify).map_err(not_done)?;
        Ok(Stubs {
            caller,
            lease: client.lease_client(),
            watch: client.watch_client().max_decoding_message_size(LARGEST_MESSAGE),
            maintenance: client.maintenance_client(),
            connection,
        })
    }

    /// Asks, with a message that was framed. What etcd says not to have looked at is asked once more, on a new connection:
    /// so it is when a connection is ended politely.
    pub(super) async fn ask<M: Message + Default>(
        &self,
        stubs: &Stubs,
        method: Method,
        message: &Bytes,
    ) -> Result<M, Failure> {
        let answer = stubs.caller.call(method, message.clone()).await.map_err(classify_status);
        match answer {
            Err(failure) if failure.verdict == Verdict::NotDone && !stubs.connection.is_open() => {
                self.stubs().await?.caller.call(method, message.clone()).await.map_err(classify_status)
            }
            answer => answer,
        }
    }

    /// Has the next call authenticate anew, unless that has been done since `old` was got.
    pub(crate) async fn renew(&self, old: &Arc<Stubs>) {
        let mut now = self.now();
        if now.stubs.as_ref().is_some_and(|stubs| Arc::ptr_eq(stubs, old)) {
            (now.stubs, now.token) = (None, None);
        }
    }

    /// Has the next call make a new connection, unless that has been done since `old` was got.
    pub(crate) fn reconnect(&self, old: &Arc<Stubs>) {
        let mut now = self.now();
        if now.stubs.as_ref().is_some_and(|stubs| Arc::ptr_eq(stubs, old)) {
            (now.stubs, now.connection) = (None, None);
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a failure of a call to it means for who we are there: without a user there is no token that could be stale.
    pub(super) fn interpret(&self, failure: Failure) -> Failure {
        match failure.verdict {
            Verdict::TokenStale if self.user.is_none() => {
                Failure { verdict: Verdict::Refused, error: failure.error.prefixed("it wants a user and a password") }
            }
            _ => failure,
        }
    }

    /// Remembers that it answered, and how long that took if that says anything.
    pub(crate) fn answered(&self, took: Option<(Pace, Duration)>) {
        let mut health = self.health();
        health.ejected_until = None;
        health.failures = 0;
        if let Some((pace, took)) = took {
            let usual = &mut health.round_trips[pace as usize];
            *usual = if usual.is_zero() { took } else { (*usual * 7 + took) / 8 };
        }
    }

    /// Remembers that a round trip takes longer than was thought.
    pub(crate) fn is_slower(&self, pace: Pace, than: Duration) {
        let usual = &mut self.health().round_trips[pace as usize];
        *usual = than.max(*usual);
    }

    /// Remembers that it did not, and passes it over for a while.
    pub(crate) fn failed(&self) {
        let mut health = self.health();
        let ejection = EJECTION.1.min(EJECTION.0 * 2u32.saturating_pow(health.failures));
        health.ejected_until = Some(Instant::now() + ejection);
        health.failures = health.failures.saturating_add(1);
    }

    /// How often in a row it did not answer.
    pub(crate) fn failures(&self) -> u32 {
        self.health().failures
    }

    /// Until when it is passed over; `None`: it is not.
    pub(crate) fn ejected_until(&self) -> Option<Instant> {
        self.health().ejected_until.filter(|until| *until > Instant::now())
    }

    /// The usual round trip; zero before the first.
    pub(crate) fn round_trip(&self, pace: Pace) -> Duration {
        self.health().round_trips[pace as usize]
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cannot_connect(error: ConnectError) -> Failure {
    classify_status(Status::from_error(Box::new(error)))
}

/// The same, where the call that needed it was not sent.
fn not_done(failure: Failure) -> Failure {
    match failure.verdict {
        Verdict::Refused | Verdict::NotHere => failure,
        _ => Failure { verdict: Verdict::NotDone, ..failure },
    }
}

fn invalid(url: &str, why: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, format!("endpoints: {url}: {why}"))
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).finish_non_exhaustive()
    }
}
