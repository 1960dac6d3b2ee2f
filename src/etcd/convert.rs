//! Between the core's words and the messages of etcd_client.

use crate::store::{Compare, Event, KeyRange, KeyValue, Op, Range, RangeReply, Txn, TxnReply};
use etcd_client as etcd;

pub(crate) fn txn(txn: &Txn) -> etcd::Txn {
    etcd::Txn::new()
        .when(txn.when.iter().map(compare).collect::<Vec<_>>())
        .and_then(txn.then.iter().map(op).collect::<Vec<_>>())
        .or_else(txn.otherwise.iter().map(op).collect::<Vec<_>>())
}

fn compare(compare: &Compare) -> etcd::Compare {
    match compare {
        Compare::Absent(KeyRange::Key(key)) => etcd::Compare::create_revision(key.as_str(), etcd::CompareOp::Equal, 0),
        Compare::Absent(KeyRange::Prefix(prefix)) => {
            etcd::Compare::create_revision(prefix.as_str(), etcd::CompareOp::Equal, 0).with_prefix()
        }
        Compare::Modified(key, revision) => {
            etcd::Compare::mod_revision(key.as_str(), etcd::CompareOp::Equal, *revision)
        }
    }
}

fn op(op: &Op) -> etcd::TxnOp {
    match op {
        Op::Put { key, value, lease } => {
            let options = etcd::PutOptions::new().with_lease(*lease);
            etcd::TxnOp::put(key.as_str(), value.as_slice(), Some(options))
        }
        Op::Delete(key) => etcd::TxnOp::delete(key.as_str(), None),
        Op::Range(range) => etcd::TxnOp::get(range.keys.start(), Some(get_options(range))),
        Op::Txn(inner) => etcd::TxnOp::txn(txn(inner)),
    }
}

impl KeyRange {
    pub(crate) fn start(&self) -> &str {
        match self {
            KeyRange::Key(key) | KeyRange::Prefix(key) => key,
        }
    }
}

pub(crate) fn get_options(range: &Range) -> etcd::GetOptions {
    let mut options = etcd::GetOptions::new().with_limit(range.limit);
    if let KeyRange::Prefix(_) = range.keys {
        options = options.with_prefix().with_sort(etcd::SortTarget::Create, etcd::SortOrder::Ascend);
    }
    if range.serializable {
        options = options.with_serializable();
    }
    options
}

pub(crate) fn watch_options(keys: &KeyRange, from: Option<i64>) -> etcd::WatchOptions {
    let mut options = etcd::WatchOptions::new();
    if let KeyRange::Prefix(_) = keys {
        options = options.with_prefix();
    }
    match from {
        Some(revision) => options.with_start_revision(revision),
        None => options,
    }
}

pub(crate) fn txn_reply(reply: etcd::TxnResponse) -> TxnReply {
    let revision = revision(reply.header());
    txn_reply_at(revision, reply)
}

/// The replies inside a transaction carry no revision of their own that could be trusted: it is that of the transaction.
fn txn_reply_at(revision: i64, reply: etcd::TxnResponse) -> TxnReply {
    let mut done = TxnReply { revision, succeeded: reply.succeeded(), ..TxnReply::default() };
    for op in reply.op_responses() {
        match op {
            etcd::TxnOpResponse::Put(_) => (),
            etcd::TxnOpResponse::Get(reply) => done.ranges.push(RangeReply { revision, ..range_reply(reply) }),
            etcd::TxnOpResponse::Delete(reply) => done.deleted.push(reply.deleted() > 0),
            etcd::TxnOpResponse::Txn(reply) => done.txns.push(txn_reply_at(revision, reply)),
        }
    }
    done
}

pub(crate) fn range_reply(mut reply: etcd::GetResponse) -> RangeReply {
    RangeReply {
        revision: revision(reply.header()),
        count: reply.count(),
        kvs: reply.take_kvs().into_iter().map(key_value).collect(),
    }
}

fn key_value(kv: etcd::KeyValue) -> KeyValue {
    let (created, modified) = (kv.create_revision(), kv.mod_revision());
    let (key, value) = kv.into_key_value();
    KeyValue { key, value, created, modified }
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
