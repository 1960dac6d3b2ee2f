//! What the core says of etcd in its log.

use crate::exit::Failure;
use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The modules of the core that know an etcd.
const TARGET: &str = "locker::etcd";
/// How long it may take to say its version: nothing depends on it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Hears it from its beginning on.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Heard>);

#[derive(Default)]
struct Heard {
    said: Mutex<Said>,
    news: Notify,
}

/// What was said since it was last asked.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) version: Option<String>,
    pub(crate) warnings: Vec<String>,
}

impl Log {
    pub(crate) fn begin() -> Result<Self, Failure> {
        let log = Log::default();
        tracing::subscriber::set_global_default(log.clone()).map_err(io::Error::other)?;
        Ok(log)
    }

    /// What was said since the last time, with the version if it comes soon.
    pub(crate) async fn take(&self) -> Said {
        let told = async {
            while self.said().version.is_none() {
                self.0.news.notified().await;
            }
        };
        let _ = timeout(PATIENCE, told).await;
        // What is wrong with a version is said right after it.
        tokio::task::yield_now().await;
        std::mem::take(&mut self.said())
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(TARGET)
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut said = self.said();
        if let Some(version) = fields.version {
            said.version = Some(version);
            self.0.news.notify_one();
        }
        if *event.metadata().level() == Level::WARN {
            said.warnings.push(fields.message);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Fields {
    message: String,
    version: Option<String>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "version" {
            self.version = Some(value.into());
        }
    }
}
