//! Between the core's words and the messages of etcd, those of [`proto`] and those of etcd_client.

use super::proto;
use crate::store::{Compare, Deleted, Event, KeyRange, KeyValue, Op, Range, RangeReply, Txn, TxnReply};
use etcd_client as etcd;

pub(super) fn txn(txn: Txn) -> proto::TxnRequest {
    proto::TxnRequest {
        compare: txn.when.into_iter().map(compare).collect(),
        success: txn.then.into_iter().map(op).collect(),
        failure: txn.otherwise.into_iter().map(op).collect(),
    }
}

/// A transaction with others inside, for an etcd that is to know who we are: inside another, beside a branch that is never
/// taken and names what they put and read. etcd before 3.4.42, 3.5.28 and 3.6.9 asks for the permission of those inside
/// only there. Says, too, whether it had to be.
pub(super) fn naming_what_is_inside(txn: proto::TxnRequest, known: bool) -> (proto::TxnRequest, bool) {
    let inside = txn.success.iter().filter_map(|op| match &op.request {
        Some(proto::Request::Txn(inner)) => Some(inner),
        _ => None,
    });
    let named: Vec<_> = inside.flat_map(named).collect();
    if !known || named.is_empty() {
        return (txn, false);
    }
    let whole = proto::RequestOp { request: Some(proto::Request::Txn(txn)) };
    (proto::TxnRequest { compare: Vec::new(), success: vec![whole], failure: named }, true)
}

/// What a transaction inside puts, and the queue that it looks at.
fn named(inner: &proto::TxnRequest) -> Vec<proto::RequestOp> {
    use proto::Request::{Put, Range};
    let compared = inner.compare.iter().filter(|compare| !compare.range_end.is_empty());
    let looks = compared.map(|compare| (compare.key.clone(), compare.range_end.clone()));
    let looks = looks.map(|(key, range_end)| proto::RangeRequest { key, range_end, limit: 1, ..Default::default() });
    let does = inner.success.iter().filter_map(|op| match &op.request {
        Some(Put(put)) => Some(Put(proto::PutRequest { key: put.key.clone(), ..Default::default() })),
        Some(Range(range)) => Some(Range(range.clone())),
        _ => None,
    });
    looks.map(Range).chain(does).map(|request| proto::RequestOp { request: Some(request) }).collect()
}

fn compare(compare: Compare) -> proto::Compare {
    use proto::CompareResult::{Equal, Less};
    use proto::CompareTarget::{Create, Mod};
    use proto::TargetUnion::{CreateRevision, ModRevision};
    let ((key, range_end), target, result, than) = match compare {
        Compare::Absent(keys) => (bounds(keys), Create, Equal, CreateRevision(0)),
        Compare::Modified(key, revision) => (bounds(KeyRange::Key(key)), Mod, Equal, ModRevision(revision)),
        Compare::NoneSince(keys, revision) => (bounds(keys), Create, Less, CreateRevision(revision + 1)),
    };
    proto::Compare { result: result as i32, target: target as i32, key, target_union: Some(than), range_end }
}

fn op(op: Op) -> proto::RequestOp {
    use proto::Request;
    let request = match op {
        Op::Put { key, value, lease } => Request::Put(proto::PutRequest { key: key.into(), value, lease }),
        Op::Delete(key) => Request::DeleteRange(delete(key)),
        Op::Range(wanted) => Request::Range(range(wanted)),
        Op::Txn(inner) => Request::Txn(txn(inner)),
    };
    proto::RequestOp { request: Some(request) }
}

pub(super) fn delete(key: String) -> proto::DeleteRangeRequest {
    proto::DeleteRangeRequest { key: key.into() }
}

/// Of many keys in the order of their creation, or against it.
pub(super) fn range(range: Range) -> proto::RangeRequest {
    use proto::{SortOrder, SortTarget};
    let (order, target) = match range.keys {
        KeyRange::Key(_) => (SortOrder::None, SortTarget::Key),
        _ if range.before > 0 => (SortOrder::Descend, SortTarget::Create),
        _ => (SortOrder::Ascend, SortTarget::Create),
    };
    let (key, range_end) = bounds(range.keys);
    proto::RangeRequest {
        key,
        range_end,
        limit: range.limit,
        sort_order: order as i32,
        sort_target: target as i32,
        serializable: range.serializable,
        keys_only: range.keys_only,
        // None before the first revision: 0 would be all.
        max_create_revision: if range.before > 0 { (range.before - 1).max(1) } else { 0 },
    }
}

