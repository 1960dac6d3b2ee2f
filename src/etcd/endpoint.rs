//! One endpoint: its address, its channel, its credentials, and how well it answers.

use super::classify::{Failure, Verdict, classify};
use super::tls::Access;
use crate::{Error, ErrorKind, Result};
use etcd_client::{Channel, Client, ConnectOptions, KvClient, LeaseClient, MaintenanceClient, WatchClient};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tonic::transport::{ClientTlsConfig, Endpoint as Address};

/// One answer may be as large as a queue of some ten thousand; gRPC's default of 4 MiB is not.
const LARGEST_MESSAGE: usize = 64 << 20;
/// How long a connection may take to come up, TLS included, before it is tried anew.
const CONNECT: Duration = Duration::from_secs(2);
/// HTTP/2 pings: etcd closes connections that ping more often than every 5 s. Dead endpoints are found by the time
/// limit of each attempt; these pings only find connections that died while nothing was asked.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
/// For how long an endpoint that did not answer is passed over: doubled from the first to the last with each failure.
const EJECTION: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

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
        let address = Address::from_shared(url.clone()).map_err(|error| invalid(&url, error))?;
        if address.uri().host().is_none_or(str::is_empty) {
            return Err(invalid(&url, "it names no host"));
        }
        let port = address.uri().authority().and_then(|authority| authority.as_str().rsplit_once(':'));
        if port.is_some_and(|(_, port)| !port.ends_with(']')) && address.uri().port_u16().is_none() {
            return Err(invalid(&url, "its port is not a number up to 65535"));
        }
        if address.uri().port_u16().is_none() {
            // The web's, 80 or 443, is hardly ever meant.
            return Err(invalid(&url, "it names no port; that of etcd is usually 2379"));
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

    pub(crate) fn is_secure(&self) -> bool {
        self.url.starts_with("https://")
    }

    /// Has its connections use TLS. May read the system's certificates.
    pub(crate) fn secure(&mut self, config: &ClientTlsConfig) -> Result<(), tonic::transport::Error> {
        self.address = self.address.clone().tls_config(config.clone())?;
        Ok(())
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

/// Authenticating repeats nothing by itself: whatever failed, the call that needed it was not sent.
fn authentication_failed(error: etcd_client::Error) -> Failure {
    let failure = classify(error);
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
