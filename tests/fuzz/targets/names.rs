//! Names as parts of keys: each has one, none lies under another, and none reaches the bookkeeping.
#![no_main]

use libfuzzer_sys::fuzz_target;
use locker::fuzzing::queue;

const PREFIXES: [&str; 4] = ["/locker/", "", "%", "a/b/%2F"];

fuzz_target!(|input: (u8, &str, &str)| {
    let (prefix, one, other) = (PREFIXES[usize::from(input.0) % PREFIXES.len()], input.1, input.2);
    let keys = [one, other].map(|name| queue(prefix, name).ok());
    for (name, key) in [one, other].iter().zip(&keys) {
        let good = !name.is_empty() && name.len() <= locker::NAME_MAX && !name.contains('\0');
        assert_eq!(key.is_some(), good, "{name:?}");
        if let Some(key) = key {
            let inner = key.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('/')).expect("the layout");
            assert!(!inner.bytes().any(|byte| byte == b'/' || byte < 0x20 || byte == 0x7f), "{key:?}");
            assert_eq!(decoded(inner), name.as_bytes(), "{key:?}");
            assert!(!key.starts_with(&format!("{prefix}%!/")), "{key:?}");
        }
    }
    if let [Some(key), Some(other_key)] = &keys {
        assert_eq!(key.starts_with(other_key.as_str()), one == other, "{key:?} {other_key:?}");
    }
});

/// `%XX` as the byte that it stands for.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()) << 4 | hex(bytes.next()),
            other => other,
        });
    }
    decoded
}

fn hex(digit: Option<u8>) -> u8 {
    let digit = digit.and_then(|digit| char::from(digit).to_digit(16)).expect("two digits after %");
    u8::try_from(digit).unwrap()
}
