//! What is measured in Rust: locker itself, and the requests of a lock alone. A child that carries out commands.

mod limit;
mod measure;
mod ours;
mod raw;
mod scale;
mod usage;
mod wire;

use crate::Result;
use clap::ValueEnum;
use serde_json::Value;
use std::io::{self, BufRead};
use std::thread;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// The library.
    Locker,
    /// What it asks of etcd, and nothing else.
    Raw,
    /// The same, by hand.
    Limit,
}

/// One thread does everything, as in the libraries for other languages.
pub(crate) fn run(kind: Kind, endpoints: &str) -> Result<()> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        match kind {
            Kind::Locker => ours::serve(endpoints).await,
            Kind::Raw => raw::serve(endpoints).await,
            // It needs no runtime, and is none the worse for this one.
            Kind::Limit => limit::serve(endpoints),
        }
    })
}

/// The commands. Read by a thread of its own: leases are kept alive meanwhile.
fn commands() -> UnboundedReceiver<String> {
    let (tell, commands) = unbounded_channel();
    thread::spawn(move || io::stdin().lock().lines().map_while(|line| line.ok()).try_for_each(|line| tell.send(line)));
    commands
}

fn answer(answer: &Value) {
    println!("{answer}");
}

fn millis(word: &str) -> Result<Duration> {
    Ok(Duration::from_millis(word.parse()?))
}
