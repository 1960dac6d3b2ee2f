//! What is logged. One test alone: a log that one thread collects is unreliable while others run beside it.
#![allow(missing_docs)]

use locker::Client;
use locker_harness::{Etcd, eventually};
use std::sync::{Arc, Mutex};
use tracing::Level;

/// Everything that is logged from now on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin() -> Self {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(Level::DEBUG).with_writer(move || writer.clone());
        subscriber.with_ansi(false).init();
        log
    }

    fn count(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap()).matches(text).count()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_server_is_logged_once() {
    let log = Log::begin();
    let etcd = Etcd::start();
    let client = Client::connect(etcd.endpoint()).await.unwrap();
    eventually("the version is known", async || log.count("etcd's version") == 1).await;
    client.lock("x").await.unwrap().unlock().await.unwrap();
    let is_old = etcd.ctl(&["endpoint", "status", "--write-out=json"]).contains(r#""version":"3.4.2"#);
    assert_eq!(log.count("has known faults: a leader whose disk stalls"), usize::from(is_old));
}
