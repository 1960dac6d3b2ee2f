//! Measures locker beside its peers, all in the same run and in turns, and says what the ratios are.

mod bench;
mod child;
mod interrupt;
mod multi;
mod plot;
mod publish;
mod ratio;
mod report;
mod row;
mod w1;
mod w2;
mod w3;
mod w4;
mod w5;
mod w6;
mod w7;
mod weight;
mod who;
mod worker;

use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures locker beside its peers.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Runs the workloads, prints a table and writes it as JSON.
    Run(bench::Run),
    /// Draws what the JSON says of locks per second over the number of callers, as SVG beside it.
    Plot { json: PathBuf },
    /// Brings what the JSON says into the documentation: run it in the root of the tree.
    Publish { json: PathBuf },
    /// What is measured in Rust: a child of a run.
    #[command(hide = true)]
    Worker { who: worker::Kind, endpoints: String },
}

fn main() -> ExitCode {
    let done = match Cli::parse().what {
        What::Run(run) => run.run(),
        What::Plot { json } => report::read(&json).and_then(|rows| plot::draw(&rows, &json)),
        What::Publish { json } => publish::publish(&json, Path::new(".")),
        What::Worker { who, endpoints } => worker::run(who, &endpoints),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("locker-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
