//! The two streams of etcd: a lease being kept alive, and a watch. Neither reconnects by itself: that is for those who
//! use them, since only they know from where to go on.

use super::classify::{Failure, Verdict, classify};
use super::cluster::{Cluster, Kind};
use super::convert;
use super::endpoint::{Endpoint, Stubs};
use crate::store::{Event, Fault, KeepAlive, KeyRange, Pending, Watch};
use crate::{Error, ErrorKind};
use etcd_client::{LeaseKeepAliveStream, LeaseKeeper, WatchResponse, WatchStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// Beats for one lease. An attempt that fails takes its stream with it, so that no stream ever carries two.
pub(super) struct Beats {
    cluster: Cluster,
    lease: i64,
    /// The stream that carried the last one.
    open: Mutex<Option<(Arc<Endpoint>, BeatStream)>>,
}

type BeatStream = (LeaseKeeper, LeaseKeepAliveStream);

impl Beats {
    pub(super) fn new(cluster: Cluster, lease: i64) -> Self {
        Beats { cluster, lease, open: Mutex::default() }
    }

    /// The stream that is open to this endpoint, if there is one.
    fn stream_to(&self, endpoint: &Arc<Endpoint>) -> Option<BeatStream> {
        let open = self.open().take();
        open.filter(|(to, _)| Arc::ptr_eq(to, endpoint)).map(|(_, stream)| stream)
    }

    fn open(&self) -> MutexGuard<'_, Option<(Arc<Endpoint>, BeatStream)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn beat_once(&self, by: Instant, tell: &(dyn Fn(Error) + Sync)) -> Result<Option<i64>, Fault> {
        let one = |endpoint: Arc<Endpoint>, stubs| {
            let (lease, stream) = (self.lease, self.stream_to(&endpoint));
            async move { beat(lease, stubs, stream).await.map(|(stream, revision)| (endpoint, stream, revision)) }
        };
        let answer = self.cluster.call_and_tell(Kind::Beat, by, |error| tell(error.clone()), one).await?;
        let (endpoint, stream, revision) = answer.value;
        *self.open() = Some((endpoint, stream));
        Ok(revision)
    }
}

impl KeepAlive for Beats {
    fn beat<'a>(&'a mut self, by: Instant, tell: &'a (dyn Fn(Error) + Sync)) -> Pending<'a, Option<i64>> {
        Box::pin(self.beat_once(by, tell))
    }
}

/// One beat, on the stream that is open or else on a new one, whose first message it is. Of the answer to that
/// etcd_client gives no revision.
async fn beat(lease: i64, stubs: Arc<Stubs>, stream: Option<BeatStream>) -> Result<(BeatStream, Option<i64>), Failure> {
    let Some((mut keeper, mut replies)) = stream else {
        return Ok((stubs.lease.clone().keep_alive(lease).await.map_err(classify)?, None));
    };
    keeper.keep_alive().await.map_err(classify)?;
    match replies.message().await.map_err(classify)? {
        Some(reply) if reply.ttl() > 0 => Ok(((keeper, replies), Some(convert::revision(reply.header())))),
        Some(_) => Err(Failure::new(Verdict::LeaseGone, ErrorKind::Lost, "lease not found")),
        None => Err(ended()),
    }
}

/// A watch that etcd has confirmed to be running.
pub(super) struct RunningWatch {
    endpoint: Arc<Endpoint>,
    stubs: Arc<Stubs>,
    stream: WatchStream,
    begun: i64,
}

impl RunningWatch {
    pub(super) async fn open(
        endpoint: Arc<Endpoint>,
        stubs: Arc<Stubs>,
        keys: KeyRange,
        from: Option<i64>,
    ) -> Result<Self, Failure> {
        let options = convert::watch_options(&keys, from);
        let mut stream = stubs.watch.clone().watch(keys.start(), Some(options)).await.map_err(classify)?;
        loop {
            let message = stream.message().await.map_err(classify)?.ok_or_else(ended)?;
            if message.canceled() {
                return Err(cancelled(&message));
            }
            if message.created() {
                let begun = convert::revision(message.header());
                return Ok(RunningWatch { endpoint, stubs, stream, begun });
            }
        }
    }

    async fn next_events(&mut self) -> Result<Vec<Event>, Failure> {
        loop {
            let message = self.stream.message().await.map_err(classify)?.ok_or_else(ended)?;
            if message.canceled() {
                return Err(cancelled(&message));
            }
            let events: Vec<_> = message.events().iter().filter_map(convert::event).collect();
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }
}

impl Watch for RunningWatch {
    fn begun(&self) -> i64 {
        self.begun
    }

    fn next(&mut self) -> Pending<'_, Vec<Event>> {
        Box::pin(async {
            match self.next_events().await {
                Ok(events) => Ok(events),
                Err(failure) => Err(over(failure, &self.endpoint, &self.stubs).await),
            }
        })
    }
}

/// What to tell those who use a stream that has failed. The next one will have another token, if it is that.
pub(super) async fn over(failure: Failure, endpoint: &Endpoint, stubs: &Arc<Stubs>) -> Fault {
    match failure.verdict {
        Verdict::Compacted => Fault::Compacted,
        Verdict::Refused => Fault::Refused(failure.error),
        verdict => {
            if verdict == Verdict::TokenStale {
                endpoint.renew(stubs).await;
            }
            Fault::NotDone(failure.error)
        }
    }
}

/// What a message says that refuses or ends a watch. It is not an error of the stream.
pub(super) fn cancelled(message: &WatchResponse) -> Failure {
    let reason = message.cancel_reason();
    match reason {
        _ if message.compact_revision() != 0 || reason.contains("compacted") => {
            Failure::new(Verdict::Compacted, ErrorKind::Internal, reason)
        }
        _ if reason.contains("permission denied") => Failure::new(Verdict::Refused, ErrorKind::Denied, reason),
        _ if ["invalid auth token", "user name is empty", "auth store is old"]
            .iter()
            .any(|text| reason.contains(text)) =>
        {
            Failure::new(Verdict::TokenStale, ErrorKind::Denied, reason)
        }
        _ => Failure::new(Verdict::NotDone, ErrorKind::Unavailable, reason),
    }
}

pub(super) fn ended() -> Failure {
    Failure::new(Verdict::Doubt, ErrorKind::Unavailable, "etcd ended the stream")
}
