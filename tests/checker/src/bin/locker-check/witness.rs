//! The witness: etcd's own watch on all locks, over a connection of its own.

use crate::Result;
use crate::settings::PREFIX;
use etcd_client::{Client, ConnectOptions, Event, EventType, WatchOptions};
use locker_check::history::History;
use locker_check::record::{Kind, Lang, Record, now};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// An endpoint that is silent for longer is left for the next.
const SILENCE: Duration = Duration::from_secs(1);
/// How long reading all again may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What etcd says of the locks.
pub(crate) struct Witness {
    endpoints: Vec<String>,
    history: History,
    /// The next revision to be seen.
    next: i64,
    /// What was seen.
    seen: HashSet<(bool, u32, u64)>,
}

impl Witness {
    /// The revisions of a new etcd begin at 1, and in a run nobody compacts it.
    pub(crate) fn new(endpoints: &str, history: History) -> Self {
        let endpoints = endpoints.split(',').map(String::from).collect();
        Witness { endpoints, history, next: 1, seen: HashSet::new() }
    }

    /// Watches until it is told to end, then reads all again. Gives the number of events that it had missed.
    pub(crate) async fn watch(mut self, end: Arc<AtomicBool>) -> Result<usize> {
        let mut place = 0;
        while !end.load(Ordering::Relaxed) {
            place += 1;
            // What breaks is taken up where it broke.
            let _ = self.follow(place, None, &end).await;
        }
        let seen = self.seen.len();
        self.next = 1;
        let limit = Instant::now() + LIMIT;
        while Instant::now() < limit {
            place += 1;
            let Ok(last) = self.revision(place).await else { continue };
            if self.follow(place, Some(last), &end).await.is_ok() {
                return Ok(self.seen.len() - seen);
            }
        }
        Err("the history of etcd could not be read again".into())
    }

    async fn connect(&self, place: usize) -> Result<Client> {
        let endpoint = &self.endpoints[place % self.endpoints.len()];
        let options = ConnectOptions::new().with_connect_timeout(SILENCE);
        Ok(Client::connect([endpoint], Some(options)).await?)
    }

    async fn revision(&self, place: usize) -> Result<i64> {
        let mut client = self.connect(place).await?;
        let answer = timeout(SILENCE, client.get(PREFIX, None)).await??;
        Ok(answer.header().ok_or("an answer without a header")?.revision())
    }

    /// Follows one endpoint until `last` was seen, or else until it breaks, is silent, or the end has come.
    async fn follow(&mut self, place: usize, last: Option<i64>, end: &AtomicBool) -> Result<()> {
        let mut client = self.connect(place).await?;
        let options = WatchOptions::new().with_prefix().with_prev_key().with_start_revision(self.next);
        let mut stream = timeout(SILENCE, client.watch(PREFIX, Some(options))).await??;
        let mut asked = false;
        loop {
            match timeout(SILENCE / 4, stream.message()).await {
                Ok(message) => {
                    asked = false;
                    let message = message?.ok_or("the watch has ended")?;
                    self.tell(message.events(), last.is_some())?;
                    let at = message.header().map_or(0, |header| header.revision());
                    if last.is_some_and(|last| self.next > last || message.events().is_empty() && at >= last) {
                        return Ok(());
                    }
                }
                Err(_) if asked => return Err("it is silent".into()),
                Err(_) if last.is_none() && end.load(Ordering::Relaxed) => return Ok(()),
                Err(_) => {
                    asked = true;
                    stream.request_progress().await?;
                }
            }
        }
    }

    /// Records the keys that came and went. What is found at the end has no time.
    fn tell(&mut self, events: &[Event], late: bool) -> Result<()> {
        for event in events {
            let (Some(key), delete) = (event.kv(), event.event_type() == EventType::Delete) else { continue };
            self.next = self.next.max(key.mod_revision() + 1);
            let created = match event.prev_kv() {
                Some(before) if delete => before.create_revision(),
                None if delete => return Err("a key that went without having been".into()),
                _ => key.create_revision(),
            };
            let lock = key.key_str()?.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('L'));
            let lock = lock.and_then(|rest| rest.split('/').next()?.parse().ok());
            let (Some(lock), true) = (lock, delete || key.create_revision() == key.mod_revision()) else { continue };
            if self.seen.insert((delete, lock, created as u64)) {
                let kind = if delete { Kind::Delete } else { Kind::Put };
                let (token, revision) = (created as u64, key.mod_revision() as u64);
                let at = if late { 0 } else { now() };
                self.history.append(&Record { lock, token, revision, at, ..Record::new(Lang::Witness, kind) })?;
            }
        }
        Ok(())
    }
}
