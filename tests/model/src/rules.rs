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
    /// Nor is it below the end of the key's former use. (A linearizable read is below neither.)
    pub read_after_former_use: bool,
    /// Who gives up in doubt deletes its key only once its epoch is acknowledged.
    pub delete_after_fence: bool,
    /// The proof is a read in which one's own key is the oldest, not one in which no older key is.
    pub proof_has_own_key: bool,
    /// It is at a revision not below the key's own: else it may show the key's former use.
    pub proof_after_enter: bool,
    /// A key is used again only once its delete was answered.
    pub free_when_deleted: bool,
    /// A key whose delete was in doubt is never used again.
    pub spent_by_delete: bool,
    /// A key that a fused request in doubt was to delete is never used again.
    pub spent_by_fused: bool,
    /// A key whose enter was in doubt is not used again before its epoch is acknowledged.
    pub spent_until_fence: bool,
    /// Nor ever after. (This one could be broken: what is fenced off cannot come later. But so the rule is simpler.)
    pub spent_by_enter: bool,
    /// Who gives up takes its key out.
    pub leave_on_give_up: bool,
    /// A delete in doubt is sent again.
    pub delete_until_acknowledged: bool,
    /// A fused request that is refused deletes nevertheless.
    pub fused_always_deletes: bool,
    /// After a fused request in doubt, or refused for good, the delete is sent alone.
    pub delete_after_fused: bool,
    /// A fused request that was refused gives no place.
    pub refused_is_no_place: bool,
    /// Of one name there is one request in a batch.
    pub one_of_a_name: bool,
    /// A client's own clock ends its lease before etcd does.
    pub ends_first: bool,
}

impl Rules {
    pub const ALL: Rules = Rules {
        epoch: true,
        read_after_fence: true,
        read_is_fresh: true,
        read_after_former_use: true,
        delete_after_fence: true,
        proof_has_own_key: true,
        proof_after_enter: true,
        free_when_deleted: true,
        spent_by_delete: true,
        spent_by_fused: true,
        spent_until_fence: true,
        spent_by_enter: true,
        leave_on_give_up: true,
        delete_until_acknowledged: true,
        fused_always_deletes: true,
        delete_after_fused: true,
        refused_is_no_place: true,
        one_of_a_name: true,
        ends_first: true,
    };
}
