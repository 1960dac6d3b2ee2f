//! What an error of etcd, or of the transport to it, means for the call that got it.
//!
//! gRPC codes alone do not say: a connection cut in mid-call is `Unknown`, tonic's own time limit is `Cancelled`, and
//! etcd uses one code for several things. So the source chain and the message are looked at too.

use super::connection::{Broken, Unsent};
use crate::{Error, ErrorKind};
use std::error::Error as StdError;
use tonic::{Code, Status};

/// What can be done about a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It never reached etcd, or etcd did not take it up. Any call may be tried elsewhere.
    NotDone,
    /// It may have been done, or may yet be.
    Doubt,
    /// The auth token is no longer good. Get another and try again.
    TokenStale,
    /// No permission, wrong credentials, a bad request: trying again is of no use.
    Refused,
    /// This endpoint will not have us, or does not serve such calls; that says nothing of the others.
    NotHere,
    /// The lease is not there.
    LeaseGone,
    /// There is such a lease already: an earlier try of ours made it.
    LeaseExists,
    /// The history was compacted.
    Compacted,
}

/// A failed attempt: what can be done about it, and how to say it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) verdict: Verdict,
    pub(crate) error: Error,
}

impl Failure {
    pub(crate) fn new(verdict: Verdict, kind: ErrorKind, message: impl Into<String>) -> Self {
        Failure { verdict, error: Error::new(kind, message) }
    }

    /// An attempt that got no answer within its limit.
    pub(crate) fn silence(sent: bool) -> Self {
        let verdict = if sent { Verdict::Doubt } else { Verdict::NotDone };
        Failure::new(verdict, ErrorKind::Unavailable, "no answer in time")
    }
}

pub(crate) fn classify(error: etcd_client::Error) -> Failure {
    match error {
        etcd_client::Error::GRpcStatus(status) => classify_status(status),
        etcd_client::Error::LeaseKeepAliveError(text) if text == "lease not found" => {
            Failure::new(Verdict::LeaseGone, ErrorKind::Lost, text)
        }
        etcd_client::Error::InvalidArgs(_) | etcd_client::Error::InvalidUri(_) => {
            Failure::new(Verdict::Refused, ErrorKind::Invalid, error.to_string())
        }
        // The remaining ones are ends of streams and a channel that cannot be made.
        _ => Failure::new(Verdict::Doubt, ErrorKind::Unavailable, error.to_string()),
    }
}

pub(super) fn classify_status(status: Status) -> Failure {
    let (verdict, kind) = judge(&status);
    let error = Error::new(kind, describe(&status)).with_grpc_code(status.code() as i32).with_source(status);
    Failure { verdict, error }
}

fn judge(status: &Status) -> (Verdict, ErrorKind) {
    let message = status.message();
    let says = |text: &str| message.contains(text);
    if let Some(cause) = connect_error(status) {
        return match cause.contains("certificate") || cause.contains("received fatal alert") {
            true => (Verdict::NotHere, ErrorKind::Denied),
            false => (Verdict::NotDone, ErrorKind::Unavailable),
        };
    }
    if status.source().is_some() {
        // Cut while under way. A server that wants a client certificate says so only after the handshake; any other
        // alert may come when the request has been done.
        let why = chain(status);
        let is_refusal = ["Certificate", "UnknownCA", "AccessDenied"].iter().any(|alert| why.contains(alert));
        return match is_refusal && why.contains("received fatal alert") {
            true => (Verdict::NotHere, ErrorKind::Denied),
            false if is_untouched(status) => (Verdict::NotDone, ErrorKind::Unavailable),
            false => (Verdict::Doubt, ErrorKind::Unavailable),
        };
    }
    match status.code() {
        Code::Unauthenticated => (Verdict::TokenStale, ErrorKind::Denied),
        Code::InvalidArgument if says("user name is empty") || says("revision of auth store is old") => {
            (Verdict::TokenStale, ErrorKind::Denied)
        }
        Code::InvalidArgument if says("authentication failed") => (Verdict::Refused, ErrorKind::Denied),
        Code::PermissionDenied => (Verdict::Refused, ErrorKind::Denied),
        Code::NotFound if says("lease not found") => (Verdict::LeaseGone, ErrorKind::Lost),
        Code::FailedPrecondition if says("lease already exists") => (Verdict::LeaseExists, ErrorKind::Internal),
        Code::FailedPrecondition if says("authentication is not enabled") => (Verdict::Refused, ErrorKind::Denied),
        Code::OutOfRange if says("compacted") => (Verdict::Compacted, ErrorKind::Internal),
        _ if says("not supported for learner") || says("not capable") => (Verdict::NotHere, ErrorKind::Unavailable),
        Code::Unavailable if says("no leader") => (Verdict::NotDone, ErrorKind::Unavailable),
        Code::ResourceExhausted if says("database space exceeded") => (Verdict::Refused, ErrorKind::Unavailable),
        Code::ResourceExhausted if says("too many requests") => (Verdict::NotDone, ErrorKind::Unavailable),
        // An answer that is too large comes after the deed.
        Code::OutOfRange if says("message length too large") => (Verdict::Doubt, ErrorKind::Unavailable),
        // A server, but not etcd; also what tonic makes of a web server's "not found".
        Code::Unimplemented => (Verdict::NotDone, ErrorKind::Unavailable),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => (Verdict::Refused, ErrorKind::Internal),
        _ => (Verdict::Doubt, ErrorKind::Unavailable),
    }
}

