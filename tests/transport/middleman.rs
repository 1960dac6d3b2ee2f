//! A gRPC server in front of an etcd, which does what a bad server or network would do: as a rule says, call by call.
//!
//! What it does not change comes from the real etcd behind it. So nothing here has to know what etcd does.

use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::{Request, Response};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Status};
use tower::ServiceExt;

/// gRPC puts one byte and four of length before each message.
const HEAD: usize = 5;

/// A call, as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// "Range", "Txn", "LeaseGrant", …
    pub(crate) method: String,
    /// Whether a member without a leader is to refuse it.
    pub(crate) requires_leader: bool,
}

/// What becomes of a call.
pub(crate) enum Fate {
    Passed,
    Refused(Code, &'static str),
    /// It is done after so long.
    Delayed(Duration),
    /// It arrives nowhere, and nobody says so.
    Swallowed,
    /// It is done, and the answer is lost.
    Unanswered,
    /// It is done when it is let go, whether anybody still waits for it or not; and the answer is lost.
    Late(Arc<Late>),
    /// Each message of the answer is changed, or omitted.
    Edited(Edit),
}

/// A call that is held up.
#[derive(Default)]
pub(crate) struct Late {
    let_go: Notify,
    done: Notify,
}

impl Late {
    /// Has it done, and returns when it is.
    pub(crate) async fn let_go(&self) {
        self.let_go.notify_one();
        self.done.notified().await;
    }

    async fn hold(self: Arc<Self>, etcd: Channel, request: Request<Body>) {
        self.let_go.notified().await;
        let answer = etcd.oneshot(request).await.expect("etcd answers");
        let _all = answer.into_body().collect().await;
        self.done.notify_one();
    }
}

pub(crate) type Edit = Arc<dyn Fn(Bytes) -> Option<Vec<u8>> + Send + Sync>;

type Rule = Arc<dyn Fn(&Call) -> Fate + Send + Sync>;

pub(crate) struct Middleman {
    pub(crate) endpoint: String,
    desk: Arc<Desk>,
    serving: JoinHandle<()>,
}

/// What all its connections share.
struct Desk {
    etcd: Channel,
    rule: Mutex<Rule>,
    calls: Mutex<Vec<Call>>,
}

impl Middleman {
    /// In front of `endpoint`.
    pub(crate) fn start(endpoint: &str) -> Self {
        Middleman::serve(endpoint, Server::builder())
    }

    /// Says GOAWAY to each connection when it is as old as this.
    pub(crate) fn with_short_connections(endpoint: &str, age: Duration) -> Self {
        Middleman::serve(endpoint, Server::builder().max_connection_age(age))
    }

    fn serve(endpoint: &str, server: Server) -> Self {
        let etcd = Channel::from_shared(endpoint.to_string()).unwrap().connect_lazy();
        let (rule, calls) = (Mutex::new(Arc::new(|_: &Call| Fate::Passed) as Rule), Mutex::default());
        let desk = Arc::new(Desk { etcd, rule, calls });
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap().with_nodelay(Some(true));
        let endpoint = format!("http://{}", incoming.local_addr().unwrap());
        let answering = desk.clone();
        let service = tower::service_fn(move |request| {
            let desk = answering.clone();
            async move { Ok::<_, Infallible>(desk.answer(request).await) }
        });
        let serving = async move { server.serve_with_incoming(service, incoming).await.unwrap() };
        Middleman { endpoint, desk, serving: tokio::spawn(serving) }
    }

    /// What becomes of the calls from now on; streams that are open go on as they are.
    pub(crate) fn set(&self, rule: impl Fn(&Call) -> Fate + Send + Sync + 'static) {
        *self.desk.rule.lock().unwrap() = Arc::new(rule);
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.desk.calls.lock().unwrap().clone()
    }

    /// How many calls of a method there were.
    pub(crate) fn count(&self, method: &str) -> usize {
        self.calls().iter().filter(|call| call.method == method).count()
    }
}

impl Drop for Middleman {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Desk {
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let call = Call {
            method: request.uri().path().rsplit('/').next().unwrap_or_default().into(),
            requires_leader: request.headers().get("hasleader").is_some_and(|value| value == "true"),
        };
        self.calls.lock().unwrap().push(call.clone());
        let rule = self.rule.lock().unwrap().clone();
        match rule(&call) {
            Fate::Passed => self.pass(request).await,
            Fate::Refused(code, message) => Status::new(code, message).into_http(),
            Fate::Delayed(by) => {
                tokio::time::sleep(by).await;
                self.pass(request).await
            }
            Fate::Swallowed => pending().await,
            Fate::Unanswered => {
                let _done = self.pass(request).await.into_body().collect().await;
                pending().await
            }
            Fate::Late(late) => {
                tokio::spawn(late.hold(self.etcd.clone(), whole(request).await));
                pending().await
            }
            Fate::Edited(edit) => self.pass(request).await.map(|body| edited(body, edit)),
        }
    }

    async fn pass(&self, request: Request<Body>) -> Response<Body> {
        let answer = self.etcd.clone().oneshot(request).await;
        answer.unwrap_or_else(|error| Status::unavailable(error.to_string()).into_http())
    }
}

/// The same, all of it having arrived: who sends it may go.
async fn whole(request: Request<Body>) -> Request<Body> {
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.expect("it was sent").to_bytes();
    Request::from_parts(head, Body::new(Full::new(bytes)))
}

/// The same with each message changed or omitted. What is no message (trailers) stays.
fn edited(body: Body, edit: Edit) -> Body {
    let frames = stream::unfold((body, Vec::new()), move |(mut body, mut read)| {
        let edit = edit.clone();
        async move {
            loop {
                while let Some(message) = take_message(&mut read) {
                    if let Some(message) = edit(message) {
                        return Some((Ok(framed(&message)), (body, read)));
                    }
                }
                match body.frame().await? {
                    Ok(frame) => match frame.into_data() {
                        Ok(data) => read.extend_from_slice(&data),
                        Err(other) => return Some((Ok(other), (body, read))),
                    },
                    Err(status) => return Some((Err(status), (body, read))),
                }
            }
        }
    });
    Body::new(StreamBody::new(frames))
}

/// The first message, if all of it was read.
fn take_message(read: &mut Vec<u8>) -> Option<Bytes> {
    let length = u32::from_be_bytes(read.get(1..HEAD)?.try_into().ok()?) as usize;
    let message = Bytes::copy_from_slice(read.get(HEAD..HEAD + length)?);
    read.drain(..HEAD + length);
    Some(message)
}

fn framed(message: &[u8]) -> Frame<Bytes> {
    let head = [&[0], &(message.len() as u32).to_be_bytes()[..]].concat();
    Frame::data([&head, message].concat().into())
}
