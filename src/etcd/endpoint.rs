//! One endpoint: its address, its channel, its credentials, and how well it answers.

use super::classify::{Failure, Verdict, classify};
use crate::{Error, ErrorKind, Result};
use etcd_client::{Channel, Client, ConnectOptions, KvClient, LeaseClient, MaintenanceClient, WatchClient};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint as Address, Identity};

/// One answer may be as large as a queue of some ten thousand; gRPC's default of 4 MiB is not.
const LARGEST_MESSAGE: usize = 64 << 20;
/// How long a connection may take to come up, TLS included, before it is tried anew.
const CONNECT: Duration = Duration::from_secs(2);
/// HTTP/2 pings: etcd closes connections that ping more often than every 5 s. Dead endpoints are found by the time
/// limit of each attempt; these pings only find connections that died while nothing was asked.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
/// For how long an endpoint that did not answer is passed over: doubled from the first to the last with each failure.
const EJECTION: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Who we are to etcd, and whom we trust.
#[derive(Clone, Default)]
pub(crate) struct Access {
    pub(crate) user: Option<(String, String)>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
}

/// The stubs of one connection.
pub(crate) struct Stubs {
    pub(crate) kv: KvClient,
    pub(crate) lease: LeaseClient,
    pub(crate) watch: WatchClient,
    pub(crate) maintenance: MaintenanceClient,
}

pub(crate) struct Endpoint {
    pub(crate) url: String,
    address: Address,
    user: Option<(String, String)>,
    /// Made at the first use, since that may have to authenticate; made anew when it is of no more use.
    stubs: tokio::sync::Mutex<Option<Arc<Stubs>>>,
    health: Mutex<Health>,
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
    /// Fails with `Invalid` if the address or a TLS file is of no use.
    pub(crate) fn new(url: &str, access: &Access) -> Result<Self> {
        let tls = [&access.ca_file, &access.cert_file, &access.key_file].into_iter().any(Option::is_some);
        let url = match url {
            _ if url.starts_with("http://") || url.starts_with("https://") => url.to_string(),
            _ if url.contains("://") => return Err(invalid(url, "its scheme is neither http nor https")),
            _ if tls => format!("https://{url}"),
            _ => format!("http://{url}"),
        };
        if url.contains('@') {
            // Not said which: it may hold a password.
            return Err(Error::invalid("endpoints: a user and a password do not belong there but into options"));
        }
        if tls && url.starts_with("http://") {
            return Err(invalid(&url, "TLS files were given for an endpoint without TLS: write https://"));
        }
        let mut address = Address::from_shared(url.clone()).map_err(|error| invalid(&url, error))?;
        if address.uri().host().is_none_or(str::is_empty) {
            return Err(invalid(&url, "it names no host"));
        }
        let port = address.uri().authority().and_then(|authority| authority.as_str().rsplit_once(':'));
        if port.is_some_and(|(_, port)| !port.ends_with(']')) && address.uri().port_u16().is_none() {
            return Err(invalid(&url, "its port is not a number up to 65535"));
        }
        if url.starts_with("https://") {
            address = address.tls_config(tls_config(access)?).map_err(|error| tls_error(&url, access, error))?;
        }
        let address = address
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(PING.0))
            .http2_keep_alive_interval(PING.0)
            .keep_alive_timeout(PING.1)
            .keep_alive_while_idle(false)
            .user_agent(concat!("locker/", env!("CARGO_PKG_VERSION")))
            .map_err(|error| invalid(&url, error))?;
        Ok(Endpoint { url, address, user: access.user.clone(), stubs: Default::default(), health: Default::default() })
    }

    /// The stubs, connected lazily. Waits only if there is a user to authenticate.
    pub(crate) async fn stubs(&self) -> Result<Arc<Stubs>, Failure> {
        let mut slot = self.stubs.lock().await;
        if let Some(stubs) = &*slot {
            return Ok(stubs.clone());
        }
        let mut options = ConnectOptions::new().with_require_leader(true).with_auto_token_refresh(true);
        if let Some((name, password)) = &self.user {
            options = options.with_user(name, password);
        }
        let channel = Channel::Tonic(self.address.connect_lazy());
        let client = Client::from_channel(channel, Some(options)).await.map_err(authentication_failed)?;
        let stubs = Arc::new(Stubs {
            kv: client.kv_client().max_decoding_message_size(LARGEST_MESSAGE),
            lease: client.lease_client(),
            watch: client.watch_client().max_decoding_message_size(LARGEST_MESSAGE),
            maintenance: client.maintenance_client(),
        });
        *slot = Some(stubs.clone());
        Ok(stubs)
    }

    /// Has the next call make a new connection and authenticate anew, unless that has been done since `old` was got.
    pub(crate) async fn renew(&self, old: &Arc<Stubs>) {
        let mut slot = self.stubs.lock().await;
        if slot.as_ref().is_some_and(|now| Arc::ptr_eq(now, old)) {
            *slot = None;
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

/// Authenticating repeats nothing by itself: whatever failed, the call that needed it was not sent.
fn authentication_failed(error: etcd_client::Error) -> Failure {
    let failure = classify(error);
    match failure.verdict {
        Verdict::Refused | Verdict::NotHere => failure,
        _ => Failure { verdict: Verdict::NotDone, ..failure },
    }
}

fn tls_config(access: &Access) -> Result<ClientTlsConfig> {
    let mut tls = ClientTlsConfig::new();
    tls = match &access.ca_file {
        Some(path) => tls.ca_certificate(Certificate::from_pem(pem("ca_file", path, "CERTIFICATE")?)),
        None => tls.with_native_roots(),
    };
    match (&access.cert_file, &access.key_file) {
        (Some(cert), Some(key)) => Ok(tls.identity(Identity::from_pem(
            pem("cert_file", cert, "CERTIFICATE")?,
            pem("key_file", key, "PRIVATE KEY")?,
        ))),
        (None, None) => Ok(tls),
        (Some(_), None) => Err(Error::invalid("cert_file is given without key_file")),
        (None, Some(_)) => Err(Error::invalid("key_file is given without cert_file")),
    }
}

/// Reads a PEM file and makes sure that it is one: rustls takes an empty one without a word, and then trusts nobody.
fn pem(argument: &str, path: &Path, holds: &str) -> Result<Vec<u8>> {
    let text = std::fs::read(path)
        .map_err(|error| Error::invalid(format!("{argument} {}: {error}", path.display())).with_source(error))?;
    match String::from_utf8_lossy(&text).contains(&format!("{holds}-----")) {
        true => Ok(text),
        false => Err(Error::invalid(format!("{argument} {}: there is no {holds} in it", path.display()))),
    }
}

fn tls_error(url: &str, access: &Access, error: tonic::transport::Error) -> Error {
    let files = [&access.ca_file, &access.cert_file, &access.key_file];
    let names: Vec<_> = files.into_iter().flatten().map(|path| path.display().to_string()).collect();
    if names.is_empty() {
        return invalid(url, error);
    }
    Error::invalid(format!("ca_file, cert_file or key_file ({}) is of no use: {error}", names.join(", ")))
        .with_source(error)
}

fn invalid(url: &str, why: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, format!("endpoints: {url}: {why}"))
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).finish_non_exhaustive()
    }
}
