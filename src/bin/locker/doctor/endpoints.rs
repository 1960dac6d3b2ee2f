//! Each endpoint by itself: whether it answers, as what, and how fast.

use super::finding::{Finding, Report};
use super::log::Log;
use crate::connection::Connection;
use crate::exit::Failure;
use crate::settings::Settings;
use locker::Client;
use std::time::{Duration, Instant};

/// How often one is asked to know its speed.
const READS: usize = 9;
/// A name that nobody locks.
pub(crate) const NAME: &str = "locker doctor";

/// An endpoint that answers.
pub(crate) struct Seen {
    pub(crate) url: String,
    pub(crate) client: Client,
}

/// Those that answer, in their order.
pub(crate) async fn look(
    report: &mut Report,
    connection: &Connection,
    settings: &mut Settings,
    log: &Log,
) -> Result<Vec<Seen>, Failure> {
    let all = connection.endpoints(settings)?;
    let mut seen = Vec::new();
    for url in all.split(',').map(str::trim).filter(|url| !url.is_empty()) {
        let connect = connection.options(settings, url.into())?;
        match connect.await {
            Ok(client) => {
                describe(report, url, &client, log).await?;
                seen.push(Seen { url: url.into(), client });
            }
            Err(error) => report.fail("endpoint", url, settings.wrong(error)).await?,
        }
    }
    Ok(seen)
}

async fn describe(report: &mut Report, url: &str, client: &Client, log: &Log) -> Result<(), Failure> {
    let said = log.take().await;
    let latency = match latency(client).await {
        Ok(latency) => latency.as_secs_f64() * 1000.0,
        Err(failure) => return report.fail("endpoint", url, failure).await,
    };
    let version = said.version.as_deref().unwrap_or("of an unknown version");
    let secure = url.starts_with("https://");
    let tls = if secure { "with TLS" } else { "without TLS" };
    let detail = format!("etcd {version}, {latency:.2} ms a read, {tls}");
    let finding = Finding::ok("endpoint", url, detail).of_version(said.version).with_latency(latency);
    report.tell(finding).await?;
    if !secure && !is_near(url) {
        let detail = "values, and a password, can be read on the way";
        report.tell(Finding::warning("tls", url, detail, "use https:// and --cacert")).await?;
    }
    for warning in said.warnings {
        report.tell(Finding::warning("version", url, warning, "update etcd")).await?;
    }
    Ok(())
}

/// The usual time of a read.
async fn latency(client: &Client) -> Result<Duration, Failure> {
    let mut times = [Duration::ZERO; READS];
    for time in &mut times {
        let begun = Instant::now();
        client.get(NAME).await?;
        *time = begun.elapsed();
    }
    times.sort();
    Ok(times[READS / 2])
}

/// Whether what is sent there leaves the machine.
fn is_near(url: &str) -> bool {
    let host = url.rsplit_once("://").map_or(url, |(_, rest)| rest);
    ["localhost:", "127.", "[::1]"].iter().any(|near| host.starts_with(near))
}
