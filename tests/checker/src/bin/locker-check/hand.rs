//! Frees locks by hand, as an operator would who does not ask their holders.

use crate::Result;
use crate::settings::PREFIX;
use etcd_client::{Client, ConnectOptions, GetOptions, KeyValue, SortOrder, SortTarget};
use locker_check::faults::What;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// One attempt at one thing.
const ATTEMPT: Duration = Duration::from_secs(1);
/// How long a key must have been there, and how often to look for one.
const A_WHILE: Duration = Duration::from_millis(40);
const LOOKS: u32 = 30;
/// Until it has to be known whether it was done.
const LIMIT: Duration = Duration::from_secs(30);

/// A lock's key that is to go.
pub(crate) struct Victim {
    client: Client,
    key: KeyValue,
    what: What,
}

impl Victim {
    /// Chooses a key that has been in the queue of a lock for a while, so that it is not on its way out: its holder's,
    /// or now and then another one.
    pub(crate) async fn choose(endpoints: &[String], lock: u32, what: What) -> Result<Option<Self>> {
        let options = ConnectOptions::new().with_connect_timeout(ATTEMPT);
        let mut client = Client::connect(endpoints, Some(options)).await?;
        let place = if fastrand::u32(..4) == 0 { fastrand::usize(..4) } else { 0 };
        let mut earlier = 0;
        for _ in 0..LOOKS {
            let queue = GetOptions::new().with_prefix().with_sort(SortTarget::Create, SortOrder::Ascend);
            let found = timeout(ATTEMPT, client.get(format!("{PREFIX}L{lock}/"), Some(queue))).await??;
            let Some(key) = found.kvs().get(place) else { return Ok(None) };
            if key.create_revision() == earlier {
                return Ok(Some(Victim { client, key: key.clone(), what }));
            }
            earlier = key.create_revision();
            sleep(A_WHILE).await;
        }
        Ok(None)
    }

    pub(crate) fn token(&self) -> u64 {
        self.key.create_revision() as u64
    }

    /// Frees it, whatever it takes, and gives the revision at which something went: 0 if that is not known, `MAX` if
    /// nothing did.
    pub(crate) async fn free(mut self) -> Result<u64> {
        let end = Instant::now() + LIMIT;
        let mut doubt = 0;
        while Instant::now() < end {
            if let Ok(Ok(revision)) = timeout(ATTEMPT, self.attempt()).await {
                return Ok(revision.unwrap_or(if doubt == 0 { u64::MAX } else { 0 }));
            }
            doubt += 1;
            sleep(ATTEMPT / 10).await;
        }
        Err("nothing can be deleted by hand".into())
    }

    /// Gives the revision if it was this attempt that did it.
    async fn attempt(&mut self) -> Result<Option<u64>> {
        let header = match self.what {
            What::Revoke => match self.client.lease_revoke(self.key.lease()).await {
                Ok(mut done) => done.take_header(),
                Err(etcd_client::Error::GRpcStatus(status)) if status.message().contains("not found") => None,
                Err(error) => return Err(error.into()),
            },
            _ => {
                let mut done = self.client.delete(self.key.key(), None).await?;
                done.take_header().filter(|_| done.deleted() > 0)
            }
        };
        Ok(header.map(|header| header.revision() as u64))
    }
}
