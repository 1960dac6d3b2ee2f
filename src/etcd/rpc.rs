//! The frequent calls, written to the connection as directly as gRPC allows: a head that is made once, one message there
//! and one back, and a status behind it.

use super::connection::{Broken, Connection, Refused};
use bytes::{BufMut, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::ResponseFuture;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, Version, header};
use prost::Message;
use std::error::Error as _;
use tonic::{Code, Status};

/// One answer may be as large as a queue of some ten thousand; gRPC's default of 4 MiB is not.
pub(super) const LARGEST_MESSAGE: usize = 64 << 20;
/// gRPC puts one byte (whether it is compressed) and four of length before each message.
const HEAD: usize = 5;
pub(super) const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("locker/", env!("CARGO_PKG_VERSION")));
pub(super) const TOKEN: HeaderName = HeaderName::from_static("token");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Method {
    Range,
    Txn,
    DeleteRange,
    LeaseTimeToLive,
    Authenticate,
}

impl Method {
    const ALL: [Method; 5] =
        [Method::Range, Method::Txn, Method::DeleteRange, Method::LeaseTimeToLive, Method::Authenticate];

    fn path(self) -> PathAndQuery {
        PathAndQuery::from_static(match self {
            Method::Range => "/etcdserverpb.KV/Range",
            Method::Txn => "/etcdserverpb.KV/Txn",
            Method::DeleteRange => "/etcdserverpb.KV/DeleteRange",
            Method::LeaseTimeToLive => "/etcdserverpb.Lease/LeaseTimeToLive",
            Method::Authenticate => "/etcdserverpb.Auth/Authenticate",
        })
    }
}

/// Who is asked, as HTTP has it.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
}

impl Origin {
    pub(super) fn uri(&self, path: PathAndQuery) -> Uri {
        let parts = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone()).path_and_query(path);
        parts.build().expect("each part is good by itself")
    }
}

/// Asks over one connection, as one user.
pub(super) struct Caller {
    connection: Connection,
    heads: [Request<()>; Method::ALL.len()],
}

impl Caller {
    pub(super) fn new(connection: Connection, origin: &Origin, token: Option<&HeaderValue>) -> Self {
        Caller { connection, heads: Method::ALL.map(|method| head(origin.uri(method.path()), token)) }
    }

    /// Sends a message that was [framed](framed), and gives the one that answers it. May be dropped at any time.
    pub(super) async fn call<M: Message + Default>(&self, method: Method, message: Bytes) -> Result<M, Status> {
        self.ask(method, message).await.map_err(|status| match self.connection.why_ended() {
            Some(why) if status.source().is_some() && why.contains("received fatal alert") => {
                failed(Refused(why.into()))
            }
            _ => status,
        })
    }

    async fn ask<M: Message + Default>(&self, method: Method, message: Bytes) -> Result<M, Status> {
        let head = self.heads[method as usize].clone();
        let (response, mut body, _in_use) = self.connection.begin(head).map_err(failed)?;
        body.send_data(message, true).map_err(broken)?;
        let message = answer(response).await?;
        M::decode(message).map_err(|error| Status::internal(error.to_string()))
    }
}

fn head(uri: Uri, token: Option<&HeaderValue>) -> Request<()> {
    let mut head = Request::post(uri).version(Version::HTTP_2).body(()).expect("it has no part that could be wrong");
    let headers = head.headers_mut();
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::USER_AGENT, USER_AGENT);
    // A member without a leader is to refuse it.
    headers.insert("hasleader", HeaderValue::from_static("true"));
    if let Some(token) = token {
        headers.insert(TOKEN, token.clone());
    }
    head
}

/// A message as gRPC sends it.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(HEAD + length);
    bytes.put_u8(0);
    bytes.put_u32(length.try_into().expect("names and values are short"));
    message.encode(&mut bytes).expect("there is room for it");
    bytes.freeze()
}

async fn answer(response: ResponseFuture) -> Result<Bytes, Status> {
    let (head, mut body) = response.await.map_err(broken)?.into_parts();
    if head.headers.contains_key(GRPC_STATUS) {
        // A refusal, in the place of an answer.
        check(&head.headers)?;
    }
    if head.status != StatusCode::OK {
        return Err(not_grpc(head.status));
    }
    let message = message(&mut body).await?;
    match body.trailers().await.map_err(broken)? {
        Some(trailers) => check(&trailers)?,
        None => return Err(Status::unknown("the answer has no status")),
    }
    message.ok_or_else(|| Status::internal("the answer is incomplete"))
}

