//! The endpoints together: which one to ask, for how long, and what to do when it does not answer.

use super::classify::{Failure, Verdict, classify};
use super::convert;
use super::endpoint::{Endpoint, Pace, Stubs};
use super::keys::{Create, KeyStream, WatchedKeys};
use super::late::{self, Late};
use super::patience::Patience;
use super::proto;
use super::rpc::{self, Method};
use super::stream::{Beats, RunningWatch};
use super::tls::{self, Access};
use super::version;
use crate::store::*;
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use etcd_client::LeaseGrantOptions;
use prost::Message;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, warn};

/// How many calls of one client may be under way, of those that are never repeated and of the others. A thousand at once
/// take etcd longer than an attempt may take: those that wait their turn here are in no doubt. etcd is kept busy by far
/// fewer.
const UNDER_WAY: usize = 100;
/// The pause before a call is tried again when every endpoint has just failed it: doubled from the first to the last.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

/// An etcd cluster, as a handful of endpoints of which we choose one ourselves: we stay with the one that answers.
#[derive(Clone, Debug)]
pub(crate) struct Cluster(Arc<Members>);

#[derive(Debug)]
struct Members {
    endpoints: Vec<Arc<Endpoint>>,
    /// The one we stay with.
    current: AtomicUsize,
    patience: Patience,
    /// Whether etcd is told who we are: then it may refuse.
    known: bool,
    /// Room for calls under way: for those who look or leave, for those who enter, and for beats. None waits for others.
    room: [Semaphore; 3],
}

/// What kind of call it is.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Must not be done twice.
    Enter,
    /// A lease is kept alive.
    Beat,
    /// Goes through etcd's log, and may be done twice.
    Write,
    Look,
}

impl Kind {
    fn pace(self) -> Pace {
        match self {
            Kind::Enter | Kind::Write => Pace::Write,
            Kind::Look | Kind::Beat => Pace::Look,
        }
    }
}

/// An answer, and whether an earlier attempt of the same call had left a doubt.
pub(super) struct Answer<T> {
    pub(super) value: T,
    doubted: bool,
}

/// What came of an attempt.
enum Tried<T, F> {
    Answered(T),
    Failed(Failure),
    /// It takes long, which counts as a failure; it may be answered yet.
    Silent(Failure, late::Attempt<F>),
}

impl Cluster {
    /// `urls` is a comma-separated list; `ttl` that of the leases to come. Waits only for files to be read, until `by`.
    pub(crate) async fn open(urls: &str, access: &Access, ttl: Duration, by: Instant) -> Result<Self> {
        let endpoints = tls::secure(Endpoint::list(urls, access)?, access, by).await?;
        let endpoints: Vec<_> = endpoints.into_iter().map(Arc::new).collect();
        // Clients that start together spread over the members.
        let first = getrandom::u32().unwrap_or(0) as usize % endpoints.len();
        let (current, room) = (AtomicUsize::new(first), [(); 3].map(|()| Semaphore::new(UNDER_WAY)));
        let known = access.user.is_some() || access.cert_file.is_some();
        Ok(Cluster(Arc::new(Members { endpoints, current, patience: Patience::new(ttl), known, room })))
    }

    /// The one to ask now: the one we stayed with, unless it is passed over; then the next that is not; when all are,
    /// the one whose time ends first.
    fn choose(&self) -> Arc<Endpoint> {
        let count = self.0.endpoints.len();
        let current = self.0.current.load(Ordering::Relaxed);
        let in_turn = (0..count).map(|step| (current + step) % count);
        let chosen = in_turn
            .clone()
            .find(|&index| self.0.endpoints[index].ejected_until().is_none())
            .or_else(|| in_turn.min_by_key(|&index| self.0.endpoints[index].ejected_until()))
            .unwrap_or(current);
        self.0.current.store(chosen, Ordering::Relaxed);
        self.0.endpoints[chosen].clone()
    }

    fn room(&self, kind: Kind) -> &Semaphore {
        let [others, enters, beats] = &self.0.room;
        match kind {
            Kind::Enter => enters,
            Kind::Beat => beats,
            Kind::Write | Kind::Look => others,
        }
    }

    /// How many there are.
    fn size(&self) -> usize {
        self.0.endpoints.len()
    }

