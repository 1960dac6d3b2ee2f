//! Each piece of C and C++ in include/README.md is out of the example that the line before it names. Those are compiled and
//! run by tests/c/run.sh and tests/cpp/run.sh.

use std::fs::read_to_string;
use std::path::Path;

#[test]
fn readme_shows_pieces_of_the_examples_as_they_are() {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../include");
    let readme = read_to_string(include.join("README.md")).unwrap();
    let (mut example, mut pieces) = (String::new(), 0);
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        if let Some((_, rest)) = line.strip_prefix("[`examples/").and_then(|rest| rest.split_once("](")) {
            let path = include.join(rest.split_once(')').expect("a link ends").0);
            example = read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        } else if line == "```c" || line == "```cpp" {
            let piece: String =
                lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
            assert!(example.contains(&piece), "no example has this:\n{piece}");
            // The next one has to name its own.
            example.clear();
            pieces += 1;
        }
    }
    assert!(pieces >= 6, "{pieces} pieces");
}
