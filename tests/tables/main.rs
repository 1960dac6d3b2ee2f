//! What docs/ says in tables is so: names and errors of all languages, and that a test shows each feature.
#![allow(missing_docs)]

mod c;
mod command;
mod cpp;
mod errors;
mod features;
mod go;
mod lexer;
mod markdown;
mod python;
mod rust;
mod told;

use std::collections::BTreeSet;
use std::fs::{read_dir, read_to_string};
use std::path::Path;
use told::{LANGUAGES, empty_cells, problems, told};

type Names = BTreeSet<String>;

fn names(names: impl IntoIterator<Item = String>) -> Names {
    names.into_iter().collect()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn pages() -> Vec<String> {
    ["docs/names.md", "docs/errors.md"].map(read).into()
}

/// The texts of all files in a directory and those below it that have this ending, without tests.
fn sources(directory: &str, ending: &str) -> Vec<String> {
    let entries = read_dir(directory).unwrap_or_else(|error| panic!("{directory}: {error}"));
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let texts = paths.map(|path| match path.display().to_string() {
        below if path.is_dir() => sources(&below, ending),
        file if file.ends_with(ending) && !file.ends_with("_test.go") => vec![read(file)],
        _ => Vec::new(),
    });
    texts.flatten().collect()
}

/// What is public in a language.
fn public(language: &str) -> Names {
    match language {
        "Rust" => rust::public(&read("src/lib.rs"), &sources("src", ".rs")),
        "C" => c::public(&read("include/locker.h")),
        "C++" => cpp::public(&read("include/locker.hpp")),
        "Python" => python::of_both(python_sync(), python_aio()),
        "Go" => sources("bindings/go", ".go").iter().flat_map(|source| go::public(source)).collect(),
        "command" => command::public(&command::helps()),
        other => panic!("{other} is no language"),
    }
}

const PYTHON: &str = "bindings/python/python/locker";

fn python_sync() -> Names {
    let stub = read(format!("{PYTHON}/__init__.pyi"));
    let exported = python::exported(&stub);
    let modules =
        ["errors.py", "info.py", "_default.py", "_locked.py"].map(|module| read(format!("{PYTHON}/{module}")));
    [stub].iter().chain(&modules).flat_map(|source| python::public(source, &exported)).collect()
}

fn python_aio() -> Names {
    let exported = aio_exported();
    let modules = ["errors.py", "info.py"].map(|module| read(format!("{PYTHON}/{module}")));
    let own = sources(&format!("{PYTHON}/aio"), ".py");
    own.iter().chain(&modules).flat_map(|source| python::public(source, &exported)).collect()
}

fn aio_exported() -> Vec<String> {
    python::exported(&read(format!("{PYTHON}/aio/__init__.py")))
}

#[test]
fn each_name_is_there_and_each_public_name_is_told() {
    let told = told(&pages());
    assert_eq!(empty_cells(&pages()), [""; 0]);
    let wrong: Vec<_> = LANGUAGES.iter().flat_map(|of| problems(of, &told[*of], &public(of))).collect();
    assert!(wrong.is_empty(), "docs/names.md and docs/errors.md:\n{}", wrong.join("\n"));
}

#[test]
fn links_lead_somewhere() {
    let pages: Vec<_> = read_dir("docs").unwrap().map(|page| page.unwrap().path()).collect();
    assert!(pages.len() > 4);
    for page in pages {
        for link in markdown::links(&read(&page)).filter(|link| !link.contains("://")) {
            let target = Path::new("docs").join(link.split('#').next().unwrap_or_default());
            assert!(target.exists(), "{}: {link}", page.display());
        }
    }
}

#[test]
fn awaited_names_are_the_same() {
    assert_eq!(python::only_sync(&python_sync(), &python_aio(), &aio_exported()), Names::new());
}

/// For each language: a row that goes, a name that changes, and a name that is gone from the source.
#[test]
fn what_is_wrong_is_found() {
    let pages = pages();
    let told = told(&pages);
    for language in LANGUAGES {
        let (told, public) = (&told[language], public(language));
        assert!(told.len() > 20, "{language} has but {} names", told.len());
        for name in &public {
            let gone: Names = public.iter().filter(|other| *other != name).cloned().collect();
            assert!(!problems(language, told, &gone).is_empty(), "{name} is gone from {language}");
            let untold: Vec<_> = told.iter().filter(|(told, _)| told != name).cloned().collect();
            assert!(!problems(language, &untold, &public).is_empty(), "{name} of {language} is told no more");
        }
        let invented = [told.clone(), vec![("lokc".into(), "a row".into())]].concat();
        assert_eq!(problems(language, &invented, &public), [format!("{language} has no `lokc` (a row)")]);
    }
    let renamed = [pages[0].replace("`locker_watch_next`", "`locker_watch_nxt`"), pages[1].clone()];
    let wrong = problems("C", &crate::told(&renamed)["C"], &public("C"));
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    let header = read("include/locker.h").replace("locker_watch_next(", "locker_watch_nxt(");
    assert_eq!(problems("C", &told["C"], &c::public(&header)).len(), 2);
    let emptied = [pages[0].replace("| `locker_watch_next` |", "| |"), pages[1].clone()];
    assert_eq!(empty_cells(&emptied).len(), 1);
}