    /// How long the attempt number `attempt` of a call may take at `endpoint`.
    fn patience(&self, endpoint: &Endpoint, kind: Kind, attempt: usize) -> Duration {
        let usual = endpoint.round_trip(kind.pace());
        match kind {
            Kind::Enter => self.0.patience.with_enter(usual),
            _ => self.0.patience.with(usual, attempt / self.size()),
        }
    }

    /// Tries endpoint after endpoint until `by`.
    async fn call<T, F>(
        &self,
        kind: Kind,
        by: Instant,
        op: impl Fn(Arc<Endpoint>, Arc<Stubs>) -> F,
    ) -> Result<Answer<T>, Fault>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        self.call_and_tell(kind, by, |_| (), op).await
    }

    /// The same, and tells of each failure on the way.
    pub(super) async fn call_and_tell<T, F>(
        &self,
        kind: Kind,
        by: Instant,
        tell: impl Fn(&Error),
        op: impl Fn(Arc<Endpoint>, Arc<Stubs>) -> F,
    ) -> Result<Answer<T>, Fault>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let (mut doubted, mut renewed) = (false, false);
        let mut pause = PAUSE.0;
        let (mut attempt, mut unwanted) = (0, 0);
        let mut late = Late::new(self.0.patience.longest_first());
        loop {
            let room = tokio::select! { biased;
                value = late.answer() => return Ok(Answer { value, doubted }),
                room = timeout_at(by, self.room(kind).acquire()) => room,
            };
            let (endpoint, begun) = (self.choose(), Instant::now());
            let patience = self.patience(&endpoint, kind, attempt);
            let limit = by.min(begun + patience);
            let tried = match &room {
                Ok(_room) => tokio::select! { biased;
                    value = late.answer() => return Ok(Answer { value, doubted }),
                    tried = self.try_at(&endpoint, kind.pace(), limit, &op) => tried,
                },
                Err(_) => Tried::Failed(too_slow(&endpoint)),
            };
            drop(room);
            let failure = match tried {
                Tried::Answered(value) => {
                    if kind == Kind::Enter {
                        self.0.patience.enter_was_answered(begun.elapsed());
                    }
                    return Ok(Answer { value, doubted });
                }
                Tried::Failed(failure) => failure,
                Tried::Silent(failure, attempt) => {
                    if kind == Kind::Enter {
                        self.0.patience.enter_was_silent(begun, patience);
                    }
                    late.push(attempt);
                    failure
                }
            };
            tell(&failure.error);
            let failure = self.refused_by_all(failure, &mut unwanted);
            doubted |= failure.verdict == Verdict::Doubt;
            let again = match failure.verdict == Verdict::TokenStale && !renewed {
                true => Instant::now(),
                false => self.next_attempt_at(attempt, &mut pause),
            };
            renewed |= failure.verdict == Verdict::TokenStale;
            let last = again >= by || failure.verdict == Verdict::Doubt && kind == Kind::Enter;
            if let Some(fault) = fault(failure, last, doubted) {
                return Err(fault);
            }
            tokio::select! { biased;
                value = late.answer() => return Ok(Answer { value, doubted }),
                () = sleep_until(again) => (),
            }
            attempt += 1;
        }
    }

    /// Says once in the log what is known to be wrong with the etcd that answers. Nothing depends on it.
    pub(crate) async fn watch_out(self, by: Instant) {
        let ask = |endpoint: Arc<Endpoint>, stubs: Arc<Stubs>| async move {
            let status = stubs.maintenance.clone().status().await.map_err(classify)?;
            Ok((endpoint, status))
        };
        match self.call(Kind::Look, by, ask).await {
            Ok(Answer { value: (endpoint, status), .. }) => {
                debug!(endpoint = endpoint.url, version = status.version(), "etcd's version");
                if let Some(watch_out) = version::watch_out(status.version()) {
                    warn!(endpoint = endpoint.url, "{watch_out}");
                }
            }
            Err(fault) => debug!(?fault, "etcd does not tell its version"),
        }
    }

    /// One attempt at one endpoint, and what it teaches about the endpoint. One that is not answered until `limit` may be
    /// listened to still.
    async fn try_at<T, F>(
        &self,
        endpoint: &Arc<Endpoint>,
        pace: Pace,
        limit: Instant,
        op: impl FnOnce(Arc<Endpoint>, Arc<Stubs>) -> F,
    ) -> Tried<T, F>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let begun = Instant::now();
        let stubs = match timeout_at(limit, endpoint.stubs()).await {
            Ok(Ok(stubs)) => stubs,
            Ok(Err(failure)) => return Tried::Failed(learn(endpoint, failure)),
            Err(_) => return Tried::Failed(learn(endpoint, Failure::silence(false))),
        };
        let mut answer = Box::pin(op(endpoint.clone(), stubs.clone()));
        let (failure, silent) = match timeout_at(limit, &mut answer).await {
            Ok(Ok(value)) => {
                endpoint.answered(Some((pace, begun.elapsed())));
                return Tried::Answered(value);
            }
            Ok(Err(failure)) => (learn(endpoint, endpoint.interpret(failure)), false),
            Err(_) => (learn(endpoint, Failure::silence(true)), true),
        };
        match failure.verdict {
            Verdict::TokenStale => endpoint.renew(&stubs).await,
            _ if endpoint.failures() > 1 => endpoint.reconnect(&stubs),
            _ => (),
        }
        match silent {
            true => Tried::Silent(failure, late::Attempt { endpoint: endpoint.clone(), pace, begun, answer }),
            false => Tried::Failed(failure),
        }
    }

    /// What one endpoint refuses, others may grant: when as many in a row as there are would not have us, that is final.
    fn refused_by_all(&self, failure: Failure, unwanted: &mut usize) -> Failure {
        *unwanted = if failure.verdict == Verdict::NotHere { *unwanted + 1 } else { 0 };
        match *unwanted >= self.size() {
            true => Failure { verdict: Verdict::Refused, ..failure },
            false => failure,
        }
    }

    /// At once while there is an endpoint that has not been tried in this round, else after a pause.
    fn next_attempt_at(&self, attempt: usize, pause: &mut Duration) -> Instant {
        if !(attempt + 1).is_multiple_of(self.size()) {
            return Instant::now();
        }
        let at = Instant::now() + *pause;
        *pause = PAUSE.1.min(*pause * 2);
        at
    }
}

