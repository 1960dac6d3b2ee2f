//! The value of a key, whoever wrote it: shown without a panic, and what is ours is kept when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use locker::Mode;
use locker::fuzzing::{holder, rewritten};

fuzz_target!(|value: &[u8]| {
    let (info, words) = holder("name", value);
    assert!(info.held() && info.name == "name" && words.starts_with("held by"));
    match rewritten(value) {
        None => assert_eq!((info.mode, info.value), (Mode::Foreign, String::from_utf8_lossy(value).into_owned())),
        Some(again) => {
            assert_eq!(info.mode, Mode::Exclusive);
            assert_eq!(holder("name", &again).0, info);
            assert_eq!(rewritten(&again).as_ref(), Some(&again));
        }
    }
});
