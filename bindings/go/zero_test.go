package locker

import (
	"context"
	"errors"
	"testing"
	"time"
)

// What Connect, Lock and Watch did not make says so, and does not crash.
func TestZeroValuesSaySo(t *testing.T) {
	ctx := within(t, patience)
	for what, c := range map[string]*Client{"nil": nil, "zero": {}} {
		_, lockErr := c.Lock(ctx, "x")
		_, tryErr := c.TryLock(ctx, "x")
		_, allErr := c.LockAll(ctx, []string{"x", "y"})
		_, tryAllErr := c.TryLockAll(ctx, []string{"x", "y"})
		_, getErr := c.Get(ctx, "x")
		_, cachedErr := c.GetCached(ctx, "x")
		_, watchErr := c.Watch(ctx, "x")
		mutexErr, _ := panicked(c.Mutex("x").Lock).(error)
		wantBadHandles(t, what+" client", lockErr, tryErr, allErr, tryAllErr, getErr, cachedErr, watchErr, mutexErr, c.Disconnect(ctx))
	}
	for what, g := range map[string]*Guard{"nil": nil, "zero": {}} {
		come(t, g.Lost())
		wantBadHandles(t, what+" guard", g.Err(), context.Cause(g.Context()), g.Unlock(ctx))
		if g.Held() || g.Token() != 0 || g.Remaining() != 0 || g.State() != StateEnded || g.Name() != "" || len(g.Names()) != 0 || g.Info() != (Info{LeaseLeft: -1}) {
			t.Errorf("%s: %v, %+v", what, g.State(), g.Info())
		}
	}
	for what, w := range map[string]*Watcher{"nil": nil, "zero": {}} {
		_, err := w.Next(ctx)
		for info, rangeErr := range w.All(ctx) {
			if info != (Info{}) {
				t.Error(info)
			}
			wantBadHandles(t, what+" watcher", rangeErr)
		}
		wantBadHandles(t, what+" watcher", err, w.Unwatch())
	}
}

func wantBadHandles(t *testing.T, what string, errs ...error) {
	t.Helper()
	for i, err := range errs {
		if ours := (*Error)(nil); !errors.Is(err, ErrBadHandle) || !errors.As(err, &ours) || ours.Message == "" {
			t.Errorf("%s, number %d: %v", what, i, err)
		}
	}
}

func TestNilOptionsAreNone(t *testing.T) {
	c := connect(t, ownPrefix(), nil, TTL(5*time.Second), nil)
	g := lock(t, c, "x", nil, Value("node-3"), nil)
	if g.Info().Value != "node-3" {
		t.Errorf("%+v", g.Info())
	}
	unlock(t, g)
}

func TestTextsOfWhatIsUnknown(t *testing.T) {
	for got, want := range map[string]string{
		Code(0).Error():     "locker: ok",
		ErrLost.Error():     "locker: lost",
		(&Error{}).Error():  "locker: ",
		ModeFree.String():   "free",
		ModeShared.String(): "shared",
		Loss(99).String():   "expired",
		Mode(99).String():   "exclusive",
		State(99).String():  "at_risk",
		StateEnded.String(): "ended",
	} {
		if got != want {
			t.Errorf("%q in place of %q", got, want)
		}
	}
	if Code(12345).Error() == "" {
		t.Error("an unknown code has no text")
	}
}