/// What a failure says of the endpoint: whether it answers, not whether it agrees. The failure then says where it was.
fn learn(endpoint: &Endpoint, failure: Failure) -> Failure {
    match failure.verdict {
        Verdict::NotDone | Verdict::Doubt | Verdict::NotHere => endpoint.failed(),
        _ => endpoint.answered(None),
    }
    debug!(endpoint = endpoint.url, verdict = ?failure.verdict, error = %failure.error, "attempt failed");
    Failure { error: at(endpoint, failure.error), ..failure }
}

/// An attempt that never had its turn.
fn too_slow(endpoint: &Endpoint) -> Failure {
    let failure = Failure::new(Verdict::NotDone, ErrorKind::Unavailable, "too many calls wait for its answers");
    Failure { error: at(endpoint, failure.error), ..failure }
}

/// What to tell the caller; `None`: to try again.
fn fault(failure: Failure, last: bool, doubted: bool) -> Option<Fault> {
    let Failure { verdict, error } = failure;
    match verdict {
        Verdict::Refused => Some(Fault::Refused(error)),
        Verdict::LeaseGone => Some(Fault::LeaseGone),
        Verdict::Compacted => Some(Fault::Compacted),
        _ if !last => None,
        _ if doubted => Some(Fault::Doubt(error)),
        _ => Some(Fault::NotDone(error)),
    }
}

/// Says where it happened.
fn at(endpoint: &Endpoint, error: Error) -> Error {
    match error.kind() {
        ErrorKind::Unavailable => error.prefixed(&format!("etcd is unavailable at {}", endpoint.url)),
        ErrorKind::Denied => error.prefixed(&format!("etcd at {} refused", endpoint.url)),
        _ => error.prefixed(&format!("etcd at {}", endpoint.url)),
    }
}

impl Cluster {
    /// A call on the short way, its message written once for all attempts.
    async fn ask<M>(&self, kind: Kind, method: Method, message: &impl Message, by: Instant) -> Result<Answer<M>, Fault>
    where
        M: Message + Default,
    {
        let message = rpc::framed(message);
        let message = &message;
        self.call(kind, by, |endpoint, stubs| async move { endpoint.ask(&stubs, method, message).await }).await
    }
}

