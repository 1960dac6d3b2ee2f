//! `locker watch`: each change of holder, until a signal.

use crate::args::Look;
use crate::connection::Connection;
use crate::exit::{self, Code, Failure};
use crate::output;
use crate::signals::Signals;

pub(crate) async fn run(look: Look, connection: Connection) -> Result<Code, Failure> {
    let mut signals = Signals::listen()?;
    tokio::select! {
        done = print(look, connection) => done,
        unread = output::abandoned() => Err(unread),
        signal = signals.next() => Ok(exit::by_signal(signal.as_raw())),
    }
}

async fn print(look: Look, connection: Connection) -> Result<Code, Failure> {
    let client = connection.open().await?;
    let mut watcher = client.watch(look.name).await?;
    while let Some(info) = watcher.next().await {
        output::info(&*info?, look.json).await?;
    }
    Err(Failure::new(exit::INTERNAL, "the watch has ended by itself"))
}
