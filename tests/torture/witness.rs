//! etcd's own account of what happened to a key.

use crate::measure::now;
use etcd_client::{Client, EventType, WatchOptions};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// Watches a key on members that are not harmed.
pub(crate) struct Witness {
    gone: watch::Receiver<Option<Duration>>,
}

impl Witness {
    /// Returns when it watches.
    pub(crate) async fn of(endpoints: &str, key: &str) -> Self {
        let endpoints: Vec<_> = endpoints.split(',').collect();
        let mut client = Client::connect(&endpoints, None).await.expect("etcd answers");
        let options = WatchOptions::new().with_fragment();
        let mut stream = client.watch(key, Some(options)).await.expect("etcd answers");
        let created = stream.message().await.expect("etcd answers").expect("the watch is confirmed");
        assert!(created.created());
        let (tell, gone) = watch::channel(None);
        tokio::spawn(async move {
            let _client = client;
            while let Ok(Some(message)) = stream.message().await {
                if message.events().iter().any(|event| event.event_type() == EventType::Delete) {
                    tell.send_replace(Some(now()));
                    return;
                }
            }
        });
        Witness { gone }
    }

    /// When the key went, once it has.
    pub(crate) async fn gone(&mut self) -> Duration {
        let gone = timeout(locker_harness::PATIENCE, self.gone.wait_for(Option::is_some)).await;
        gone.expect("the key goes").expect("the watch lasts").expect("waited for")
    }
}
