//! A link for each feature in each language leads to a test that shows it.

use crate::markdown::{Row, links, rows};
use crate::read;
use std::path::Path;

const PAGE: &str = "docs/features.md";
const COLUMNS: [&str; 7] = ["Rust", "C", "C++", "Python", "asyncio", "Go", "command"];

/// What is wrong with a row of the table.
fn problems(row: &Row) -> Vec<String> {
    let heads: Vec<_> = row.columns().map(|(head, _)| head).collect();
    assert_eq!(heads, COLUMNS, "{}", row.about());
    let wrong = COLUMNS.iter().flat_map(|column| cell_problems(row, column));
    wrong.map(|problem| format!("{}: {problem}", row.about())).collect()
}

fn cell_problems(row: &Row, column: &str) -> Vec<String> {
    let text = row.cell(column).unwrap_or_default();
    if let Some(why) = text.strip_prefix('—') {
        return if why.trim().is_empty() {
            vec![format!("{column} has it not, and nobody knows why")]
        } else {
            Vec::new()
        };
    }
    if let Some(other) = text.strip_prefix("as in ") {
        let is_shown = row.cell(other).is_some_and(|text| links(text).next().is_some());
        return if is_shown { Vec::new() } else { vec![format!("{column} has it {text}, where no test shows it")] };
    }
    let wrong: Vec<_> = links(text).filter_map(|link| link_problem(column, link)).collect();
    if links(text).next().is_none() { vec![format!("{column} says {text:?}")] } else { wrong }
}

/// `../path#test`: that file has to hold that test, and to run it.
fn link_problem(column: &str, link: &str) -> Option<String> {
    let Some((path, test)) = link.strip_prefix("../").and_then(|link| link.split_once('#')) else {
        return Some(format!("{column}: {link} names no test"));
    };
    if !Path::new(path).is_file() {
        return Some(format!("{column}: there is no {path}"));
    }
    (!has_test(path, &read(path), test)).then(|| format!("{column}: {path} has no test {test}"))
}

fn has_test(path: &str, source: &str, test: &str) -> bool {
    let lines: Vec<_> = source.lines().collect();
    let starts = |words: &str| lines.iter().position(|line| line.trim_start().starts_with(&format!("{words} {test}(")));
    match path.rsplit('.').next() {
        // A torture row is called by the list of all rows.
        Some("rs") if path.starts_with("tests/torture/") => starts("pub(crate) async fn").is_some(),
        Some("rs") => ["fn", "async fn"].iter().filter_map(|words| starts(words)).any(|at| {
            lines[..at]
                .iter()
                .rev()
                .take_while(|line| line.trim_start().starts_with(['#', '/']))
                .any(|line| line.contains("test"))
        }),
        Some("py") => starts("def").is_some(),
        Some("go") => starts("func").is_some() && path.ends_with("_test.go"),
        Some("c" | "cpp") => match test {
            "main" => starts("int").is_some(),
            // Defined, and called.
            _ => starts("static void").is_some() && source.matches(&format!("{test}(")).count() > 1,
        },
        _ => false,
    }
}

#[test]
fn each_feature_is_shown_by_a_test() {
    let rows = rows(&read(PAGE));
    assert!(rows.len() > 40, "{} rows", rows.len());
    let wrong: Vec<_> = rows.iter().flat_map(problems).collect();
    assert!(wrong.is_empty(), "{PAGE}:\n{}", wrong.join("\n"));
}

#[test]
fn what_is_wrong_is_found() {
    let row = |cell: &str| {
        let rust = "[lock.rs](../tests/lock.rs#lock_get_unlock)";
        let page = format!(
            "| feature | {} |\n|{}\n| x | {rust} | {cell} |{}\n",
            COLUMNS.join(" | "),
            "---|".repeat(8),
            " — y |".repeat(5)
        );
        problems(&rows(&page)[0]).len()
    };
    let right = ["— why", "as in Rust", "[a](../tests/c/basic.c#busy_lock_times_out)", "[a](../tests/c/log.c#main)"];
    assert_eq!(right.map(row), [0; 4]);
    let wrong = [
        "—",
        "",
        "yes",
        "as in Go",
        "[a](../tests/c/none.c#main)",
        "[a](../tests/c/basic.c#none)",
        "[a](../tests/c/basic.c#busy_lock)",
        "[a](../tests/c/log.c#main) [a](../tests/c/log.c#none)",
        "[a](../tests/lock.rs#client)",
        "[a](../tests/c/test.h#main)",
        "[a](../tests/c/basic.c)",
    ];
    assert_eq!(wrong.map(row), [1; 11]);
    for link in links(&read(PAGE)) {
        let (path, test) = link[3..].split_once('#').unwrap();
        let without = read(path).replace(&format!(" {test}("), " gone(");
        assert!(!has_test(path, &without, test), "{link}");
    }
}
