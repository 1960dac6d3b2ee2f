//! What Python's stubs, and the modules without one, give to programs.

use crate::Names;

/// The names of one source, as `Class.member`; `function(argument)` for arguments that may be left out.
///
/// Of classes and functions only those in `exported`. Of members neither private ones nor those that Python calls itself.
pub(crate) fn public(source: &str, exported: &[String]) -> Names {
    let mut found = Names::new();
    let mut class: Option<String> = None;
    let mut in_text = false;
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let was_in_text = in_text;
        in_text ^= line.matches("\"\"\"").count() == 1;
        let words = line.trim_start();
        let owner = match line.len() - words.len() {
            _ if was_in_text || words.is_empty() => continue,
            0 => None,
            4 if class.is_some() => class.clone(),
            _ => continue,
        };
        if let Some(name) = word_after(words, "class ") {
            class = exported.contains(&name).then(|| name.clone());
            found.extend(class.as_ref().map(|class| with_foreign_base(class, words)));
        } else if let Some(name) = word_after(words.strip_prefix("async ").unwrap_or(words), "def ") {
            let mut call = words.to_string();
            while call.matches('(').count() > call.matches(')').count() {
                call += lines.next().expect("the call is closed");
            }
            add_function(&mut found, owner, &name, &call, exported);
        } else if let Some((name, _)) = words.split_once(':').filter(|(name, _)| is_word(name)) {
            add(&mut found, owner, name, exported);
        }
    }
    found
}

/// `__all__`.
pub(crate) fn exported(source: &str) -> Vec<String> {
    let list = source.split_once("__all__ = [").expect("it has __all__").1.split_once(']').expect("a list").0;
    list.split(',').map(|name| name.trim().trim_matches('"').into()).filter(|name: &String| !name.is_empty()).collect()
}

/// What `locker` has, and as `aio.name` what only `locker.aio` has.
pub(crate) fn of_both(sync: Names, aio: Names) -> Names {
    let only: Vec<_> = aio.difference(&sync).map(|name| format!("aio.{name}")).collect();
    sync.into_iter().chain(only).collect()
}

/// What `locker.aio` lacks of the classes and functions that it exports.
pub(crate) fn only_sync(sync: &Names, aio: &Names, exported: &[String]) -> Names {
    let lacking = sync.difference(aio).filter(|name| exported.iter().any(|exported| head(name) == exported));
    lacking.cloned().collect()
}

fn head(name: &str) -> &str {
    name.split(['.', '(']).next().unwrap_or(name)
}

/// `class Lost(Error, OSError)` is an `OSError`, too: `Lost(OSError)`.
fn with_foreign_base(class: &str, line: &str) -> String {
    match line.split_once("(Error, ").and_then(|(_, bases)| bases.split(')').next()) {
        Some(base) => format!("{class}({base})"),
        None => class.into(),
    }
}

fn add_function(found: &mut Names, owner: Option<String>, name: &str, call: &str, exported: &[String]) {
    if !add(found, owner.clone(), name, exported) {
        return;
    }
    let function = owner.map_or(name.to_string(), |owner| format!("{owner}.{name}"));
    let arguments = &call[call.find('(').expect("it has arguments") + 1..call.rfind(')').expect("they end")];
    for argument in arguments_of(arguments).iter().filter(|argument| argument.contains('=')) {
        found.insert(format!("{function}({})", argument.split([':', '=']).next().unwrap_or_default().trim()));
    }
}

/// What lies between the commas that lie in no bracket.
fn arguments_of(text: &str) -> Vec<String> {
    let (mut arguments, mut depth) = (vec![String::new()], 0);
    for c in text.chars() {
        depth += i32::from("[(".contains(c)) - i32::from("])".contains(c));
        match c {
            ',' if depth == 0 => arguments.push(String::new()),
            c => arguments.last_mut().expect("there is one").push(c),
        }
    }
    arguments
}

/// False if it is not for programs.
fn add(found: &mut Names, owner: Option<String>, name: &str, exported: &[String]) -> bool {
    let public = match &owner {
        None => exported.iter().any(|exported| exported == name) || name == "__version__",
        Some(_) => !name.starts_with('_'),
    };
    if public {
        found.insert(owner.map_or(name.to_string(), |owner| format!("{owner}.{name}")));
    }
    public
}

fn word_after(line: &str, keyword: &str) -> Option<String> {
    let rest = line.strip_prefix(keyword)?;
    Some(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
}

fn is_word(name: &str) -> bool {
    name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[test]
fn what_is_not_for_programs_is_left_out() {
    let source = "\"\"\"Text.\n\ndef no(): ...\n\"\"\"\n__all__ = [\"A\", \"f\"]\n__version__: str\nno: int\n
def f(a: int, *, b: str = \"/\", c: Callable[[A], object] | None = None) -> A: ...
async def no() -> None: ...
class A(Error, OSError):
    \"\"\"One line.\"\"\"
    d: ClassVar[str] = \"x\"
    \"\"\"More:
    no: int
    \"\"\"
    def __enter__(self, no: int = 1) -> Self: ...
    async def g(
        self, h: str, *, i: bool = False
    ) -> None:
        no: int = 1
    @property
    def j(self) -> int: ...
class No:
    no: int
";
    let all = exported(source);
    let found = ["A(OSError)", "A.d", "A.g", "A.g(i)", "A.j", "__version__", "f", "f(b)", "f(c)"].map(String::from);
    assert_eq!(public(source, &all), crate::names(found));
    let aio = crate::names(["A", "A.d", "A.k"].map(String::from));
    let lacking = crate::names(["A(OSError)", "A.g", "A.g(i)", "A.j"].map(String::from));
    assert_eq!(only_sync(&public(source, &all), &aio, &["A".into()]), lacking);
    assert_eq!(of_both(lacking.clone(), aio).len(), lacking.len() + 3);
}
