//! The frequent calls, written to the connection as directly as gRPC allows: a head that is made once, one message there
//! and one back, and a status behind it.

use super::connection::{Broken, Connection};
use bytes::{BufMut, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::ResponseFuture;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, Version, header};
use prost::Message;
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
    Authenticate,
}

impl Method {
    const ALL: [Method; 4] = [Method::Range, Method::Txn, Method::DeleteRange, Method::Authenticate];

    fn path(self) -> PathAndQuery {
        PathAndQuery::from_static(match self {
            Method::Range => "/etcdserverpb.KV/Range",
            Method::Txn => "/etcdserverpb.KV/Txn",
            Method::DeleteRange => "/etcdserverpb.KV/DeleteRange",
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
    let Some(mut whole) = chunk(body).await? else { return Ok(None) };
    while let Some(more) = chunk(body).await? {
        // Without a copy, as long as nobody else has a part of it.
        let mut longer = BytesMut::from(whole);
        longer.extend_from_slice(&more);
        whole = longer.freeze();
        too_large(whole.len().saturating_sub(HEAD))?;
    }
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
