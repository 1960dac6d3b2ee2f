//! The core's values as C sees them.

use crate::fail::chars;
use crate::types::{locker_info, locker_loss, locker_mode, locker_state};
use locker_core::{Info, Loss, Mode, State};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

impl From<State> for locker_state {
    fn from(state: State) -> Self {
        match state {
            State::Waiting => locker_state::LOCKER_WAITING,
            State::Held => locker_state::LOCKER_HELD,
            State::Ended => locker_state::LOCKER_ENDED,
            // What the header says of a state that one does not know.
            _ => locker_state::LOCKER_AT_RISK,
        }
    }
}

impl From<Mode> for locker_mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Free => locker_mode::LOCKER_FREE,
            Mode::Shared => locker_mode::LOCKER_SHARED,
            Mode::Foreign => locker_mode::LOCKER_FOREIGN,
            // What the header says of a mode that one does not know.
            _ => locker_mode::LOCKER_EXCLUSIVE,
        }
    }
}

impl From<Loss> for locker_loss {
    fn from(loss: Loss) -> Self {
        match loss {
            Loss::LeaseGone => locker_loss::LOCKER_LOSS_LEASE_GONE,
            Loss::KeyDeleted => locker_loss::LOCKER_LOSS_KEY_DELETED,
            Loss::WentBack => locker_loss::LOCKER_LOSS_WENT_BACK,
            // What the header says of a loss that one does not know.
            _ => locker_loss::LOCKER_LOSS_EXPIRED,
        }
    }
}

impl From<&Info> for locker_info {
    fn from(info: &Info) -> Self {
        locker_info {
            token: info.token,
            since_ms: info.since.and_then(since_1970).map_or(0, millis),
            lease_left_ms: info.lease_left.map_or(-1, millis),
            revision: info.revision,
            holders: info.holders,
            limit: info.limit,
            reserved: [0; 3],
            pid: info.pid,
            waiters: info.waiters,
            mode: locker_mode::from(info.mode) as i32,
            reserved_mode: 0,
            name: chars(&info.name),
            host: chars(&info.host),
            program: chars(&info.program),
            reason: chars(&info.reason),
            value: chars(&info.value),
        }
    }
}

/// Milliseconds, as many as fit.
pub(crate) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn since_1970(time: SystemTime) -> Option<Duration> {
    time.duration_since(UNIX_EPOCH).ok()
}
