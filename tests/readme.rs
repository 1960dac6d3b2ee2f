//! The code in the README is the code of the examples. To rewrite it: BLESS=1 cargo test --test readme
#![allow(missing_docs)]

use std::fs::{read_to_string, write};

/// Each block of code that follows a line such as "[`examples/lock.c`](examples/lock.c)" becomes that file's text.
fn with_examples(readme: &str) -> (String, Vec<String>) {
    let (mut text, mut files) = (String::new(), Vec::new());
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        text += &format!("{line}\n");
        let Some(path) = line.strip_prefix("[`").and_then(|rest| rest.split_once("`](")).map(|(path, _)| path) else {
            continue;
        };
        if line != format!("[`{path}`]({path})") {
            continue;
        }
        assert_eq!(lines.next(), Some(""), "an empty line follows {path}");
        let fence = lines.next().expect("a block of code follows");
        assert!(fence.starts_with("```"), "a block of code follows {path}");
        let code = read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        text += &format!("\n{fence}\n{code}```\n");
        lines.by_ref().find(|line| *line == "```").expect("the block of code ends");
        files.push(path.to_string());
    }
    (text, files)
}

#[test]
fn readme_shows_the_examples_as_they_are() {
    let readme = read_to_string("README.md").unwrap();
    let (expected, files) = with_examples(&readme);
    if std::env::var_os("BLESS").is_some() {
        write("README.md", &expected).unwrap();
    }
    assert!(
        readme == expected || std::env::var_os("BLESS").is_some(),
        "README.md is out of date: run BLESS=1 cargo test --test readme"
    );
    for language in ["rs", "c", "cpp", "go", "py", "sh"] {
        assert!(files.iter().any(|file| file.ends_with(&format!(".{language}"))), "there is an example in .{language}");
    }
}