/// The only message; `None`: there is none, or not all of it.
async fn message(body: &mut RecvStream) -> Result<Option<Bytes>, Status> {
    let Some(first) = chunk(body).await? else { return Ok(None) };
    let mut whole = match chunk(body).await? {
        // As it arrived, without a copy.
        None => first,
        Some(second) => joined(first, second, body).await?,
    };
    if whole.len() < HEAD {
        return Ok(None);
    }
    let head = whole.split_to(HEAD);
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    too_large(length)?;
    match head[0] {
        0 => Ok((whole.len() == length).then_some(whole)),
        _ => Err(Status::internal("the answer is compressed, which nobody has asked for")),
    }
}

async fn joined(first: Bytes, second: Bytes, body: &mut RecvStream) -> Result<Bytes, Status> {
    let mut whole = BytesMut::with_capacity(2 * (first.len() + second.len()));
    whole.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(part) = next {
        whole.extend_from_slice(&part);
        too_large(whole.len().saturating_sub(HEAD))?;
        next = chunk(body).await?;
    }
    Ok(whole.freeze())
}

/// The next part of a body, which etcd may then send more of.
async fn chunk(body: &mut RecvStream) -> Result<Option<Bytes>, Status> {
    let Some(chunk) = body.data().await else { return Ok(None) };
    let chunk = chunk.map_err(broken)?;
    body.flow_control().release_capacity(chunk.len()).map_err(broken)?;
    Ok(Some(chunk))
}

fn too_large(length: usize) -> Result<(), Status> {
    match length > LARGEST_MESSAGE {
        true => Err(Status::out_of_range(format!("message length too large: {length} of at most {LARGEST_MESSAGE}"))),
        false => Ok(()),
    }
}

/// The status in a head or behind a body.
fn check(headers: &HeaderMap) -> Result<(), Status> {
    match headers.get(GRPC_STATUS) {
        Some(status) if status == "0" => Ok(()),
        Some(_) => Err(Status::from_header_map(headers).expect("there is one")),
        None => Err(Status::unknown("the answer has no status")),
    }
}

