//! How long a call waits.

use crate::context;
use crate::fail::Fail;
use crate::types::LOCKER_NO_WAIT;
use std::time::{Duration, Instant};

/// A hundred years: what is longer is not a time but a mistake.
const LONGEST_MS: i64 = 100 * 365 * 24 * 3600 * 1000;

/// How long a call waits, as its `timeout_ms` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// 0: what is usual for what is waited for.
    Usual,
    /// LOCKER_NO_WAIT.
    NoWait,
    For(Duration),
}

impl Limit {
    pub(crate) fn parse(ms: i64, argument: &str) -> Result<Self, Fail> {
        match ms {
            0 => Ok(Limit::Usual),
            LOCKER_NO_WAIT => Ok(Limit::NoWait),
            1..=LONGEST_MS => Ok(Limit::For(Duration::from_millis(ms as u64))),
            ..0 => Err(Fail::invalid(format!("{argument} is {ms}: a time cannot be negative"))),
            _ => Err(Fail::invalid(format!("{argument} is {ms}: more than a hundred years"))),
        }
    }

    /// A time that is a setting and not a wait: LOCKER_NO_WAIT means nothing there.
    pub(crate) fn setting(ms: i64, argument: &str) -> Result<Option<Duration>, Fail> {
        match Limit::parse(ms, argument)? {
            Limit::Usual => Ok(None),
            Limit::NoWait => Err(Fail::invalid(format!("{argument} is {ms}: a time cannot be negative"))),
            Limit::For(time) => Ok(Some(time)),
        }
    }

    /// In a callback nothing but LOCKER_NO_WAIT will do.
    pub(crate) fn may_wait(self) -> Result<(), Fail> {
        if self == Limit::NoWait { Ok(()) } else { context::may_wait() }
    }

    /// Where one waits for other people: for ever, unless a limit was given.
    pub(crate) fn for_people(self) -> Option<Duration> {
        match self {
            Limit::Usual => None,
            Limit::NoWait => Some(Duration::ZERO),
            Limit::For(time) => Some(time),
        }
    }

    /// Where one waits for etcd or a callback: as long as is `usual` for the client, unless a limit was given.
    pub(crate) fn deadline(self, usual: Duration) -> Instant {
        Instant::now()
            + match self {
                Limit::Usual => usual,
                Limit::NoWait => Duration::ZERO,
                Limit::For(time) => time,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_are_none_are_refused() {
        assert_eq!(Limit::parse(0, "t").unwrap(), Limit::Usual);
        assert_eq!(Limit::parse(-1, "t").unwrap(), Limit::NoWait);
        assert_eq!(Limit::parse(1, "t").unwrap(), Limit::For(Duration::from_millis(1)));
        Limit::parse(LONGEST_MS, "t").unwrap();
        for ms in [-2, i64::MIN, LONGEST_MS + 1, i64::MAX] {
            assert!(format!("{:?}", Limit::parse(ms, "timeout_ms").unwrap_err()).contains("timeout_ms"));
        }
        assert!(Limit::setting(-1, "ttl_ms").is_err());
    }

    #[test]
    fn the_longest_time_does_not_overflow_the_clock() {
        assert!(Limit::parse(LONGEST_MS, "t").unwrap().deadline(Duration::ZERO) > Instant::now());
    }
}
