//! The `locker` command: named locks over etcd for the shell.
#![forbid(unsafe_code)]

mod args;
mod child;
mod completions;
mod config;
mod connection;
mod dev;
mod doctor;
mod duration;
mod etcd;
mod exit;
mod get;
mod guardian;
mod hold;
mod job;
mod leash;
mod output;
mod run;
mod scratch;
mod settings;
mod show;
mod signals;
mod terminal;
mod waiting;
mod watch;
mod yaml;

use args::{Cli, Command};
use exit::{Code, Failure};
use std::env;
use std::panic;
use std::process::ExitCode;

fn main() -> ExitCode {
    panic::set_hook(Box::new(|bug| output::say(format_args!("a bug: {bug}"))));
    let ended = panic::catch_unwind(begin).unwrap_or(Ok(exit::INTERNAL));
    let code = ended.unwrap_or_else(|failure| {
        if let Some(message) = failure.message {
            output::say(message);
        }
        failure.code
    });
    output::flush();
    ExitCode::from(code)
}

/// What we start ourselves as is not of the command line: it would be set up for that twice more with each command.
fn begin() -> Result<Code, Failure> {
    match env::args_os().nth(1) {
        Some(word) if word == leash::WORD => Err(leash::exec(env::args_os().skip(2))),
        Some(word) if word == guardian::WORD => Ok(guardian::watch().map(|()| exit::OK)?),
        _ => args::parse().and_then(start),
    }
}

fn start(cli: Cli) -> Result<Code, Failure> {
    // Everything turns on the main thread, also because PR_SET_PDEATHSIG fires when the thread that forked ends.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(dispatch(cli));
    // A thread of the runtime that hangs in a name lookup must not keep us.
    runtime.shutdown_background();
    code
}

async fn dispatch(cli: Cli) -> Result<Code, Failure> {
    match cli.command {
        Command::Run(command) => run::run(command, cli.connection).await,
        Command::Get(get) => get::run(get.look, cli.connection).await,
        Command::Watch(watch) => watch::run(watch.look, cli.connection).await,
        Command::Doctor(doctor) => doctor::run(doctor, cli.connection).await,
        Command::Dev(_) if cli.connection.is_given() => Err(Failure::new(exit::USAGE, "dev makes an etcd of its own")),
        Command::Dev(dev) => dev::run(dev).await,
        Command::Completions(completions) => completions::run(completions).await,
        Command::Man(man) => completions::man(man).await,
    }
}
