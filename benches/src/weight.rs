//! What the C library weighs.

use crate::Result;
use crate::bench::Bench;
use crate::row::Row;
use std::fs;
use std::process::Command;

pub(crate) fn run(_: &Bench) -> Result<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let stripped = directory.path().join("liblocker.so");
    let status = Command::new("strip").arg("-o").arg(&stripped).arg("target/release/liblocker.so").status()?;
    if !status.success() {
        return Err(format!("strip: {status}").into());
    }
    let megabytes = fs::metadata(&stripped)?.len() as f64 / 1e6;
    Ok(vec![Row::new("so_bytes", "liblocker.so, stripped, with TLS", "", "MB", &[megabytes]).at_most(3.2)])
}
