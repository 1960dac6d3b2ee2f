//! The `locker` command: named locks over etcd for the shell.
#![forbid(unsafe_code)]

mod args;
mod child;
mod connection;
mod dev;
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
mod show;
mod signals;
mod terminal;
mod watch;

use args::{Cli, Command};
use exit::{Code, Failure};
use std::panic;
use std::process::ExitCode;

fn main() -> ExitCode {
    panic::set_hook(Box::new(|bug| output::say(format_args!("a bug: {bug}"))));
    let ended = panic::catch_unwind(|| args::parse().and_then(start)).unwrap_or(Ok(exit::INTERNAL));
    let code = ended.unwrap_or_else(|failure| {
        if let Some(message) = failure.message {
            output::say(message);
        }
        failure.code
    });
    output::flush();
    ExitCode::from(code)
}

fn start(cli: Cli) -> Result<Code, Failure> {
    match cli.command {
        Command::Leash(command) => return Err(leash::exec(command)),
        Command::Guardian => return Ok(guardian::watch().map(|()| exit::OK)?),
        _ => {}
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
        Command::Run(command) => run::run(command, cli.connection).await,
        Command::Get(get) => get::run(get.look, cli.connection).await,
        Command::Watch(watch) => watch::run(watch.look, cli.connection).await,
        Command::Dev(_) if cli.connection.is_given() => Err(Failure::new(exit::USAGE, "dev makes an etcd of its own")),
        Command::Dev(dev) => dev::run(dev).await,
        Command::Leash(_) | Command::Guardian => unreachable!("handled before the runtime was made"),
    }
}
