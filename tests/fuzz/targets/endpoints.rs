//! Addresses as users write them: taken or refused, without a panic and without a look at the network.
#![no_main]

use libfuzzer_sys::fuzz_target;
use locker::ErrorKind;
use locker::fuzzing::endpoints;

fuzz_target!(|text: &str| {
    if let Err(error) = endpoints(text) {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().starts_with("endpoints"), "{error}");
    }
});
