//! Why a call fails: one value inside, a code and a `locker_error` outside.

use crate::types::{locker_code, locker_error, locker_loss};
use locker_core::ErrorKind;
use std::any::Any;
use std::ffi::c_char;

/// Why a call fails.
#[derive(Clone, Debug)]
pub(crate) struct Fail {
    pub(crate) code: locker_code,
    detail: i32,
    message: String,
}

impl Fail {
    pub(crate) fn new(code: locker_code, message: impl Into<String>) -> Self {
        Fail { code, detail: 0, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Fail::new(locker_code::LOCKER_INVALID, message)
    }

    pub(crate) fn bad_context(message: impl Into<String>) -> Self {
        Fail::new(locker_code::LOCKER_BAD_CONTEXT, message)
    }

    pub(crate) fn cancelled(message: impl Into<String>) -> Self {
        Fail::new(locker_code::LOCKER_CANCELLED, message)
    }

    /// The process is out of something; as with etcd, trying again may help.
    pub(crate) fn exhausted(what: &str, cause: std::io::Error) -> Self {
        Fail::new(locker_code::LOCKER_UNAVAILABLE, format!("cannot {what}: {cause}"))
    }

    /// A panic that was caught, with what it said.
    pub(crate) fn panicked(payload: Box<dyn Any + Send>) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        Fail::new(locker_code::LOCKER_INTERNAL, format!("a bug in locker: {text}"))
    }
}

impl From<locker_core::Error> for Fail {
    fn from(error: locker_core::Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Timeout => locker_code::LOCKER_TIMEOUT,
            ErrorKind::Cancelled => locker_code::LOCKER_CANCELLED,
            ErrorKind::Lost => locker_code::LOCKER_LOST,
            ErrorKind::Unavailable => locker_code::LOCKER_UNAVAILABLE,
            ErrorKind::Denied => locker_code::LOCKER_DENIED,
            ErrorKind::Invalid => locker_code::LOCKER_INVALID,
            _ => locker_code::LOCKER_INTERNAL,
        };
        let detail = error.loss().map(|loss| locker_loss::from(loss) as i32).or(error.grpc_code());
        Fail { code, detail: detail.unwrap_or(0), message: error.to_string() }
    }
}

impl From<&Fail> for locker_error {
    fn from(fail: &Fail) -> Self {
        locker_error { code: fail.code as i32, detail: fail.detail, message: chars(&fail.message) }
    }
}

/// `text` with a NUL in a buffer of C, cut at the end of a character where it does not fit.
pub(crate) fn chars<const N: usize>(text: &str) -> [c_char; N] {
    let mut buffer = [0; N];
    for (to, from) in buffer.iter_mut().zip(cut(text, N - 1).as_bytes()) {
        *to = *from as c_char;
    }
    buffer
}

/// The beginning of `text` that is no longer than so many bytes and ends with a character.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<const N: usize>(buffer: [c_char; N]) -> String {
        let bytes = buffer.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8).collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(text(chars::<4>("abc")), "abc");
        assert_eq!(text(chars::<4>("abcd")), "abc");
        assert_eq!(text(chars::<4>("aé€")), "aé");
        assert_eq!(text(chars::<4>("a€")), "a");
        assert_eq!(text(chars::<4>("ab€")), "ab");
        assert_eq!(text(chars::<4>("€")), "€");
        assert_eq!(text(chars::<4>("😀")), "");
        assert_eq!(text(chars::<1>("")), "");
    }

    #[test]
    fn a_panic_keeps_its_words() {
        for fail in [
            Fail::panicked(std::panic::catch_unwind(|| panic!("at {}", 7)).unwrap_err()),
            Fail::panicked(std::panic::catch_unwind(|| panic!("at 7")).unwrap_err()),
        ] {
            assert_eq!((fail.code, fail.message.as_str()), (locker_code::LOCKER_INTERNAL, "a bug in locker: at 7"));
        }
    }
}
