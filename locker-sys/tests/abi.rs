//! What the shared library shows to a linker. Its layouts are in `src/layout.rs` and `tests/c/layout.c`.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

/// The README says which libraries of the system the static one needs.
#[test]
fn static_library_links_with_these_libraries() {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("static-{}", std::process::id()));
    let mut cc = Command::new("cc")
        .args(["-x", "c", "-", "-x", "none", "-o"])
        .arg(&program)
        .arg("-I")
        .arg(include())
        .arg(built("liblocker.a"))
        .args(["-lpthread", "-ldl", "-lm"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("cc");
    let source = r#"
        #include "locker.h"
        int main(void) {
          locker_client client;
          return locker_abi() == LOCKER_ABI && locker_connect("", NULL, &client, NULL) == LOCKER_INVALID ? 0 : 1;
        }"#;
    cc.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    assert!(cc.wait().unwrap().success());
    let status = Command::new(&program).status();
    std::fs::remove_file(&program).unwrap();
    assert!(status.unwrap().success());
}

fn run(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).arg(built("liblocker.so")).output().expect(tool);
    assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Cargo builds both libraries beside the tests.
fn built(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().with_file_name(name)
}

fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../include")
}
