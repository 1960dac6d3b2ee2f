//! The same connection for the calls that etcd_client makes: streams, and what is asked rarely.

use super::connection::{Broken, Connection};
use super::rpc::{Origin, TOKEN, USER_AGENT};
use super::wire::InUse;
use bytes::{Buf, Bytes};
use h2::{RecvStream, SendStream};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::JoinSet;
use tonic::body::Body;
use tower::{BoxError, Service};

/// How much of a request may wait to be sent; the rest waits where it comes from.
const PIECE: usize = 16 << 10;

#[derive(Clone)]
pub(super) struct Channel {
    pub(super) connection: Connection,
    pub(super) origin: Origin,
    pub(super) token: Option<HeaderValue>,
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (head, body) = request.into_parts();
        let head = self.head(Request::from_parts(head, ()));
        let connection = self.connection.clone();
        Box::pin(async move {
            let (response, sending, in_use) = connection.begin(head)?;
            let mut sender = JoinSet::new();
            sender.spawn(send(body, sending));
            let response = response.await.map_err(Broken)?;
            Ok(response.map(|body| Body::new(Received { body, is_read: false, _sender: sender, _in_use: in_use })))
        })
    }
}

impl Channel {
    /// The head of a request, of which etcd_client knows only the path and its own headers.
    fn head(&self, mut head: Request<()>) -> Request<()> {
        let path = head.uri().path_and_query().cloned();
        *head.uri_mut() = self.origin.uri(path.unwrap_or(PathAndQuery::from_static("/")));
        *head.version_mut() = Version::HTTP_2;
        let headers = head.headers_mut();
        headers.insert(header::USER_AGENT, USER_AGENT);
        if let Some(token) = &self.token {
            headers.insert(TOKEN, token.clone());
        }
        head
    }
}

/// Sends a body to its end, or until nobody wants it any more.
async fn send(mut body: Body, mut to: SendStream<Bytes>) {
    loop {
        let next = poll_fn(|cx| match to.poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => Pin::new(&mut body).poll_frame(cx),
        });
        let sent = match next.await.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => send_piece_by_piece(&mut to, data).await,
            // A client of gRPC has no trailers.
            Some(Ok(Err(_))) => Ok(()),
            Some(Err(_)) => return to.send_reset(h2::Reason::CANCEL),
            None => return drop(to.send_data(Bytes::new(), true)),
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn send_piece_by_piece(to: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), h2::Error> {
    while data.has_remaining() {
        to.reserve_capacity(data.len().min(PIECE));
        let Some(room) = poll_fn(|cx| to.poll_capacity(cx)).await else { return Err(h2::Reason::CANCEL.into()) };
        to.send_data(data.split_to(data.len().min(room?)), false)?;
    }
    Ok(())
}

/// What arrives. When it is dropped nothing more is sent, and so the stream is reset if it has not ended.
struct Received {
    body: RecvStream,
    /// All but the trailers.
    is_read: bool,
    _sender: JoinSet<()>,
    _in_use: InUse,
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if !self.is_read {
            if let Some(data) = ready!(self.body.poll_data(cx)) {
                return Poll::Ready(Some(data.and_then(|data| self.took(data)).map_err(Broken)));
            }
            self.is_read = true;
        }
        let trailers = ready!(self.body.poll_trailers(cx));
        Poll::Ready(trailers.transpose().map(|trailers| trailers.map(Frame::trailers).map_err(Broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Received {
    /// etcd may send as much again.
    fn took(&mut self, data: Bytes) -> Result<Frame<Bytes>, h2::Error> {
        self.body.flow_control().release_capacity(data.len())?;
        Ok(Frame::data(data))
    }
}
