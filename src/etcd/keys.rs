//! Single keys watched for their deletion, all over one stream of etcd: a stream costs each side as much as hundreds of
//! watches on it.
//!
//! The ids of the watches are ours, and none is used twice. So an event is never taken for one of a later life of its key,
//! and a watch can be cancelled before etcd has answered that it began: etcd does what a stream asks in order.

mod book;
#[cfg(test)]
mod tests;

use super::classify::{Failure, Verdict, classify};
use super::convert;
use super::endpoint::{Endpoint, Stubs};
use super::stream::{cancelled, ended, over};
use crate::store::{Fault, KeyNews, KeyWatch, Pending};
use crate::{Error, ErrorKind};
use book::{Book, Request};
use etcd_client::{EventType, WatchFilterType, WatchOptions, WatchRequestSender, WatchResponse, WatchResponseStream};
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// For how long after its opening a stream is believed when etcd says "permission denied" to a watch. Most releases of
/// etcd 3.4, and the first of 3.5, say so, too, when it is the token that is no longer good; and a stream keeps the token
/// with which it was opened.
const FRESH: Duration = Duration::from_secs(10);

/// A watch to be.
#[derive(Clone)]
pub(super) struct Create {
    id: i64,
    key: Arc<str>,
    from: Option<i64>,
}

impl Create {
    fn options(&self) -> WatchOptions {
        let options = WatchOptions::new().with_watch_id(self.id).with_filters([WatchFilterType::NoPut]);
        match self.from {
            Some(revision) => options.with_start_revision(revision),
            None => options,
        }
    }
}

/// A stream of watches that etcd has begun to answer.
pub(super) struct KeyStream {
    endpoint: Arc<Endpoint>,
    stubs: Arc<Stubs>,
    requests: WatchRequestSender,
    answers: WatchResponseStream,
    opened: Instant,
    /// What etcd has answered to the request with which it was opened, until that is read.
    first: Option<WatchResponse>,
}

impl KeyStream {
    /// Opens one with a first watch. Fails if it is no matter of that watch that there is none.
    pub(super) async fn open(endpoint: Arc<Endpoint>, stubs: Arc<Stubs>, first: Create) -> Result<Self, Failure> {
        let (key, options, opened) = (&*first.key, first.options(), Instant::now());
        let stream = stubs.watch.clone().watch(key, Some(options)).await.map_err(classify)?;
        let (requests, mut answers) = stream.split();
        let answer = answers.message().await.map_err(classify)?.ok_or_else(ended)?;
        if answer.canceled() && cancelled(&answer).verdict == Verdict::TokenStale {
            return Err(cancelled(&answer));
        }
        Ok(KeyStream { endpoint, stubs, requests, answers, opened, first: Some(answer) })
    }

    /// The next answer, while what is to be asked is sent. Cancel safe.
    async fn answer(&mut self, book: &mut Book) -> Result<WatchResponse, Failure> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        loop {
            let answer = self.answers.message();
            let answer = match book.request() {
                None => answer.await,
                Some(request) => tokio::select! { biased;
                    answer = answer => answer,
                    sent = send(&mut self.requests, &request) => {
                        sent.map_err(classify)?;
                        book.asked(&request);
                        continue;
                    }
                },
            };
            return answer.map_err(classify)?.ok_or_else(ended);
        }
    }

    /// What an answer tells, if anything.
    fn read(&self, answer: &WatchResponse, book: &mut Book) -> Result<Option<KeyNews>, Failure> {
        let id = match answer.created() {
            true => book.answered().filter(|id| answer.canceled() || answer.watch_id() == *id).ok_or_else(foreign)?,
            false => answer.watch_id(),
        };
        let gone = |key: Arc<str>, revision| KeyNews::Gone { key: (*key).into(), revision };
        if answer.canceled() {
            let key = if answer.created() { book.forget(id) } else { book.end(id) };
            // Of those that were removed it is the answer to that.
            let Some(key) = key else { return Ok(None) };
            return judge(cancelled(answer), self.opened.elapsed()).map(|()| Some(gone(key, None)));
        }
        if answer.created() {
            let begun = convert::revision(answer.header());
            return Ok(book.key(id).map(|key| KeyNews::Watched { key: (**key).into(), begun }));
        }
        let deletion = answer.events().iter().find(|event| event.event_type() == EventType::Delete);
        let Some(deletion) = deletion else { return Ok(None) };
        Ok(book.end(id).map(|key| gone(key, deletion.kv().map(|kv| kv.mod_revision()))))
    }
}

