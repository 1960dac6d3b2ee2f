package locker

// #include "locker.h"
import "C"

import (
	"context"
	"slices"
	"time"
)

// C takes no longer waits.
const longestWait = 100 * 365 * 24 * time.Hour

// Lock acquires the lock name, first come first served, and waits for its turn until ctx ends; then it leaves the
// queue. A name has 1 to 255 bytes of UTF-8. Two guards for one name exclude each other, also within one client. End the
// guard with [Guard.Unlock].
//
// If ctx ends the wait, the error is ctx's, and [ErrTimeout] (after a deadline) or [ErrCancelled], and an [*Error] says
// who holds the lock. If etcd was silent when the deadline came, it is ctx's and [ErrUnavailable]. To hear which it was may
// take a moment more than the deadline, and ctx is not looked at in the first 3 milliseconds of a wait.
//
//	if busy := (*locker.Error)(nil); errors.As(err, &busy) && busy.Holder != nil {
//		log.Printf("held by %s", busy.Holder.Value)
//	}
//
// It also fails with [ErrInvalid] (name or an option is wrong), [ErrUnavailable] (no answer from etcd, within the client's
// [Timeout]), [ErrDenied], [ErrCancelled] (the client was disconnected meanwhile) or [ErrBadHandle] (before).
func (c *Client) Lock(ctx context.Context, name string, options ...LockOption) (*Guard, error) {
	return c.acquire(ctx, []string{name}, timeLeft(ctx), options)
}

// TryLock acquires the lock name if nobody holds it, else it fails with [ErrTimeout] and, in [Error].Holder, who does. That is
// said only by etcd: if ctx's deadline comes first, the error is ctx's and [ErrUnavailable].
func (c *Client) TryLock(ctx context.Context, name string, options ...LockOption) (*Guard, error) {
	return c.acquire(ctx, []string{name}, C.LOCKER_NO_WAIT, options)
}

// LockAll acquires all of these locks or none, in one request and with one token: they are held once it is the first in all
// their queues. It waits and fails as [Client.Lock] does; [Error].Holder then names the lock that was busy. The guard ends as a
// whole: [Guard.Unlock] gives all locks up, and all are lost with one of them.
//
// Two such requests never wait for each other, however their names overlap: where both want a lock, the earlier is before the
// later. That holds for names in one request. Who holds a guard and asks for more may wait for ever, as with any lock.
//
// There are 1 to 60 names, none of them twice, and they are had alone: [Shared] and [Limit] are for one name. Else it fails with
// [ErrInvalid].
func (c *Client) LockAll(ctx context.Context, names []string, options ...LockOption) (*Guard, error) {
	return c.acquire(ctx, slices.Clone(names), timeLeft(ctx), options)
}

// TryLockAll is [Client.LockAll] if nobody holds any of these locks, else it fails with [ErrTimeout] and, in
// [Error].Holder, who holds which. After a deadline it fails as [Client.TryLock] does.
func (c *Client) TryLockAll(ctx context.Context, names []string, options ...LockOption) (*Guard, error) {
	return c.acquire(ctx, slices.Clone(names), C.LOCKER_NO_WAIT, options)
}

func (c *Client) acquire(ctx context.Context, names []string, limit C.int64_t, options []LockOption) (*Guard, error) {
	switch what := calling("lock", names...); {
	case ctx.Err() == nil:
	case limit == C.LOCKER_NO_WAIT:
		return nil, unheard(ctx, what)
	default:
		return nil, interrupted(ctx, what)
	}
	g, err := c.start(ctx, names, limit, options)
	if err != nil {
		return nil, err
	}
	return g.await(ctx, limit)
}

// timeLeft is how long C may wait for other holders; 0, without end, if ctx has no deadline.
func timeLeft(ctx context.Context) C.int64_t {
	deadline, limited := ctx.Deadline()
	if !limited {
		return 0
	}
	return millis(min(max(time.Until(deadline), time.Millisecond), longestWait))
}

// start begins an acquisition.
func (c *Client) start(ctx context.Context, names []string, limit C.int64_t, options []LockOption) (*Guard, error) {
	var o lockOptions
	for _, option := range options {
		if option != nil {
			option(&o)
		}
	}
	var a arguments
	g := &Guard{client: c, names: names, values: ctx}
	in := o.toC(&a)
	in.timeout_ms = limit
	var start func(e *C.locker_error) C.locker_code
	if len(names) == 1 {
		name := a.text("name", names[0])
		start = func(e *C.locker_error) C.locker_code { return C.locker_lock_start(c.id(), name, &in, &g.handle, e) }
	} else {
		all, count := a.texts("names", names), C.size_t(len(names))
		start = func(e *C.locker_error) C.locker_code {
			return C.locker_lock_all_start(c.id(), all, count, &in, &g.handle, e)
		}
	}
	gate <- struct{}{}
	defer func() { <-gate }()
	return g, a.call(start)
}

func (o *lockOptions) toC(a *arguments) C.locker_lock_options {
	in := C.locker_lock_options{
		struct_size: C.sizeof_locker_lock_options,
		value:       a.optional("value", o.value),
		reason:      a.optional("reason", o.reason),
		shared:      C.bool(o.shared),
	}
	if o.limit != nil {
		in.limit = C.uint32_t(*o.limit)
		if a.err == nil && *o.limit == 0 { // which is no limit, for C
			a.err = invalid("limit is 0")
		}
	}
	return in
}