/// The text of the failed connection, if there was no connection to send on.
fn connect_error(status: &Status) -> Option<String> {
    causes(status).find(|cause| cause.is::<tonic::ConnectError>()).map(chain)
}

/// Whether etcd has certainly not looked at it.
fn is_untouched(status: &Status) -> bool {
    causes(status).any(|cause| cause.is::<Unsent>() || cause.downcast_ref().is_some_and(Broken::is_untouched))
}

/// What it says, with its causes, for people. Texts that only repeat are left out.
fn describe(status: &Status) -> String {
    let mut parts: Vec<String> = vec![status.message().to_string()];
    for cause in causes(status) {
        let text = cause.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// What lies at the bottom of an error: those above only say that something failed.
pub(super) fn root(error: &dyn StdError) -> String {
    error.source().map_or_else(|| error.to_string(), root)
}

fn chain(error: &(dyn StdError + 'static)) -> String {
    std::iter::successors(Some(error), |error| (*error).source()).map(|error| format!("{error}; ")).collect()
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(status.source(), |error| (*error).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The statuses of etcd's rpctypes/error.go and of tonic, as they were seen or read there.
    #[test]
    fn every_status_we_know_is_told_apart() {
        use ErrorKind::*;
        use Verdict::*;
        for (code, message, expected) in [
            (Code::Unavailable, "etcdserver: no leader", (NotDone, Unavailable)),
            (Code::Unavailable, "etcdserver: request timed out", (Doubt, Unavailable)),
            (Code::Unavailable, "etcdserver: leader changed", (Doubt, Unavailable)),
            (Code::Unavailable, "etcdserver: server stopped", (Doubt, Unavailable)),
            (Code::FailedPrecondition, "etcdserver: rpc not supported for learner", (NotHere, Unavailable)),
            (Code::Unavailable, "etcdserver: rpc not supported for learner", (NotHere, Unavailable)),
            (Code::FailedPrecondition, "etcdserver: not capable", (NotHere, Unavailable)),
            (Code::Unknown, "context canceled", (Doubt, Unavailable)),
            (Code::Cancelled, "Timeout expired", (Doubt, Unavailable)),
            (Code::ResourceExhausted, "etcdserver: too many requests", (NotDone, Unavailable)),
            (Code::ResourceExhausted, "grpc: received message larger than max", (Doubt, Unavailable)),
            (Code::OutOfRange, "Error, decoded message length too large: found 9", (Doubt, Unavailable)),
            (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded", (Refused, Unavailable)),
            (Code::Unauthenticated, "etcdserver: invalid auth token", (TokenStale, Denied)),
            (Code::InvalidArgument, "etcdserver: user name is empty", (TokenStale, Denied)),
            (Code::InvalidArgument, "etcdserver: revision of auth store is old", (TokenStale, Denied)),
            (
                Code::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password",
                (Refused, Denied),
            ),
            (Code::PermissionDenied, "etcdserver: permission denied", (Refused, Denied)),
            (Code::FailedPrecondition, "etcdserver: authentication is not enabled", (Refused, Denied)),
            (Code::NotFound, "etcdserver: requested lease not found", (LeaseGone, Lost)),
            (Code::FailedPrecondition, "etcdserver: lease already exists", (LeaseExists, Internal)),
            (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted", (Compacted, Internal)),
            (Code::OutOfRange, "etcdserver: too large lease TTL", (Refused, Internal)),
            (Code::Unimplemented, "unknown service etcdserverpb.KV", (NotDone, Unavailable)),
            (
                Code::Unimplemented,
                "grpc-status header missing, mapped from HTTP status code 404",
                (NotDone, Unavailable),
            ),
            (Code::InvalidArgument, "etcdserver: duplicate key given in txn request", (Refused, Internal)),
        ] {
            assert_eq!(judge(&Status::new(code, message)), expected, "{code:?} {message}");
        }
    }
}
