//! The `locker` command: named locks over etcd for the shell.
#![forbid(unsafe_code)]

mod args;
mod child;
mod dev;
mod etcd;
mod exit;
mod leash;
mod signals;

use args::{Cli, Command};
use clap::Parser;
use exit::{Code, Failure};
use std::process::ExitCode;

fn main() -> ExitCode {
    match start(Cli::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("locker: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

fn start(cli: Cli) -> Result<Code, Failure> {
    if let Command::Leash(command) = cli.command {
        return Err(leash::exec(command));
    }
    // Everything turns on the main thread, also because PR_SET_PDEATHSIG fires when the thread that forked ends.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(dispatch(cli));
    // A thread of the runtime that hangs in a name lookup must not keep us.
    runtime.shutdown_background();
    code
}

async fn dispatch(cli: Cli) -> Result<Code, Failure> {
    match cli.command {
        Command::Dev(dev) => dev::run(dev).await,
        Command::Leash(_) => unreachable!("handled before the runtime was made"),
    }
}