impl Store for Cluster {
    fn txn(&self, txn: Txn, by: Instant) -> Pending<'_, TxnReply> {
        let kind = match (txn.could_write(), txn.may_be_repeated()) {
            (false, _) => Kind::Look,
            (true, true) => Kind::Write,
            (true, false) => Kind::Enter,
        };
        let (request, wrapped) = convert::naming_what_is_inside(convert::txn(txn), self.0.known);
        Box::pin(async move {
            let mut reply = convert::txn_reply(self.ask(kind, Method::Txn, &request, by).await?.value);
            Ok(if wrapped { reply.txns.pop().unwrap_or(reply) } else { reply })
        })
    }

    /// What is inside is named once more for one whom etcd knows, and counted twice: see `naming_what_is_inside`.
    fn most_inside(&self) -> usize {
        if self.0.known { 40 } else { 60 }
    }

    fn range(&self, range: Range, by: Instant) -> Pending<'_, RangeReply> {
        let request = convert::range(range);
        Box::pin(
            async move { Ok(convert::range_reply(self.ask(Kind::Look, Method::Range, &request, by).await?.value)) },
        )
    }

    fn delete(&self, key: String, by: Instant) -> Pending<'_, Deleted> {
        let request = convert::delete(key);
        Box::pin(async move {
            let answer = self.ask(Kind::Write, Method::DeleteRange, &request, by).await?;
            Ok(convert::deleted(&answer.value, answer.doubted))
        })
    }

    fn grant(&self, lease: i64, ttl: Duration, by: Instant) -> Pending<'_, Grant> {
        Box::pin(async move {
            let grant = |_, stubs: Arc<Stubs>| async move {
                let mut client = stubs.lease.clone();
                let options = LeaseGrantOptions::new().with_id(lease);
                match client.grant(ttl.as_secs() as i64, Some(options)).await.map_err(classify) {
                    Ok(reply) => Ok(reply.ttl()),
                    // The id is random and ours: an earlier attempt has made it.
                    Err(failure) if failure.verdict == Verdict::LeaseExists => {
                        Ok(client.time_to_live(lease, None).await.map_err(classify)?.granted_ttl())
                    }
                    Err(failure) => Err(failure),
                }
            };
            let Answer { value, doubted } = self.call(Kind::Write, by, grant).await?;
            Ok(Grant { ttl: Duration::from_secs(value.max(0) as u64), doubted })
        })
    }

    fn lease_keys(&self, lease: i64, by: Instant) -> Pending<'_, Vec<Bytes>> {
        let request = proto::LeaseTimeToLiveRequest { id: lease, keys: true };
        Box::pin(async move {
            let answer = self.ask(Kind::Look, Method::LeaseTimeToLive, &request, by).await?;
            let proto::LeaseTimeToLiveResponse { ttl, keys } = answer.value;
            if ttl < 0 { Err(Fault::LeaseGone) } else { Ok(keys) }
        })
    }

    fn revoke(&self, lease: i64, by: Instant) -> Pending<'_, ()> {
        Box::pin(async move {
            let revoke =
                |_, stubs: Arc<Stubs>| async move { stubs.lease.clone().revoke(lease).await.map_err(classify) };
            self.call(Kind::Write, by, revoke).await.map(drop)
        })
    }

    fn keep_alive(&self, lease: i64) -> Box<dyn KeepAlive> {
        Box::new(Beats::new(self.clone(), lease))
    }

    fn watch(&self, keys: KeyRange, from: Option<i64>, by: Instant) -> Pending<'_, Box<dyn Watch>> {
        Box::pin(async move {
            let open = |endpoint, stubs| RunningWatch::open(endpoint, stubs, keys.clone(), from);
            let watch = self.call(Kind::Look, by, open).await?.value;
            Ok(Box::new(watch) as Box<dyn Watch>)
        })
    }

    fn watch_keys(&self, limit: Duration) -> Box<dyn KeyWatch> {
        let cluster = self.clone();
        Box::new(WatchedKeys::new(move |first: Create| {
            let cluster = cluster.clone();
            async move {
                let open = |endpoint, stubs| KeyStream::open(endpoint, stubs, first.clone());
                Ok(cluster.call(Kind::Look, Instant::now() + limit, open).await?.value)
            }
        }))
    }
}
