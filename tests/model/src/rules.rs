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

    // Of who wants more than one lock at once.
    /// It enters all queues by one transaction. (Broken: one after the other. Goes with `anew_in_all`.)
    pub all_in_one: bool,
    /// Such a request is never in a batch.
    pub all_alone: bool,
    /// Who does not wait compares that every one of the queues is empty, not one.
    pub alone_in_all: bool,
    /// The answer to an enter has to show it as the first of each queue, not of one.
    pub first_in_all: bool,
    /// One read shows it as the first of each queue. (Broken: one for each; of who shares, one for who is exclusive, and one
    /// for its key and those of its limit.)
    pub one_read_for_all: bool,
    /// After a doubt, with a part of its keys it had entered.
    pub part_is_a_place: bool,
    /// Who loses one place enters all queues anew. (Broken: only where it has none.)
    pub anew_in_all: bool,
    /// It leaves the others.
    pub rest_of_wait: bool,
    /// It enters anew only once they are deleted.
    pub rest_before_anew: bool,
    /// Who held leaves the others, too.
    pub rest_of_hold: bool,
    /// But not before its hold is over.
    pub hold_ends_first: bool,
    /// It leaves all queues by one transaction. (This one could be broken. But so nobody sees it with a part of them.)
    pub leave_in_one: bool,

    // Of who shares a lock.
    /// An enter compares that nobody shares the lock with another limit.
    pub same_limit: bool,
    /// Who shares waits for who is exclusive and older.
    pub shared_waits_for_exclusive: bool,
    /// Also for who waits itself. (Broken: only for who holds.)
    pub first_come: bool,
    /// Of a limit, no more than that many hold.
    pub limit_counts: bool,
    /// Who is exclusive waits for who shares and is older.
    pub exclusive_waits_for_shared: bool,
    /// Who waits for its turn to share looks again whenever one that is older leaves. (Broken: when the last has left.)
    pub woken_by_each: bool,
    /// Who does not wait compares that nobody exclusive is in the queue.
    pub free_of_exclusive: bool,
    /// Who does not wait for one of a limit compares that nobody has entered since it looked.
    pub enter_as_looked: bool,
    /// If somebody has, it looks again. (Broken: it is told that there is no room.)
    pub looks_again: bool,
    /// It looks for who is exclusive, too.
    pub looks_outside: bool,
    /// It looks at how things are, not at how they were.
    pub look_is_fresh: bool,

    // Of who wants to outlive its lease.
    /// It asks for that only once its turn has come.
    pub keep_when_first: bool,
    /// Its request compares that its key is as it was put.
    pub keep_compares: bool,
    /// What may outlive the lease is deleted until that is acknowledged, also after the end of the lease.
    pub kept_until_deleted: bool,
    /// It enters anew only after that. (This one could be broken: it would wait behind its own former key.)
    pub kept_before_anew: bool,
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
        all_in_one: true,
        all_alone: true,
        alone_in_all: true,
        first_in_all: true,
        one_read_for_all: true,
        part_is_a_place: true,
        anew_in_all: true,
        rest_of_wait: true,
        rest_before_anew: true,
        rest_of_hold: true,
        hold_ends_first: true,
        leave_in_one: true,
        same_limit: true,
        shared_waits_for_exclusive: true,
        first_come: true,
        limit_counts: true,
        exclusive_waits_for_shared: true,
        woken_by_each: true,
        free_of_exclusive: true,
        enter_as_looked: true,
        looks_again: true,
        looks_outside: true,
        look_is_fresh: true,
        keep_when_first: true,
        keep_compares: true,
        kept_until_deleted: true,
        kept_before_anew: true,
    };
}
