//! Single keys watched for their deletion: on the model of etcd, and over a network that is late, silent and breaks.

use super::etcd::Events;
use super::model::Model;
use super::network::{Connection, unavailable};
use super::weather::Weather;
use crate::store::*;
use std::collections::{BTreeMap, VecDeque};
use std::future::{pending, poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// A stream to the model, which does at once what it is asked.
pub(super) struct ModelKeys {
    model: Model,
    watched: BTreeMap<String, Events>,
    /// What is yet to be told.
    news: VecDeque<KeyNews>,
}

impl ModelKeys {
    pub(super) fn new(model: Model) -> Self {
        ModelKeys { model, watched: BTreeMap::new(), news: VecDeque::new() }
    }

    /// The next that was deleted; `None`: the stream is over, since another etcd has taken the place of this one.
    fn poll_deleted(&mut self, context: &mut Context<'_>) -> Poll<Option<KeyNews>> {
        for (key, events) in &mut self.watched {
            while let Poll::Ready(events) = events.poll_recv(context) {
                let Some(events) = events else { return Poll::Ready(None) };
                let deleted = events.iter().find(|event| matches!(event, Event::Delete { .. }));
                if let Some(revision) = deleted.map(Event::revision) {
                    return Poll::Ready(Some(KeyNews::Gone { key: key.clone(), revision: Some(revision) }));
                }
            }
        }
        Poll::Pending
    }
}

impl KeyWatch for ModelKeys {
    fn add(&mut self, key: &str, from: Option<i64>) {
        self.remove(key);
        let watch = |etcd: &mut super::etcd::Etcd| (etcd.revision, etcd.watch(KeyRange::Key(key.into()), from));
        let (begun, events) = self.model.step(watch);
        self.news.push_back(KeyNews::Watched { key: key.into(), begun });
        match events {
            Ok(events) => _ = self.watched.insert(key.into(), events),
            // That its history is compacted is told only once it runs.
            Err(_) => self.news.push_back(KeyNews::Gone { key: key.into(), revision: None }),
        }
    }

    fn remove(&mut self, key: &str) {
        self.watched.remove(key);
        self.news.retain(|news| news.key() != key);
    }

    fn next(&mut self) -> Pending<'_, KeyNews> {
        Box::pin(async {
            if let Some(news) = self.news.pop_front() {
                return Ok(news);
            }
            let gone = poll_fn(|context| self.poll_deleted(context)).await;
            let gone = gone.ok_or_else(|| Fault::NotDone(unavailable()))?;
            self.watched.remove(gone.key());
            Ok(gone)
        })
    }
}

impl KeyNews {
    fn key(&self) -> &str {
        match self {
            KeyNews::Watched { key, .. } | KeyNews::Gone { key, .. } => key,
        }
    }
}

/// A stream over a network.
pub(super) struct LossyKeys {
    connection: Arc<Connection>,
    keys: Box<dyn KeyWatch>,
    limit: Duration,
    stage: Stage,
    /// What was asked and has not arrived yet: a key, whether and from where on it is to be watched, and when it arrives.
    requests: VecDeque<(Instant, String, Option<Option<i64>>)>,
    /// After so many messages nothing comes any more, and nobody says so.
    silent_after: Option<u64>,
    /// What is under way, and when it arrives.
    due: Option<(Instant, KeyNews)>,
}

enum Stage {
    Closed,
    Opening(Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>>),
    Open,
}

impl LossyKeys {
    pub(super) fn new(connection: Arc<Connection>, limit: Duration) -> Self {
        let keys = connection.store.watch_keys(limit);
        let silent_after = connection.weather.chance(10).then(|| connection.weather.number(0..5));
        let (stage, requests) = (Stage::Closed, VecDeque::new());
        LossyKeys { connection, keys, limit, stage, requests, silent_after, due: None }
    }

    /// Requests arrive in the order in which they were sent.
    fn request(&mut self, key: &str, watch: Option<Option<i64>>) {
        let arrival = Instant::now() + self.connection.weather.latency();
        let arrival = self.requests.back().map_or(arrival, |(last, ..)| arrival.max(*last));
        self.requests.push_back((arrival, key.into(), watch));
        self.due.take_if(|(_, news)| news.key() == key);
    }

