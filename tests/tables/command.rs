//! What the command says of itself with `--help`.

use crate::{Names, names};
use std::collections::BTreeMap;
use std::process::Command;

/// The help of the command under the empty name, and of each of its subcommands.
pub(crate) fn helps() -> BTreeMap<String, String> {
    let of_all = help(&[]);
    let subcommands: Vec<_> = subcommands(&of_all).collect();
    let helps = subcommands.into_iter().map(|name| (name.clone(), help(&[&name])));
    helps.chain([(String::new(), of_all.clone())]).collect()
}

/// Subcommands, options as `run --wait`, or `--ttl` where it is one of all, and variables.
pub(crate) fn public(helps: &BTreeMap<String, String>) -> Names {
    let of_all = Names::from_iter(helps[""].lines().filter_map(option));
    let own = helps.iter().flat_map(|(name, help)| {
        let options = help.lines().filter_map(option).filter(|option| !of_all.contains(option));
        options.map(move |option| format!("{name} {option}"))
    });
    names(
        own.chain(subcommands(&helps[""])).chain(helps.values().flat_map(|help| variables(help))).chain(of_all.clone()),
    )
}

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_locker")).args(arguments).arg("--help").output().expect("it runs");
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn subcommands(help: &str) -> impl Iterator<Item = String> {
    let list = help.split_once("Commands:\n").expect("there are some").1.split_once("\n\n").expect("the list ends").0;
    list.lines().filter_map(|line| line.split_whitespace().next().map(String::from)).filter(|name| name != "help")
}

/// `  -w, --wait <DURATION>` is `--wait`.
fn option(line: &str) -> Option<String> {
    let words = line.strip_prefix("  ")?.trim_start();
    let long = words.split(", ").find(|words| words.starts_with("--"))?;
    (words.starts_with('-')).then(|| long.split([' ', '=', '[']).next().unwrap_or(long).to_string())
}

fn variables(help: &str) -> impl Iterator<Item = String> {
    let words = help.split(|c: char| !c.is_ascii_uppercase() && c != '_');
    words
        .filter(|word| word.starts_with("LOCKER_") || word.starts_with("ETCD"))
        .filter(|word| word.contains('_'))
        .map(String::from)
}

#[test]
fn options_and_variables() {
    let of_all = "Commands:\n  run  Runs --no\n  help  No\n\nOptions:\n      --ttl <D>\n          Text [env: LOCKER_TTL]\n  -h, --help\n";
    let run = "LOCKER_NAME, ETCD.\n\nOptions:\n  -w, --wait <D>\n          As --no.\n      --ttl <D>\n";
    let helps = [("", of_all), ("run", run)].map(|(name, help)| (name.into(), help.into())).into();
    let found = ["--help", "--ttl", "LOCKER_NAME", "LOCKER_TTL", "run", "run --wait"];
    assert_eq!(public(&helps), names(found.map(String::from)));
}
