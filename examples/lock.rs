//! Takes the lock "db-migrate", does a short piece of work and gives it back: cargo run --example lock
#![allow(missing_docs)]

use locker::{Client, ErrorKind};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> locker::Result<()> {
    let endpoints = std::env::var("LOCKER_ENDPOINTS").unwrap_or("http://127.0.0.1:2379".into());
    let client = Client::connect(endpoints).await?;

    let guard = client
        .lock("db-migrate")
        .value("example.rs") // who we are, for those who ask
        .reason("migrating the schema") // and why they have to wait
        .timeout(Duration::from_secs(30))
        .await;
    match guard {
        Ok(guard) => {
            println!("token {}", guard.token()); // rises with each holder: let the database refuse lower ones
            tokio::select! {
                () = migrate(guard.token()) => guard.unlock().await?,
                reason = guard.lost() => eprintln!("stopped half-way: {reason}"),
            }
        }
        Err(error) if error.kind() == ErrorKind::Timeout => eprintln!("busy: {error}"),
        Err(error) => return Err(error),
    }
    client.disconnect().await
}

async fn migrate(_token: i64) {
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(100)).await; // a step of the work
    }
}
