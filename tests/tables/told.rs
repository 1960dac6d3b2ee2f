//! What the tables tell, held against what is there.

use crate::Names;
use crate::markdown::{Row, code, rows};
use std::collections::BTreeMap;

/// The languages, as the heads of columns have them.
pub(crate) const LANGUAGES: [&str; 6] = ["Rust", "C", "C++", "Python", "Go", "command"];

/// The names of each language in the tables of these pages, with the rows in which they stand.
pub(crate) fn told(pages: &[String]) -> BTreeMap<String, Vec<(String, String)>> {
    let mut told = BTreeMap::<String, Vec<(String, String)>>::new();
    for row in pages.iter().flat_map(|page| rows(page)) {
        for (language, text) in texts(&row) {
            let place = format!("{}, {}", row.section, row.about());
            told.entry(language).or_default().extend(names(text).map(|name| (name, place.clone())));
        }
    }
    told
}

/// A list of exceptions has a column for the language.
fn texts(row: &Row) -> Vec<(String, &str)> {
    match row.cell("names") {
        Some(names) => vec![(row.about().into(), names)],
        None => {
            row.columns().filter(|(head, _)| LANGUAGES.contains(head)).map(|(head, text)| (head.into(), text)).collect()
        }
    }
}

/// Those before what is only said of them: a cell without a name begins with a dash.
fn names(text: &str) -> impl Iterator<Item = String> {
    let text = if text.starts_with('—') { "" } else { text };
    code(text).filter(|name| !name.starts_with("std::")).map(String::from)
}

/// What is wrong with what is told of a language: it is not there, or it is and is not told.
pub(crate) fn problems(language: &str, told: &[(String, String)], public: &Names) -> Vec<String> {
    let invented = told.iter().filter(|(name, _)| !public.contains(name));
    let invented = invented.map(|(name, place)| format!("{language} has no `{name}` ({place})"));
    let missing = public.iter().filter(|name| !told.iter().any(|(told, _)| told == *name));
    let missing = missing.map(|name| format!("`{name}` of {language} is in no row"));
    invented.chain(missing).collect()
}

/// Cells that say neither a name nor, after a dash, why there is none.
pub(crate) fn empty_cells(pages: &[String]) -> Vec<String> {
    let rows = pages.iter().flat_map(|page| rows(page)).collect::<Vec<_>>();
    let cells = rows.iter().flat_map(|row| texts(row).into_iter().map(move |(language, text)| (row, language, text)));
    let empty = cells.filter(|(_, _, text)| {
        !text.starts_with('—') && code(text).next().is_none() && !text.starts_with("exit code ")
    });
    empty.map(|(row, language, text)| format!("{}, {}, {language}: {text:?}", row.section, row.about())).collect()
}
