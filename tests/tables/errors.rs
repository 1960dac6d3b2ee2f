//! Numbers and words of docs/errors.md: those of the kinds and losses, and the command's exit codes.

use crate::markdown::{Row, code, rows};
use crate::{c, read};
use locker::{ErrorKind, Loss};
use std::collections::BTreeMap;
use syn::{Expr, Item, Lit, Pat};

const KINDS: [ErrorKind; 7] = [
    ErrorKind::Timeout,
    ErrorKind::Cancelled,
    ErrorKind::Lost,
    ErrorKind::Unavailable,
    ErrorKind::Denied,
    ErrorKind::Invalid,
    ErrorKind::Internal,
];
const LOSSES: [Loss; 4] = [Loss::Expired, Loss::LeaseGone, Loss::KeyDeleted, Loss::WentBack];

fn name_in(row: &Row, language: &str) -> String {
    row.cell(language).and_then(|text| code(text).next()).unwrap_or_default().into()
}

/// The row of a kind or a loss, as Rust writes it.
fn row_of<'a>(rows: &'a [Row], rust: &str) -> &'a Row {
    rows.iter().find(|row| name_in(row, "Rust") == rust).unwrap_or_else(|| panic!("no row of {rust}"))
}

#[test]
fn the_names_of_kinds_and_losses_are_what_they_say() {
    let rows = rows(&read("docs/errors.md"));
    for kind in KINDS {
        assert_eq!(row_of(&rows, &format!("ErrorKind::{kind:?}")).about(), kind.name());
    }
    for loss in LOSSES {
        assert_eq!(row_of(&rows, &format!("Loss::{loss:?}")).about(), loss.name());
    }
    let python = read("bindings/python/python/locker/errors.py");
    for kind in KINDS {
        let class = name_in(row_of(&rows, &format!("ErrorKind::{kind:?}")), "Python");
        let class = class.split('(').next().unwrap();
        let body = python.split_once(&format!("class {class}(")).expect(class).1.split("\nclass ").next().unwrap();
        assert!(body.contains(&format!("code = {:?}", kind.name())), "{class}");
    }
}

#[test]
fn numbers_are_those_of_the_header() {
    let numbers = c::numbers(&read("include/locker.h"));
    let rows = rows(&read("docs/errors.md"));
    let mut told = 0;
    for text in rows.iter().filter_map(|row| row.cell("C")).filter(|text| text.starts_with("`LOCKER_")) {
        let (_, rest) = text.trim_start_matches('`').split_once('`').unwrap();
        let name = code(text).next().unwrap();
        assert_eq!(rest.trim().parse(), Ok(numbers[name]), "{text}");
        told += 1;
    }
    assert_eq!(told, numbers.keys().filter(|name| is_code_or_loss(&read("include/locker.h"), name)).count());
}

/// Whether it is of `locker_code` or `locker_loss`.
fn is_code_or_loss(header: &str, name: &str) -> bool {
    let of = |kind: &str| {
        header
            .split_once(&format!("enum {kind}"))
            .unwrap()
            .1
            .split_once("};")
            .unwrap()
            .0
            .contains(&format!(" {name} = "))
    };
    of("locker_code") || of("locker_loss")
}

#[test]
fn conditions_are_those_of_the_category() {
    let header = read("include/locker.hpp");
    let mut told = 0;
    for text in rows(&read("docs/errors.md")).iter().filter_map(|row| row.cell("C++")) {
        let [name, condition] = code(text).collect::<Vec<_>>()[..] else { continue };
        if condition.starts_with("std::") {
            assert!(header.contains(&format!("case {name}: return {condition};")), "{text}");
            told += 1;
        }
    }
    assert_eq!(told, header.matches(": return std::errc::").count());
}

#[test]
fn exit_codes_are_those_of_the_command() {
    let codes = exit_codes(&read("src/bin/locker/exit.rs"));
    assert_eq!(codes.len(), KINDS.len());
    for row in rows(&read("docs/errors.md")).iter().filter(|row| row.cell("kind").is_some()) {
        let Some(code) = row.cell("command").and_then(|text| text.strip_prefix("exit code ")) else { continue };
        let kind = name_in(row, "Rust");
        let number: u8 = code.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
        assert_eq!(codes.get(&kind), Some(&number), "{kind}");
    }
    let help = &crate::command::helps()["run"];
    let words: String = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let own = words.split_once("Exit codes of its own: ").unwrap().1;
    for number in codes.values() {
        assert!(own.contains(&format!("{number} ")), "{number}: {own}");
    }
}

/// What the command makes of each kind of error: the arms of the one `match` on `error.kind()`.
fn exit_codes(source: &str) -> BTreeMap<String, u8> {
    let file = syn::parse_file(source).unwrap();
    let constants: BTreeMap<_, _> = file
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Const(constant) => match &*constant.expr {
                Expr::Lit(literal) => match &literal.lit {
                    Lit::Int(number) => Some((constant.ident.to_string(), number.base10_parse::<u8>().unwrap())),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        })
        .collect();
    let arms = source.split_once("match error.kind() {").unwrap().1.split_once("};").unwrap().0;
    let arms = syn::parse_str::<syn::ExprMatch>(&format!("match kind {{ {arms} }}")).unwrap().arms;
    let mut codes = BTreeMap::new();
    for arm in arms {
        let Expr::Path(path) = &*arm.body else { panic!("a constant") };
        let code = constants[&path.path.segments[0].ident.to_string()];
        let kinds = match &arm.pat {
            Pat::Or(either) => either.cases.iter().collect(),
            one => vec![one],
        };
        for kind in kinds {
            match kind {
                Pat::Path(path) => codes.insert(format!("ErrorKind::{}", path.path.segments[1].ident), code),
                _ => codes.insert("ErrorKind::Internal".into(), code),
            };
        }
    }
    codes
}