/// The first key and the end of a range. No end is that of one key; "\0" as the end means that there is none.
fn bounds(keys: KeyRange) -> (Vec<u8>, Vec<u8>) {
    match keys {
        KeyRange::Key(key) => (key.into(), Vec::new()),
        KeyRange::Between(from, to) => (from.into(), to.into()),
        KeyRange::Prefix(prefix) => {
            let mut end = prefix.clone().into_bytes();
            match end.last_mut() {
                // 255 is in no UTF-8.
                Some(last) => *last += 1,
                None => return (vec![0], vec![0]),
            }
            (prefix.into(), end)
        }
    }
}

impl KeyRange {
    pub(crate) fn start(&self) -> &str {
        match self {
            KeyRange::Key(key) | KeyRange::Prefix(key) | KeyRange::Between(key, _) => key,
        }
    }
}

pub(crate) fn watch_options(keys: &KeyRange, from: Option<i64>) -> etcd::WatchOptions {
    let mut options = etcd::WatchOptions::new();
    match keys {
        KeyRange::Key(_) => (),
        KeyRange::Prefix(_) => options = options.with_prefix(),
        KeyRange::Between(_, to) => options = options.with_range(to.as_str()),
    }
    match from {
        Some(revision) => options.with_start_revision(revision),
        None => options,
    }
}

pub(super) fn txn_reply(reply: proto::TxnResponse) -> TxnReply {
    let revision = reply.header.as_ref().map_or(0, |header| header.revision);
    txn_reply_at(revision, reply)
}

/// The replies inside a transaction carry no revision of their own that could be trusted: it is that of the transaction.
fn txn_reply_at(revision: i64, reply: proto::TxnResponse) -> TxnReply {
    use proto::Response;
    let mut done = TxnReply { revision, succeeded: reply.succeeded, ..TxnReply::default() };
    for op in reply.responses.into_iter().filter_map(|op| op.response) {
        match op {
            Response::Put(_) => (),
            Response::Range(reply) => done.ranges.push(RangeReply { revision, ..range_reply(reply) }),
            Response::DeleteRange(reply) => done.deleted.push(reply.deleted > 0),
            Response::Txn(reply) => done.txns.push(txn_reply_at(revision, reply)),
        }
    }
    done
}

pub(super) fn range_reply(reply: proto::RangeResponse) -> RangeReply {
    RangeReply {
        revision: reply.header.as_ref().map_or(0, |header| header.revision),
        count: reply.count,
        kvs: reply.kvs.into_iter().map(read).collect(),
    }
}

fn read(kv: proto::KeyValue) -> KeyValue {
    let (created, modified, lease) = (kv.create_revision, kv.mod_revision, kv.lease);
    KeyValue { key: kv.key, value: kv.value, created, modified, lease }
}

/// What became of a key, if an earlier try of the same delete may have been done.
pub(super) fn deleted(reply: &proto::DeleteRangeResponse, doubted: bool) -> Deleted {
    match (reply.deleted, doubted) {
        (_, true) => Deleted::Unclear,
        (0, false) => Deleted::Absent,
        _ => Deleted::Now,
    }
}

fn key_value(kv: etcd::KeyValue) -> KeyValue {
    let (created, modified, lease) = (kv.create_revision(), kv.mod_revision(), kv.lease());
    let (key, value) = kv.into_key_value();
    KeyValue { key, value, created, modified, lease }
}

pub(crate) fn event(event: &etcd::Event) -> Option<Event> {
    let kv = event.kv()?;
    Some(match event.event_type() {
        etcd::EventType::Put => Event::Put(key_value(kv.clone())),
        etcd::EventType::Delete => Event::Delete { key: kv.key().to_vec(), revision: kv.mod_revision() },
    })
}

pub(crate) fn revision(header: Option<&etcd::ResponseHeader>) -> i64 {
    header.map_or(0, etcd::ResponseHeader::revision)
}