/// What gRPC makes of the answer of a server that speaks HTTP only.
fn not_grpc(status: StatusCode) -> Status {
    let code = match status {
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(code, format!("grpc-status header missing, mapped from HTTP status code {}", status.as_u16()))
}

fn broken(error: h2::Error) -> Status {
    failed(Broken(error))
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Status {
    Status::from_error(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::super::classify::{Verdict, classify_status};
    use super::super::proto::{Header, RangeRequest, RangeResponse};
    use super::*;
    use h2::server::{self, SendResponse};
    use http::Response;
    use std::sync::Arc;
    use tokio::sync::oneshot;

    type Requests = server::Connection<tokio::io::DuplexStream, Bytes>;

    /// A caller, and the server that it calls.
    async fn pair() -> (Caller, Requests) {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (connection, server) = tokio::join!(Connection::start(Box::new(near)), server::handshake(far));
        let origin = Origin { scheme: Scheme::HTTP, authority: Authority::from_static("etcd:1") };
        (Caller::new(connection.unwrap(), &origin, Some(&HeaderValue::from_static("abc"))), server.unwrap())
    }

    /// Calls a server that answers as `answer` does.
    async fn ask(answer: impl FnOnce(SendResponse<Bytes>) + Send + 'static) -> Result<RangeResponse, Status> {
        let (caller, mut server) = pair().await;
        let serving = async {
            let (request, respond) = server.accept().await.unwrap().unwrap();
            assert_eq!(request.headers()["token"], "abc");
            assert_eq!(request.headers()["hasleader"], "true");
            answer(respond);
            while server.accept().await.is_some() {}
        };
        let request = framed(&RangeRequest { key: b"k".into(), ..RangeRequest::default() });
        tokio::select! {
            answer = caller.call(Method::Range, request) => answer,
            () = serving => unreachable!("the connection is in use"),
        }
    }

    fn head() -> http::response::Builder {
        Response::builder().header("content-type", "application/grpc")
    }

    fn status(code: &'static str, message: &'static str) -> HeaderMap {
        let pairs = [("grpc-status", code), ("grpc-message", message)];
        pairs
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .into_iter()
            .collect()
    }

    /// A whole answer.
    fn send(mut respond: SendResponse<Bytes>, body: impl Into<Bytes>, trailers: HeaderMap) {
        let mut stream = respond.send_response(head().body(()).unwrap(), false).unwrap();
        stream.send_data(body.into(), false).unwrap();
        stream.send_trailers(trailers).unwrap();
    }

    fn answer() -> RangeResponse {
        RangeResponse { header: Some(Header { revision: 7 }), kvs: Vec::new(), count: 3 }
    }

    #[tokio::test]
    async fn an_answer_with_a_status_behind_it() {
        assert_eq!(ask(|respond| send(respond, framed(&answer()), status("0", ""))).await.unwrap(), answer());
        // One of several parts.
        let mut large = answer();
        large.kvs.resize_with(20, || super::super::proto::KeyValue { value: vec![7; 1 << 20], ..Default::default() });
        let sent = framed(&large);
        assert_eq!(ask(|respond| send(respond, sent, status("0", ""))).await.unwrap(), large);
    }

    #[tokio::test]
    async fn refusals_say_why() {
        let refused = ask(|mut respond| {
            let mut response = head().body(()).unwrap();
            response.headers_mut().extend(status("5", "etcdserver: requested lease%20not found"));
            respond.send_response(response, true).unwrap();
        });
        let refused = refused.await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::NotFound, "etcdserver: requested lease not found"));
        // Behind an answer that then does not count.
        let refused = ask(|respond| send(respond, framed(&answer()), status("14", "no leader"))).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::Unavailable, "no leader"));
    }

    #[tokio::test]
    async fn what_is_no_answer_is_an_error() {
        let page = ask(|mut respond| {
            respond.send_response(Response::builder().status(404).body(()).unwrap(), true).unwrap();
        });
        assert_eq!(page.await.unwrap_err().code(), Code::Unimplemented);
        let mut compressed = framed(&answer()).to_vec();
        compressed[0] = 1;
        let whole = framed(&answer());
        for body in [Bytes::new(), whole.slice(..3), whole.slice(..whole.len() - 1), compressed.into()] {
            let error = ask(|respond| send(respond, body, status("0", ""))).await.unwrap_err();
            assert_eq!(error.code(), Code::Internal, "{error}");
        }
        let without_status = ask(|respond| send(respond, framed(&answer()), HeaderMap::new())).await.unwrap_err();
        assert_eq!(without_status.code(), Code::Unknown);
        let huge = ask(|respond| send(respond, vec![0, 255, 255, 255, 255], status("0", ""))).await.unwrap_err();
        assert_eq!(classify_status(huge).verdict, Verdict::Doubt);
    }

    #[tokio::test]
    async fn only_what_the_server_has_not_looked_at_is_in_no_doubt() {
        for (reason, verdict) in
            [(h2::Reason::REFUSED_STREAM, Verdict::NotDone), (h2::Reason::INTERNAL_ERROR, Verdict::Doubt)]
        {
            let error = ask(move |mut respond| respond.send_reset(reason)).await.unwrap_err();
            assert_eq!(classify_status(error).verdict, verdict, "{reason}");
        }
        let (caller, mut server) = pair().await;
        server.abrupt_shutdown(h2::Reason::NO_ERROR);
        let serving = tokio::spawn(async move { while server.accept().await.is_some() {} });
        let (first, second) = tokio::join!(
            caller.call::<RangeResponse>(Method::Range, framed(&RangeRequest::default())),
            caller.call::<RangeResponse>(Method::Range, framed(&RangeRequest::default()))
        );
        for ended in [first, second, caller.call(Method::Range, framed(&RangeRequest::default())).await] {
            assert_eq!(classify_status(ended.unwrap_err()).verdict, Verdict::NotDone);
        }
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_resets_its_stream() {
        let (caller, mut server) = pair().await;
        let caller = Arc::new(caller);
        let calling = caller.clone();
        let call = tokio::spawn(async move {
            let _ = calling.call::<RangeResponse>(Method::Range, framed(&RangeRequest::default())).await;
        });
        let (_request, mut respond) = server.accept().await.unwrap().unwrap();
        call.abort();
        let (tell, reset) = oneshot::channel();
        tokio::spawn(async move { tell.send(std::future::poll_fn(|cx| respond.poll_reset(cx)).await) });
        tokio::select! {
            reason = reset => assert_eq!(reason.unwrap().unwrap(), h2::Reason::CANCEL),
            _ended = server.accept() => unreachable!("nobody else calls"),
        }
    }
}
