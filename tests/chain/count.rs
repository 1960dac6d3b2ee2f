//! One of the counters of test_chain.py: count NAME TIMES COUNTER LOG
#![allow(missing_docs)]

use std::fs::{OpenOptions, read_to_string, write};
use std::io::Write;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [name, times, counter, log] = std::env::args().skip(1).collect::<Vec<_>>().try_into().expect("four arguments");
    let client = locker::Client::connect(std::env::var("LOCKER_ENDPOINTS")?).await?;
    for _ in 0..times.parse()? {
        let guard = client.lock(&name).await?;
        let n = increment(&counter)?;
        writeln!(OpenOptions::new().append(true).open(&log)?, "Rust {} {n}", guard.token())?;
        guard.unlock().await?;
    }
    client.disconnect().await?;
    Ok(())
}

/// Reads the number in the file, and writes the next one. Two at once would lose one of them.
fn increment(path: &str) -> Result<u64, Box<dyn std::error::Error>> {
    let n = read_to_string(path)?.trim().parse::<u64>()? + 1;
    write(path, format!("{n}\n"))?;
    Ok(n)
}
