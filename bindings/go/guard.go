package locker

// #include "locker.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
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
		return "at_risk"
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

// Guard is one acquisition of one lock, made by [Client.Lock] or [Client.TryLock], or of several at once, by
// [Client.LockAll] or [Client.TryLockAll]. Any goroutine may use it at any time: one may lock and another unlock. It must not
// be copied. One that they did not make, nil or zero, holds nothing and fails with [ErrBadHandle].
type Guard struct {
	client *Client
	names  []string
	handle C.locker_guard
	values context.Context // those of Lock's
	left   atomic.Bool     // by an Unlock that has not told C yet

	mu   sync.Mutex
	told *changes // nil until somebody asks
	why  error    // what Unlock or Disconnect say of its end
}

// nobodys is the end of a guard that nobody has locked.
var nobodys = func() context.Context {
	ctx, end := context.WithCancelCause(context.Background())
	end(&Error{Code: ErrBadHandle, Message: "this guard was not made by Lock or TryLock"})
	return ctx
}()

// locked is false of a guard that Lock did not make.
func (g *Guard) locked() bool { return g != nil && g.client != nil }

// id is what C knows the guard by; of a nil one, and one that Unlock has left: nothing.
func (g *Guard) id() C.locker_guard {
	if g == nil || g.left.Load() {
		return C.locker_guard{}
	}
	return g.handle
}

// changes begins to be told of changes, if it has not begun: C tells those that were before, too.
func (g *Guard) changes() *changes {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.told != nil {
		return g.told
	}
	g.told = newChanges(g.values, g.calling("lock"))
	err := g.why
	if err == nil {
		err = g.tell(g.told)
	}
	if errors.Is(err, ErrBadHandle) { // Unlock is under way, or the client was disconnected
		err = unlocked(g.calling("lock"))
	}
	if err != nil {
		g.told.end(err)
	}
	return g.told
}

// tell has C tell c of changes.
func (g *Guard) tell(c *changes) error {
	gate <- struct{}{}
	defer func() { <-gate }()
	return try(func(e *C.locker_error) C.locker_code { return onChange(g.handle, c, e) })
}

// ended tells why the guard has ended. What was said first stands.
func (g *Guard) ended(why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.why != nil {
		return
	}
	g.why = why
	if g.told != nil {
		g.told.end(why)
	}
}

// await waits until the lock is held; if it is not to be, it ends the guard and says why. limit is what C was given.
func (g *Guard) await(ctx context.Context, limit C.int64_t) (*Guard, error) {
	waits, err := g.soon()
	if waits {
		err = g.later(ctx, limit)
	}
	if err == nil {
		g.client.guards.add(g)
		return g, nil
	}
	why := (*Error)(nil)
	if !errors.As(err, &why) {
		why = interrupted(ctx, g.calling("lock"))
	}
	g.giveUp(why)
	if limit > 0 {
		why.addDeadline(ctx)
	}
	return nil, why
}

// later waits without a thread, until the lock is held, the guard has ended or ctx has.
func (g *Guard) later(ctx context.Context, limit C.int64_t) error {
	g.client.waiters.enter(g.names)
	defer g.client.waiters.leave(g.names)
	told := g.changes()
	select {
	case <-told.acquired:
		return nil
	case <-told.ctx.Done():
	case <-ctx.Done():
		if limit != 0 && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return g.overdue(ctx, told, limit)
		}
	}
	if why := context.Cause(told.ctx); why != nil {
		return why
	}
	return ctx.Err()
}

// overdue is what came of the wait when ctx's deadline has come.
func (g *Guard) overdue(ctx context.Context, told *changes, limit C.int64_t) error {
	if limit > 0 { // C has the same deadline, and says at once what came of a place in the queue
		select {
		case <-told.acquired:
			return nil
		case <-told.ctx.Done():
		case <-time.After(verdict):
		}
	}
	if why := context.Cause(told.ctx); why != nil {
		return why
	}
	if g.State() != StateWaiting { // the news of it is on its way
		return g.now()
	}
	return unheard(ctx, g.calling("lock"))
}

// giveUp ends a guard that is not to be held, without waiting, and adds to the reason who holds the lock.
func (g *Guard) giveUp(why *Error) {
	gate <- struct{}{}
	defer func() { <-gate }()
	holder, cancelled := g.Info(), why.Code == ErrCancelled && why.causes != nil
	// After a deadline of which C did not know, what is known of a holder may be old.
	busy := why.Code == ErrTimeout && why.causes == nil
	if (busy || cancelled) && holder.Held() && !g.Held() {
		why.Holder = &holder
		if cancelled { // C's errors say it already
			why.Message += fmt.Sprintf(": %q is held by %s", holder.Name, holder.who())
		}
	}
	C.locker_unlock(g.handle, C.LOCKER_NO_WAIT, nil)
}

// calling is what it is called in the error of a call.
func (g *Guard) calling(verb string) call { return calling(verb, g.names...) }

// Name is the lock's; of several the first's.
func (g *Guard) Name() string {
	if g == nil || len(g.names) == 0 {
		return ""
	}
	return g.names[0]
}

// Names are those of all its locks: more than one only of [Client.LockAll] and [Client.TryLockAll].
func (g *Guard) Names() []string {
	if g == nil {
		return nil
	}
	return slices.Clone(g.names)
}

// Token is the fencing token while the lock is held, else 0. Each holder of a name gets a greater one: have what the
// lock protects refuse a token lower than one it has seen.
func (g *Guard) Token() int64 { return int64(C.locker_guard_token(g.id())) }

// State is where the guard stands. It reads the clock in the call: a guard whose time ran out has ended, whatever was
// heard from etcd.
func (g *Guard) State() State { return toState(C.locker_guard_state(g.id())) }

// Held reports whether the lock is held now, as far as this process can know.
func (g *Guard) Held() bool {
	s := g.State()
	return s == StateHeld || s == StateAtRisk
}

// Remaining is for how long the lock stays held if etcd stops answering now; 0 when it is not held.
func (g *Guard) Remaining() time.Duration {
	return time.Duration(C.locker_guard_remaining_ms(g.id())) * time.Millisecond
}

// Info is what [Client.Get] would say of this guard, from memory; after Unlock only the name.
func (g *Guard) Info() Info {
	var out C.locker_info
	if C.locker_guard_info(g.id(), &out, nil) != C.LOCKER_OK {
		return Info{Name: g.Name(), LeaseLeft: -1}
	}
	return toInfo(&out)
}

// Lost is closed when the lock is no longer held; [Guard.Err] then says why.
func (g *Guard) Lost() <-chan struct{} { return g.Context().Done() }

// Err is nil while the lock is held. Then it says why it is not: [ErrLost], or [ErrCancelled] after Unlock or
// Disconnect.
func (g *Guard) Err() error {
	if g.Held() {
		return nil
	}
	err := g.now()
	if !errors.Is(err, ErrBadHandle) {
		return err
	}
	// It was unlocked: before that, it may have been lost.
	if cause := context.Cause(g.Context()); cause != nil {
		return cause
	}
	return unlocked(g.calling("lock"))
}

// Context is cancelled when the lock is no longer held, with [Guard.Err] as its cause: the context to do the work
// under. It carries the values of the context given to Lock, but not its end.
func (g *Guard) Context() context.Context {
	if !g.locked() {
		return nobodys
	}
	return g.changes().ctx
}
