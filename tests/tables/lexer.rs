//! The words of a C or C++ header, without comments and what is for the preprocessor.

use std::str::Chars;

/// Words and signs, in order; a text in quotes is one `""`.
pub(crate) fn tokens(header: &str) -> Vec<String> {
    let (code, mut tokens) = (without_comments(header), Vec::new());
    let mut rest = code.chars();
    while let Some(c) = rest.clone().next() {
        if c.is_alphanumeric() || c == '_' {
            tokens.push(take_while(&mut rest, |c| c.is_alphanumeric() || c == '_'));
            continue;
        }
        rest.next();
        match c {
            '"' => {
                skip_text(&mut rest);
                tokens.push("\"\"".into());
            }
            ':' if rest.as_str().starts_with(':') => {
                rest.next();
                tokens.push("::".into());
            }
            c if c.is_whitespace() => (),
            c => tokens.push(c.into()),
        }
    }
    tokens
}

/// The names that `#define` gives.
pub(crate) fn defined(header: &str) -> impl Iterator<Item = &str> {
    header.lines().filter_map(|line| line.strip_prefix("#define ")?.split_whitespace().next())
}

fn without_comments(header: &str) -> String {
    let (mut code, mut rest) = (String::new(), header);
    while let Some((before, comment)) = rest.split_once("/*") {
        // Not one that stands in a comment to the end of the line.
        let line = before.rsplit('\n').next().unwrap_or_default();
        if line.contains("//") {
            let (line, next) = comment.split_once('\n').unwrap_or((comment, ""));
            code += &format!("{before}/*{line}\n");
            rest = next;
            continue;
        }
        code += before;
        rest = comment.split_once("*/").expect("the comment ends").1;
    }
    code += rest;
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

fn take_while(rest: &mut Chars<'_>, is_wanted: impl Fn(char) -> bool) -> String {
    let taken: String = rest.clone().take_while(|c| is_wanted(*c)).collect();
    *rest = rest.as_str()[taken.len()..].chars();
    taken
}

fn skip_text(rest: &mut Chars<'_>) {
    while let Some(c) = rest.next() {
        match c {
            '\\' => _ = rest.next(),
            '"' => return,
            _ => (),
        }
    }
}

#[test]
fn words_and_signs() {
    let header = "#define A 1\n/* b */ int c; // d /* e\nstd::f<g> h{\"i // \\\" j\"}; '/'";
    assert_eq!(tokens(&header.replace(" // \\\"", " \\\"")).join(" "), "int c ; std :: f < g > h { \"\" } ; ' / '");
    assert_eq!(defined(header).collect::<Vec<_>>(), ["A"]);
}
