//! One function for each promise. Each is given a whole [`Run`] and says where it breaks its promise.

mod calls;
mod exclusion;
pub(crate) mod load;
pub(crate) mod loss;
pub(crate) mod queue;
mod resources;
mod tokens;

use crate::run::Run;
use std::fmt;

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// C1: of one lock never two holds are believed in at a time.
    Exclusion,
    /// C1': no guard says that it is held while another's time lasts.
    HeldAlone,
    /// C2: tokens are unique, rise from holder to holder, and are the create revisions that etcd tells.
    Tokens,
    /// C3: the fenced file took no stale write.
    Fence,
    /// C3': it had stale writes to refuse.
    FenceTried,
    /// C4: a write on condition of the lock's key was done while the key was there.
    Guarded,
    /// C5: who is next gets its turn in time.
    Liveness,
    /// C6: a loss is told in time, and not without a cause.
    Loss,
    /// C7: nothing is held after its loss or its release was told.
    Finality,
    /// C8: who came first is served first.
    Order,
    /// C9: every call ends, in time, and with an outcome that it may have.
    Calls,
    /// C10: there was enough load for the rest to mean anything.
    Load,
}

impl Rule {
    /// Its number in the list of checks.
    pub fn number(self) -> &'static str {
        ["C1", "C1'", "C2", "C3", "C3'", "C4", "C5", "C6", "C7", "C8", "C9", "C10"][self as usize]
    }
}

/// A promise that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// When.
    pub at: u64,
    /// Of which lock; `None`: of the run as a whole.
    pub lock: Option<u32>,
    /// How.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}: ", self.rule.number(), self.rule)?;
        if let Some(lock) = self.lock {
            write!(f, "L{lock}: ")?;
        }
        write!(f, "{} (at {:.6})", self.text, self.at as f64 / 1e9)
    }
}

/// A check.
pub type Check = fn(&Run) -> Vec<Violation>;

/// All of them.
pub const ALL: [Check; 12] = [
    exclusion::no_two_at_a_time,
    exclusion::held_alone,
    tokens::unique_and_rising,
    resources::fence,
    resources::fence_tried,
    resources::guarded,
    queue::liveness,
    loss::told_in_time,
    calls::finality,
    queue::order,
    calls::calls_end,
    load::floor,
];

/// What every check says, the first violation first.
pub fn all(run: &Run) -> Vec<Violation> {
    let mut violations: Vec<Violation> = ALL.iter().flat_map(|check| check(run)).collect();
    violations.sort_by_key(|violation| violation.at);
    violations
}
