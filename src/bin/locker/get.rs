//! `locker get`: who holds a lock.

use crate::args::Look;
use crate::connection::Connection;
use crate::exit::{self, Code, Failure};
use crate::output;
use crate::signals::Signals;

pub(crate) async fn run(look: Look, connection: Connection) -> Result<Code, Failure> {
    let mut signals = Signals::listen()?;
    tokio::select! {
        done = print(look, connection) => done,
        signal = signals.next() => Ok(exit::by_signal(signal.as_raw())),
    }
}

async fn print(look: Look, connection: Connection) -> Result<Code, Failure> {
    let client = connection.open().await?;
    let info = client.get(look.name).await?;
    output::info(&info, look.json).await?;
    Ok(exit::OK)
}
