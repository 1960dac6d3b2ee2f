//! What the package for Go exports.

use crate::Names;

/// Types, functions, constants; methods and fields as `Type.Name`. Of one file, as gofmt writes it.
pub(crate) fn public(source: &str) -> Names {
    let mut found = Names::new();
    let mut inside: Option<String> = None;
    for line in source.lines() {
        match (&inside, line.strip_prefix('\t').and_then(exported)) {
            (Some(owner), Some(name)) if owner.is_empty() => drop(found.insert(name)),
            (Some(owner), Some(name)) if is_exported(owner) => drop(found.insert(format!("{owner}.{name}"))),
            _ => (),
        }
        if let Some(name) = line.strip_prefix("type ").map(word) {
            found.extend(Some(name.clone()).filter(|name| is_exported(name)));
            inside = line.ends_with("struct {").then_some(name);
        } else if line == "const (" || line == "var (" {
            inside = Some(String::new());
        } else if let Some(rest) = line.strip_prefix("func (") {
            let (receiver, rest) = rest.split_once(") ").expect("a receiver");
            let owner = receiver.rsplit([' ', '*']).next().unwrap_or_default();
            found.extend(exported(rest).filter(|_| is_exported(owner)).map(|name| format!("{owner}.{name}")));
        } else if let Some(name) = ["func ", "const ", "var "].iter().find_map(|word| line.strip_prefix(word)) {
            found.extend(exported(name));
        } else if line.starts_with(['}', ')']) {
            inside = None;
        }
    }
    found
}

fn exported(declaration: &str) -> Option<String> {
    Some(word(declaration)).filter(|name| is_exported(name))
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn is_exported(name: &str) -> bool {
    name.starts_with(char::is_uppercase)
}

#[test]
fn what_is_exported() {
    let source = "package p\n\ntype A struct {\n\t// No.\n\tB int\n\tno C\n}\n\ntype no struct {\n\tNo int\n}
type D int32\n\nconst (\n\t// No: text.\n\tE D = 1\n\tF\n)\n\nconst no = 1\nvar G = 2
func (a *A) H(i int) {\n\tNo(1)\n}\nfunc (d D) J() {}\nfunc (no *no) No() {}\nfunc (a *A) no() {}\nfunc K() {}\nfunc no() {}\n";
    let found = ["A", "A.B", "A.H", "D", "D.J", "E", "F", "G", "K"];
    assert_eq!(public(source), crate::names(found.map(String::from)));
}
