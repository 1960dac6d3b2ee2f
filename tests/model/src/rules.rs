//! The rules of the protocol, each of which can be broken.

/// `true`: kept.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// An enter compares the client's epoch, and a doubt is fenced off by writing it.
    pub epoch: bool,
    /// After a doubt the client reads only once its epoch is acknowledged.
    pub read_after_fence: bool,
    /// That read is at a revision not below the epoch.
    pub read_is_fresh: bool,
    /// Who gives up in doubt deletes its key only once its epoch is acknowledged.
    pub delete_after_fence: bool,
    /// The proof is a read in which one's own key is the oldest, not one in which no older key is.
    pub proof_has_own_key: bool,
    /// Every acquisition has a key that was never used before.
    pub fresh_keys: bool,
    /// Who gives up takes its key out.
    pub leave_on_give_up: bool,
    /// A delete in doubt is sent again.
    pub delete_until_acknowledged: bool,
    /// A client's own clock ends its lease before etcd does.
    pub ends_first: bool,
}

impl Rules {
    pub const ALL: Rules = Rules {
        epoch: true,
        read_after_fence: true,
        read_is_fresh: true,
        delete_after_fence: true,
        proof_has_own_key: true,
        fresh_keys: true,
        leave_on_give_up: true,
        delete_until_acknowledged: true,
        ends_first: true,
    };
}
