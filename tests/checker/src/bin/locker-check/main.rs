//! Has programs in all languages use locks while faults happen, and checks what they saw against what locker promises.

mod command;
mod control;
mod drive;
mod fleet;
mod hand;
mod holding;
mod nemesis;
mod settings;
mod things;
mod witness;
mod worker;

use clap::{Args, Parser, Subcommand};
use locker_check::history;
use locker_check::record::{Kind, Lang, Record};
use locker_check::report::Report;
use locker_check::run::Run;
use settings::Settings;
use std::path::PathBuf;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Records what the users of locks see under faults, and checks it against what locker promises.
#[derive(Parser)]
enum Cli {
    /// Drives workers in all languages under faults and checks what they saw.
    Run(drive::Drive),
    /// Shows that the checks find two at a time where they are.
    Control(control::Control),
    /// Checks a history that was kept.
    Check {
        /// The file.
        history: PathBuf,
    },
    #[command(flatten)]
    Part(Part),
}

/// What the driver starts.
#[derive(Subcommand)]
enum Part {
    /// The worker in Rust.
    #[command(hide = true)]
    Worker,
    /// The worker that runs `locker run`.
    #[command(hide = true)]
    Command,
    /// What runs under `locker run`.
    #[command(hide = true)]
    Held(Whose),
    /// A write to etcd on condition of a lock's key.
    #[command(hide = true)]
    Guarded {
        #[command(flatten)]
        whose: Whose,
        token: u64,
    },
}

/// An acquisition of another process.
#[derive(Args)]
struct Whose {
    lang: u8,
    pid: u32,
    lock: u32,
    seq: u32,
}

impl Whose {
    fn record(&self) -> Result<Record> {
        let lang = Lang::from_number(self.lang).ok_or("no such language")?;
        Ok(Record { pid: self.pid, lock: self.lock, seq: self.seq, ..Record::new(lang, Kind::Start) })
    }
}

fn main() -> ExitCode {
    let done = match Cli::parse() {
        Cli::Run(drive) => drive.run(),
        Cli::Control(control) => control.run(),
        Cli::Check { history } => check(history),
        Cli::Part(part) => play(part).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("locker-check: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check(path: PathBuf) -> Result<bool> {
    let records = history::read(&path).map_err(|damage| format!("{} {damage}", path.display()))?;
    let report = Report::new(&Run::new(records));
    println!("{report}");
    Ok(report.violations.is_empty())
}

#[tokio::main(flavor = "current_thread")]
async fn play(part: Part) -> Result<()> {
    match part {
        Part::Worker => worker::run().await,
        Part::Command => command::run().await,
        Part::Held(whose) => command::held(whose.record()?).await,
        Part::Guarded { whose, token } => {
            let hold = Record { token, ..whose.record()? };
            Ok(Settings::from_env()?.write_guarded(hold).await?)
        }
    }
}
