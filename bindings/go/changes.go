//go:build cgo

package locker

import "context"

// changes is what C tells of a guard: it costs threads of the library some work, so it begins when somebody asks.
type changes struct {
	what     call            // of what it is, in an error
	acquired chan struct{}   // closed when the lock is first held
	ctx      context.Context // done when the guard has ended, with the reason as its cause
	end      context.CancelCauseFunc
}

func newChanges(ctx context.Context, what call) *changes {
	c := &changes{what: what, acquired: make(chan struct{})}
	c.ctx, c.end = context.WithCancelCause(context.WithoutCancel(ctx))
	return c
}

// changed is called by C with each change of state, in order.
func (c *changes) changed(s State, err error) {
	switch s {
	case StateWaiting:
	case StateEnded:
		if err == nil {
			err = unlocked(c.what)
		}
		c.end(err)
	default:
		select {
		case <-c.acquired:
		default:
			close(c.acquired)
		}
	}
}

// forgotten is called by C after the last change.
func (c *changes) forgotten() { c.end(unlocked(c.what)) }

func unlocked(what call) error {
	return &Error{Code: ErrCancelled, Message: what.String() + ": unlocked"}
}
