package locker

// #include "locker.h"
import "C"

import (
	"context"
	"errors"
)

// Unlock gives the lock up and waits until etcd has confirmed it, at most until ctx ends or for the client's timeout.
// Whatever it returns, this guard no longer holds the lock, also when ctx had ended before.
//
// It fails with [ErrLost] if the lock was lost before, with [ErrBadHandle] if it was unlocked or its client disconnected
// before, and with [ErrUnavailable] or ctx's error if etcd has not confirmed in time; the release then goes on behind.
func (g *Guard) Unlock(ctx context.Context) error {
	if !g.locked() {
		return context.Cause(nobodys)
	}
	defer g.client.guards.remove(g)
	what := g.calling("unlock")
	return g.client.end(ctx, what, func(limit C.int64_t) error {
		err := try(func(e *C.locker_error) C.locker_code { return C.locker_unlock(g.handle, limit, e) })
		switch {
		case errors.Is(err, ErrBadHandle): // whoever has ended it knows why
		case errors.Is(err, ErrLost) && g.left.Load(): // when nobody held it any more
			err = &Error{Code: ErrUnavailable, Message: what.String() + ": etcd was not told in time: " + err.Error()}
		case errors.Is(err, ErrLost):
			g.ended(err)
		default:
			g.ended(unlocked(g.calling("lock")))
		}
		return err
	}, g.leave)
}

// leave ends the hold for all who ask, while Unlock waits for its turn to tell C.
func (g *Guard) leave() {
	if g.now() == nil { // else it has ended, and C knows why
		g.left.Store(true)
		g.ended(unlocked(g.calling("lock")))
	}
}
