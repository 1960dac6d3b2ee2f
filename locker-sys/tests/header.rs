//! The header is what cbindgen makes of the source, and compiles in every C and C++ that we promise.
//!
//! To rewrite it: `BLESS=1 cargo test -p locker-sys --test header`.

use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn header_is_current() {
    let mut made = Vec::new();
    cbindgen::generate(env!("CARGO_MANIFEST_DIR")).expect("cbindgen").write(&mut made);
    let path = root().join("include/locker.h");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    assert!(std::fs::read(&path).unwrap() == made, "include/locker.h is out of date: run `make header`");
}

#[test]
fn header_compiles_as_c_and_as_cpp() {
    for standard in ["c99", "c11", "c17", "c2x"] {
        compile("cc", "c", standard);
    }
    for standard in ["c++11", "c++14", "c++17", "c++20", "c++23"] {
        compile("c++", "c++", standard);
    }
}

/// Compiles the header with what was frozen of it: each size, offset, number and signature.
fn compile(compiler: &str, language: &str, standard: &str) {
    let status = Command::new(compiler)
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-x", language])
        .arg(format!("-std={standard}"))
        .arg("-I")
        .arg(root().join("include"))
        .arg(root().join("tests/c/layout.c"))
        .status();
    assert!(status.expect(compiler).success(), "tests/c/layout.c does not compile as {standard}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
