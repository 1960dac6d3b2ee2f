//! Tells who holds a lock, each time that changes: cargo run --example watch db-migrate
#![allow(missing_docs)]

use locker::Client;

#[tokio::main(flavor = "current_thread")]
async fn main() -> locker::Result<()> {
    let endpoints = std::env::var("LOCKER_ENDPOINTS").unwrap_or("http://127.0.0.1:2379".into());
    let name = std::env::args().nth(1).unwrap_or("db-migrate".into());
    let client = Client::connect(endpoints).await?;

    let mut watcher = client.watch(name).await?;
    while let Some(info) = watcher.next().await {
        let info = info?;
        match info.held() {
            true => println!("{} held by {}, token {}", info.name, info.value, info.token),
            false => println!("{} free", info.name),
        }
    }
    Ok(())
}
