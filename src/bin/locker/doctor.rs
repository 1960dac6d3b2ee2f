//! `locker doctor`: whether locks work from here, and what to do if not.

mod clock;
mod endpoints;
mod finding;
mod log;
mod trial;

use self::clock::Watch;
use self::finding::{Finding, Report};
use self::log::Log;
use crate::args::Doctor;
use crate::connection::Connection;
use crate::exit::{self, Code, Failure};
use crate::settings::Settings;
use crate::signals::Signals;

pub(crate) async fn run(doctor: Doctor, connection: Connection) -> Result<Code, Failure> {
    let mut signals = Signals::listen()?;
    tokio::select! {
        done = examine(doctor, connection) => done,
        signal = signals.next() => Ok(exit::by_signal(signal.as_raw())),
    }
}

/// Goes from what everything depends on to what depends on it, and ends where going on tells nothing new.
async fn examine(doctor: Doctor, connection: Connection) -> Result<Code, Failure> {
    let clocks = Watch::start();
    let log = Log::begin()?;
    let mut report = Report::new(doctor.json);
    if let Some(mut settings) = configuration(&mut report).await?
        && let Err(failure) = etcd(&mut report, &connection, &mut settings, &log).await
    {
        report.fail("settings", "", failure).await?;
    }
    report.tell(clocks.finding().await).await?;
    Ok(report.code())
}

async fn configuration(report: &mut Report) -> Result<Option<Settings>, Failure> {
    match Settings::load() {
        Ok(settings) => {
            let file = settings.config.path().map(|path| path.display().to_string());
            let detail = if file.is_some() { "it is read" } else { "there is none; flags and the environment count" };
            report.tell(Finding::ok("configuration", file.as_deref().unwrap_or("file"), detail)).await?;
            Ok(Some(settings))
        }
        Err(failure) => report.fail("configuration", "", failure).await.map(|()| None),
    }
}

/// Each endpoint, then a lock. Fails where what is said of them cannot be understood.
async fn etcd(report: &mut Report, connection: &Connection, settings: &mut Settings, log: &Log) -> Result<(), Failure> {
    if let Some(prefix) = connection.prefix(settings)? {
        report.prefix = prefix;
    }
    let asked = connection.ttl(settings)?;
    let seen = endpoints::look(report, connection, settings, log).await?;
    if seen.is_empty() {
        return Ok(());
    }
    let endpoints = seen.iter().map(|seen| seen.url.as_str()).collect::<Vec<_>>().join(",");
    match connection.options(settings, endpoints)?.await {
        Ok(client) => trial::run(report, &client, &seen, asked).await,
        Err(error) => report.fail("lock", "", error).await,
    }
}