/// Whether the failure of a watch is one of the stream, which was opened so long ago.
fn judge(failure: Failure, age: Duration) -> Result<(), Failure> {
    match failure.verdict {
        Verdict::Compacted => Ok(()),
        Verdict::Refused if age < FRESH => Ok(()),
        Verdict::Refused => Err(Failure { verdict: Verdict::TokenStale, ..failure }),
        _ => Err(failure),
    }
}

async fn send(requests: &mut WatchRequestSender, request: &Request) -> Result<(), etcd_client::Error> {
    match request {
        Request::Create(create) => requests.watch(&*create.key, Some(create.options())).await,
        Request::Cancel(id) => requests.cancel(*id).await,
    }
}

/// The gRPC proxy of etcd, for one, gives ids of its own, and in another order.
fn foreign() -> Failure {
    let what = "it does not take the ids of watches from its clients, as etcd itself does";
    Failure::new(Verdict::Refused, ErrorKind::Internal, what)
}

/// Single keys being watched.
pub(super) struct WatchedKeys<O> {
    /// Opens a stream with a first watch.
    open: O,
    book: Book,
    stage: Stage,
}

/// How far a stream has come. What is awaited is kept, so that who waits may give up and come again.
enum Stage {
    Closed,
    Opening(Pin<Box<dyn Future<Output = Result<KeyStream, Fault>> + Send>>),
    Open(Box<KeyStream>),
    Ending(Pin<Box<dyn Future<Output = Fault> + Send>>),
    Over,
}

impl<O, F> WatchedKeys<O>
where
    O: Fn(Create) -> F + Send,
    F: Future<Output = Result<KeyStream, Fault>> + Send + 'static,
{
    pub(super) fn new(open: O) -> Self {
        WatchedKeys { open, book: Book::default(), stage: Stage::Closed }
    }

    async fn news(&mut self) -> Result<KeyNews, Fault> {
        loop {
            match &mut self.stage {
                Stage::Closed => match self.book.create() {
                    // Nothing can come while somebody waits here.
                    None => return pending().await,
                    Some(first) => {
                        self.stage = Stage::Opening(Box::pin((self.open)(first.clone())));
                        self.book.asked(&Request::Create(first));
                    }
                },
                Stage::Opening(opening) => {
                    let opened = opening.await.inspect_err(|_| self.stage = Stage::Over)?;
                    self.stage = Stage::Open(Box::new(opened));
                }
                Stage::Open(stream) => {
                    let answer = stream.answer(&mut self.book).await;
                    match answer.and_then(|answer| stream.read(&answer, &mut self.book)) {
                        Ok(Some(news)) => return Ok(news),
                        Ok(None) => (),
                        Err(failure) => {
                            let (endpoint, stubs) = (stream.endpoint.clone(), stream.stubs.clone());
                            self.stage = Stage::Ending(Box::pin(async move { over(failure, &endpoint, &stubs).await }));
                        }
                    }
                }
                Stage::Ending(ending) => {
                    let fault = ending.await;
                    self.stage = Stage::Over;
                    return Err(fault);
                }
                Stage::Over => {
                    return Err(Fault::NotDone(Error::new(ErrorKind::Unavailable, "the stream of watches is over")));
                }
            }
        }
    }
}

impl<O, F> KeyWatch for WatchedKeys<O>
where
    O: Fn(Create) -> F + Send,
    F: Future<Output = Result<KeyStream, Fault>> + Send + 'static,
{
    fn add(&mut self, key: &str, from: Option<i64>) {
        self.book.add(key, from);
    }

    fn remove(&mut self, key: &str) {
        self.book.remove(key);
    }

    fn next(&mut self) -> Pending<'_, KeyNews> {
        Box::pin(self.news())
    }
}
