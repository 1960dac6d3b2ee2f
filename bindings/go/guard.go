package locker

// #include "locker.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// State is where a [Guard] stands: StateWaiting, then StateHeld and StateAtRisk in turn, then StateEnded.
type State int32

const (
	// StateWaiting: in the queue, or on its way there.
	StateWaiting State = C.LOCKER_WAITING
	// StateHeld: held.
	StateHeld State = C.LOCKER_HELD
	// StateAtRisk: held, but its lease was not renewed for so long that it may soon be lost. Finish, or stop.
	StateAtRisk State = C.LOCKER_AT_RISK
	// StateEnded: unlocked, lost, cancelled or failed.
	StateEnded State = C.LOCKER_ENDED
)

func (s State) String() string {
	switch s {
	case StateWaiting:
		return "waiting"
	case StateHeld:
		return "held"
	case StateEnded:
		return "ended"
	default:
		return "at risk"
	}
}

func toState(s C.locker_state) State {
	switch s {
	case C.LOCKER_NONE: // the handle is spent
		return StateEnded
	case C.LOCKER_WAITING, C.LOCKER_HELD, C.LOCKER_ENDED:
		return State(s)
	default:
		return StateAtRisk
	}
}

// How long after a deadline to wait for what is about to happen then: C says why nothing is held, the context ends.
const verdict = 200 * time.Millisecond

// Guard is one acquisition of one lock. Any goroutine may use it at any time: one may lock and another unlock.
type Guard struct {
	client   *Client
	name     string
	handle   C.locker_guard
	acquired chan struct{}   // closed when the lock is first held
	ctx      context.Context // done when the guard has ended, with the reason as its cause
	end      context.CancelCauseFunc
}

func newGuard(ctx context.Context, c *Client, name string) *Guard {
	g := &Guard{client: c, name: name, acquired: make(chan struct{})}
	g.ctx, g.end = context.WithCancelCause(context.WithoutCancel(ctx))
	return g
}

// changed is called by C with each change of state, in order.
func (g *Guard) changed(s State, err error) {
	switch s {
	case StateWaiting:
	case StateEnded:
		if err == nil {
			err = g.unlocked()
		}
		g.end(err)
	default:
		select {
		case <-g.acquired:
		default:
			close(g.acquired)
		}
	}
}

// forgotten is called by C after the last change.
func (g *Guard) forgotten() { g.end(g.unlocked()) }

func (g *Guard) unlocked() error {
	return &Error{Code: ErrCancelled, Message: fmt.Sprintf("lock %q: unlocked", g.name)}
}

// await waits until the lock is held; if it is not to be, it ends the guard and says why. limit is what C was given.
func (g *Guard) await(ctx context.Context, limit C.int64_t) (*Guard, error) {
	select {
	case <-g.acquired:
		return g, nil
	case <-g.ctx.Done():
	case <-ctx.Done():
		// C has the same deadline, and knows whether etcd was silent.
		if limit > 0 && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			select {
			case <-g.acquired:
				return g, nil
			case <-g.ctx.Done():
			case <-time.After(verdict):
			}
		}
	}
	why := (*Error)(nil)
	if !errors.As(context.Cause(g.ctx), &why) {
		why = interrupted(ctx, fmt.Sprintf("lock %q", g.name))
	}
	g.giveUp(why)
	if limit > 0 {
		why.addDeadline(ctx)
	}
	return nil, why
}

// giveUp ends a guard that is not to be held, without waiting, and adds to the reason who holds the lock.
func (g *Guard) giveUp(why *Error) {
	gate <- struct{}{}
	defer func() { <-gate }()
	holder, cancelled := g.Info(), why.Code == ErrCancelled && why.causes != nil
	// After a deadline to which C said nothing, what is known of a holder may be old.
	busy := why.Code == ErrTimeout && why.causes == nil
	if (busy || cancelled) && holder.Held() && !g.Held() {
		why.Holder = &holder
		if cancelled { // C's errors say it already
			why.Message += ": it is held by " + holder.who()
		}
	}
	C.locker_unlock(g.handle, C.LOCKER_NO_WAIT, nil)
}

// Name is the lock's.
func (g *Guard) Name() string { return g.name }

// Token is the fencing token while the lock is held, else 0. Each holder of a name gets a greater one: have what the
// lock protects refuse a token lower than one it has seen.
func (g *Guard) Token() int64 { return int64(C.locker_guard_token(g.handle)) }

// State is where the guard stands. It reads the clock in the call: a guard whose time ran out has ended, whatever was
// heard from etcd.
func (g *Guard) State() State { return toState(C.locker_guard_state(g.handle)) }

// Held reports whether the lock is held now, as far as this process can know.
func (g *Guard) Held() bool {
	s := g.State()
	return s == StateHeld || s == StateAtRisk
}

// Remaining is for how long the lock stays held if etcd stops answering now; 0 when it is not held.
func (g *Guard) Remaining() time.Duration {
	return time.Duration(C.locker_guard_remaining_ms(g.handle)) * time.Millisecond
}

// Info is what [Client.Get] would say of this guard, from memory; after Unlock only the name.
func (g *Guard) Info() Info {
	var out C.locker_info
	if C.locker_guard_info(g.handle, &out, nil) != C.LOCKER_OK {
		return Info{Name: g.name, LeaseLeft: -1}
	}
	return toInfo(&out)
}

// Lost is closed when the lock is no longer held; [Guard.Err] then says why.
func (g *Guard) Lost() <-chan struct{} { return g.ctx.Done() }

// Err is nil while the lock is held. Then it says why it is not: [ErrLost], or [ErrCancelled] after Unlock or
// Disconnect.
func (g *Guard) Err() error {
	if g.Held() {
		return nil
	}
	err := try(func(e *C.locker_error) C.locker_code { return C.locker_wait(g.handle, C.LOCKER_NO_WAIT, e) })
	if !errors.Is(err, ErrBadHandle) {
		return err
	}
	// It was unlocked: before that, it may have been lost.
	if cause := context.Cause(g.ctx); cause != nil {
		return cause
	}
	return g.unlocked()
}

// Context is cancelled when the lock is no longer held, with [Guard.Err] as its cause: the context to do the work
// under. It carries the values of the context given to Lock, but not its end.
func (g *Guard) Context() context.Context { return g.ctx }

// Unlock gives the lock up and waits until etcd has confirmed it, at most until ctx ends or for the client's timeout.
// Whatever it returns, this guard no longer holds the lock, also when ctx had ended before.
//
// It fails with [ErrLost] if the lock was lost before, with [ErrBadHandle] if it was unlocked before, and with
// [ErrUnavailable] or ctx's error if etcd has not confirmed in time; the release then goes on behind.
func (g *Guard) Unlock(ctx context.Context) error {
	return g.client.end(ctx, fmt.Sprintf("unlock %q", g.name), func(limit C.int64_t) error {
		return try(func(e *C.locker_error) C.locker_code { return C.locker_unlock(g.handle, limit, e) })
	})
}