    async fn open(&mut self) -> Result<(), Fault> {
        loop {
            match &mut self.stage {
                Stage::Closed if self.requests.is_empty() => pending().await,
                Stage::Closed => {
                    let (connection, by) = (self.connection.clone(), Instant::now() + self.limit);
                    let opening = async move { connection.call(true, by, |_| ready(Ok(()))).await.map(|((), _)| ()) };
                    self.stage = Stage::Opening(Box::pin(opening));
                }
                Stage::Opening(opening) => {
                    opening.await.inspect_err(|_| self.stage = Stage::Closed)?;
                    self.stage = Stage::Open;
                }
                Stage::Open => return Ok(()),
            }
        }
    }

    /// Hands on what has arrived, on either side. Cancel safe.
    async fn carry(&mut self) -> Result<KeyNews, Fault> {
        loop {
            let arrival = self.requests.front().map(|(arrival, ..)| *arrival);
            let delivery = self.due.as_ref().map(|(delivery, _)| *delivery);
            tokio::select! { biased;
                () = at(arrival) => match self.requests.pop_front().expect("one arrives") {
                    (_, key, Some(from)) => self.keys.add(&key, from),
                    (_, key, None) => self.keys.remove(&key),
                },
                () = at(delivery) => return Ok(self.due.take().expect("one arrives").1),
                news = self.keys.next(), if delivery.is_none() => {
                    let news = news?;
                    // Of one that was removed meanwhile it comes too late.
                    if self.requests.iter().all(|(_, key, _)| key != news.key()) {
                        self.due = Some((Instant::now() + self.connection.weather.latency(), news));
                    }
                }
            }
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

impl KeyWatch for LossyKeys {
    fn add(&mut self, key: &str, from: Option<i64>) {
        self.request(key, Some(from));
    }

    fn remove(&mut self, key: &str) {
        self.request(key, None);
    }

    fn next(&mut self) -> Pending<'_, KeyNews> {
        Box::pin(async {
            self.open().await?;
            let news = self.carry().await?;
            let is_silent = self.silent_after.as_mut().is_some_and(|left| {
                let silent = *left == 0;
                *left = left.saturating_sub(1);
                silent
            });
            if is_silent || self.connection.cut.load(Ordering::Relaxed) {
                return pending().await;
            }
            match self.connection.weather.chance(30) {
                true => Err(Fault::NotDone(unavailable())),
                false => Ok(news),
            }
        })
    }
}

/// Keys come and go, and are watched and not watched, over a bad network: nothing is told of a former life of one, or of
/// one that is not watched. Over a good network everything is told.
pub(super) async fn keys_over_a_bad_network(seed: u64) {
    const KEYS: [&str; 3] = ["/a", "/b", "/c"];
    const LIMIT: Duration = Duration::from_secs(5);
    let weather = Arc::new(Weather::new(seed, 1));
    let model = Model::new(weather.clone());
    let connection = Connection::new(Arc::new(model.clone()), weather.clone());
    let mut keys = connection.watch_keys(LIMIT);
    // The revision at which each of those that are watched was added.
    let mut added = BTreeMap::new();
    for _ in 0..300 {
        let key = weather.pick(&KEYS).unwrap();
        match weather.number(0..6) {
            0 => {
                keys.add(key, None);
                added.insert(key.to_string(), model.step(|etcd| etcd.revision));
            }
            1 => {
                keys.remove(key);
                added.remove(key);
            }
            2 => _ = model.step(|etcd| etcd.delete(key)),
            3 => put(&model, key).await,
            _ => match timeout(weather.millis(1..500), keys.next()).await {
                Ok(Ok(KeyNews::Watched { key, begun })) => assert!(added[&key] <= begun),
                Ok(Ok(KeyNews::Gone { key, revision })) => assert!(added.remove(&key) < revision, "{key} {revision:?}"),
                Ok(Err(_)) => {
                    keys = connection.watch_keys(LIMIT);
                    added.clear();
                }
                Err(_) => (),
            },
        }
    }
    weather.calm_down();
    let mut keys = connection.watch_keys(LIMIT);
    for key in KEYS {
        put(&model, key).await;
        keys.add(key, None);
    }
    for key in KEYS {
        assert!(matches!(keys.next().await.unwrap(), KeyNews::Watched { key: told, .. } if told == key));
    }
    for key in KEYS {
        model.step(|etcd| etcd.delete(key));
        assert!(matches!(keys.next().await.unwrap(), KeyNews::Gone { key: told, revision: Some(_) } if told == key));
    }
}

async fn put(model: &Model, key: &str) {
    let put = Op::Put { key: key.into(), value: vec![], lease: 0 };
    model.txn(Txn { then: vec![put], ..Txn::default() }, Instant::now()).await.unwrap();
}
