//! The floor: the requests that a lock and its unlock cannot do without, one after the other, and nothing else.

use super::measure::{Locks, each_its_own, one_after_the_other};
use super::{answer, commands, millis};
use crate::Result;
use etcd_client::{
    Channel, Client, Compare, CompareOp, EventType, GetOptions, KvClient, PutOptions, SortOrder, SortTarget, Txn,
    TxnOp, WatchOptions,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::transport::Endpoint;

/// What a client of ours writes has about this length.
pub(super) const RECORD: &str =
    r#"{"v":1,"value":"somewhere:123456","host":"somewhere","pid":123456,"program":"bench","since":1790000000000}"#;
/// As long as a run.
pub(super) const TTL: i64 = 3600;
/// How long the second of two may take to watch.
const HEAD_START: Duration = Duration::from_millis(100);

#[derive(Clone)]
struct Raw {
    kv: KvClient,
    lease: i64,
    epoch: i64,
    next: Arc<AtomicU64>,
}

pub(super) async fn serve(endpoints: &str) -> Result<()> {
    let address = Endpoint::from_shared(endpoints.to_string())?.tcp_nodelay(true);
    let client = Client::from_channel(Channel::Tonic(address.connect().await?), None).await?;
    let raw = Raw::new(&client).await?;
    let mut commands = commands();
    while let Some(command) = commands.recv().await {
        let words: Vec<_> = command.split_whitespace().collect();
        answer(&match words[..] {
            ["loop", name, count] => one_after_the_other(&raw, name, count.parse()?).await?,
            ["keys", name, callers, count] => each_its_own(&raw, name, callers.parse()?, count.parse()?).await?,
            ["ping", name, time] => ping_pong(&client, [name, "ping"], [name, "pong"], true, millis(time)?).await?,
            ["pong", name, time] => ping_pong(&client, [name, "pong"], [name, "ping"], false, millis(time)?).await?,
            _ => return Err(format!("no such command: {command}").into()),
        });
    }
    client.lease_client().revoke(raw.lease).await?;
    Ok(())
}

impl Raw {
    async fn new(client: &Client) -> Result<Self> {
        let lease = client.lease_client().grant(TTL, None).await?.id();
        let mut kv = client.kv_client();
        let put = kv.put(epoch_key(lease), "", Some(PutOptions::new().with_lease(lease))).await?;
        let epoch = put.header().ok_or("no header")?.revision();
        Ok(Raw { kv, lease, epoch, next: Arc::default() })
    }

    /// As the core enters a queue: if the key is new and nothing was fenced off, then put it, and in any case say who is
    /// the first.
    fn enter(&self, prefix: &str, key: &str) -> Txn {
        let oldest = || {
            let first = GetOptions::new().with_prefix().with_sort(SortTarget::Create, SortOrder::Ascend).with_limit(1);
            TxnOp::get(prefix, Some(first))
        };
        Txn::new()
            .when([
                Compare::create_revision(key, CompareOp::Equal, 0),
                Compare::mod_revision(epoch_key(self.lease), CompareOp::Equal, self.epoch),
            ])
            .and_then([TxnOp::put(key, RECORD, Some(PutOptions::new().with_lease(self.lease))), oldest()])
            .or_else([oldest(), TxnOp::get(key, None), TxnOp::get(epoch_key(self.lease), None)])
    }
}

fn epoch_key(lease: i64) -> String {
    format!("/raw/epoch/{lease:x}")
}

impl Locks for Raw {
    type Held = String;

    async fn lock(&self, name: &str) -> Result<String> {
        let prefix = format!("/raw/{name}/");
        let key = format!("{prefix}{:x}-{}", self.lease, self.next.fetch_add(1, Ordering::Relaxed));
        let reply = self.kv.clone().txn(self.enter(&prefix, &key)).await?;
        reply.succeeded().then_some(key).ok_or_else(|| "a new key was there already".into())
    }

    async fn unlock(&self, key: String) -> Result<()> {
        let reply = self.kv.clone().delete(key, None).await?;
        if reply.deleted() == 1 { Ok(()) } else { Err("the key is gone".into()) }
    }
}

/// Two processes that answer each put of the other with one of their own: what a handover from process to process cannot
/// be faster than, as long as each is written by one and seen by the other. Counts the turns of this side.
async fn ping_pong(client: &Client, own: [&str; 2], other: [&str; 2], begins: bool, time: Duration) -> Result<Value> {
    let [own, other] = [own, other].map(|[name, side]| format!("/raw/{name}/{side}"));
    let mut kv = client.kv_client();
    let mut watch = client.watch_client().watch(other, Some(WatchOptions::new())).await?;
    let begin = Instant::now() + HEAD_START * 2;
    let end = begin + time;
    if begins {
        sleep(HEAD_START).await;
        kv.put(own.as_str(), "", None).await?;
    }
    let mut count = 0;
    while let Ok(message) = timeout_at(end, watch.message()).await {
        let message = message?.ok_or("the watch has ended")?;
        for event in message.events() {
            if event.event_type() == EventType::Put && Instant::now() < end {
                count += usize::from(Instant::now() > begin);
                kv.put(own.as_str(), "", None).await?;
            }
        }
    }
    Ok(json!({"count": count}))
}
