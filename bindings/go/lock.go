package locker

// #include "locker.h"
import "C"

import (
	"context"
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
	return c.acquire(ctx, name, timeLeft(ctx), options)
}

// TryLock acquires the lock name if nobody holds it, else it fails with [ErrTimeout] and, in [Error].Holder, who does.
func (c *Client) TryLock(ctx context.Context, name string, options ...LockOption) (*Guard, error) {
	return c.acquire(ctx, name, C.LOCKER_NO_WAIT, options)
}

func (c *Client) acquire(ctx context.Context, name string, limit C.int64_t, options []LockOption) (*Guard, error) {
	if ctx.Err() != nil {
		return nil, interrupted(ctx, call{"lock", name})
	}
	g, err := c.start(ctx, name, limit, options)
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
func (c *Client) start(ctx context.Context, name string, limit C.int64_t, options []LockOption) (*Guard, error) {
	var o lockOptions
	for _, option := range options {
		if option != nil {
			option(&o)
		}
	}
	var a arguments
	g := &Guard{client: c, name: name, values: ctx}
	cName := a.text("name", name)
	in := C.locker_lock_options{
		struct_size: C.sizeof_locker_lock_options,
		value:       a.optional("value", o.value),
		reason:      a.optional("reason", o.reason),
		timeout_ms:  limit,
	}
	gate <- struct{}{}
	defer func() { <-gate }()
	err := a.call(func(e *C.locker_error) C.locker_code {
		return C.locker_lock_start(c.id(), cName, &in, &g.handle, e)
	})
	return g, err
}
