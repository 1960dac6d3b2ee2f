//! What the shared library shows to a linker. Its layouts are in `src/layout.rs` and `tests/c/layout.c`.
#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::process::Command;

#[test]
fn exported_symbols_are_those_of_abi_txt() {
    let table = run("nm", &["-D", "--defined-only"]);
    let mut exported: Vec<&str> = table.lines().filter_map(|line| line.split_whitespace().last()).collect();
    exported.sort_unstable();
    let promised: Vec<&str> = include_str!("../abi.txt").lines().collect();
    assert_eq!(exported, promised, "within one LOCKER_ABI a function may come, and then stands in abi.txt; none goes");
    assert!(promised.iter().all(|name| name.starts_with("locker_")));
}

#[test]
fn library_has_a_version_in_its_name_stays_loaded_and_looks_for_nothing_of_ours() {
    let dynamic = run("readelf", &["--dynamic", "--wide"]);
    assert!(dynamic.contains("Library soname: [liblocker.so.1]"), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
    assert!(!dynamic.contains("RPATH") && !dynamic.contains("RUNPATH"), "{dynamic}");
    for needed in dynamic.lines().filter(|line| line.contains("(NEEDED)")) {
        let system = ["libc.so", "libm.so", "libgcc_s.so", "libpthread.so", "libdl.so", "librt.so", "ld-linux"];
        assert!(system.iter().any(|name| needed.contains(name)), "the library needs more than the system's: {needed}");
    }
}

#[test]
fn stack_is_not_executable_and_relocations_are_read_only() {
    let headers = run("readelf", &["--program-headers", "--wide"]);
    let stack = headers.lines().find(|line| line.contains("GNU_STACK")).expect("GNU_STACK");
    assert!(stack.contains("RW ") && !stack.contains("RWE"), "{stack}");
    assert!(headers.contains("GNU_RELRO"), "{headers}");
}

fn run(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).arg(library()).output().expect(tool);
    assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Cargo builds it beside the tests.
fn library() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("liblocker.so")
}
