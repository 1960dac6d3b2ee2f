//! `locker completions` and `locker man`: what shells and `man` know of the command line, made from its definition.

use crate::args::{Cli, Completions, Man, Shell};
use crate::exit::{Code, Failure, OK, USAGE};
use crate::output;
use clap::CommandFactory;
use clap_complete::{Generator, shells};

/// Prints a script.
pub(crate) async fn run(completions: Completions) -> Result<Code, Failure> {
    let script = match completions.shell {
        Shell::Bash => script(shells::Bash),
        Shell::Zsh => script(shells::Zsh),
        Shell::Fish => script(shells::Fish),
    };
    print(script).await
}

/// Prints a manual page.
pub(crate) async fn man(man: Man) -> Result<Code, Failure> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let command = match &man.command {
        None => &command,
        Some(name) => {
            let unknown = || Failure::new(USAGE, format!("there is no command {name}"));
            command.find_subcommand(name).ok_or_else(unknown)?
        }
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    print(page).await
}

fn script(shell: impl Generator) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "locker", &mut script);
    script
}

async fn print(text: Vec<u8>) -> Result<Code, Failure> {
    output::line(String::from_utf8_lossy(&text).trim_end().to_owned()).await?;
    Ok(OK)
}
