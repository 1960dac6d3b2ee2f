package locker

import (
	"context"
	"errors"
	"runtime"
	"testing"
)

type key struct{}

func TestUnlockHappensOnce(t *testing.T) {
	c := connect(t, ownPrefix())
	g, err := c.Lock(context.WithValue(within(t, patience), key{}, "kept"), "x")
	if err != nil {
		t.Fatal(err)
	}
	if g.Context().Err() != nil || g.Context().Value(key{}) != "kept" {
		t.Error("the guard's context is not what was promised")
	}
	if _, limited := g.Context().Deadline(); limited {
		t.Error("the guard's context ends with the wait's")
	}
	unlock(t, g)
	come(t, g.Lost())
	if !errors.Is(g.Err(), ErrCancelled) || !errors.Is(context.Cause(g.Context()), ErrCancelled) {
		t.Error(g.Err())
	}
	if g.Token() != 0 || g.State() != StateEnded || g.Held() || g.Remaining() != 0 || g.Info().Held() {
		t.Errorf("after unlock: %v, token %d", g.State(), g.Token())
	}
	if err := g.Unlock(t.Context()); !errors.Is(err, ErrBadHandle) {
		t.Error(err)
	}
}

func TestUnlockAfterTheContextEnded(t *testing.T) {
	c := connect(t, ownPrefix())
	g := lock(t, c, "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Unlock(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if g.Held() {
		t.Error("still held")
	}
	unlock(t, lock(t, c, "x")) // it is free, or about to be
}

func TestLossIsTold(t *testing.T) {
	prefix := ownPrefix()
	c := connect(t, prefix)
	g := lock(t, c, "x")
	removeKeys(t, prefix+"x/")
	come(t, g.Lost())
	if !errors.Is(g.Err(), ErrLost) || !errors.Is(context.Cause(g.Context()), ErrLost) {
		t.Errorf("err %v, cause %v", g.Err(), context.Cause(g.Context()))
	}
	if g.State() != StateEnded || g.Held() || g.Token() != 0 {
		t.Errorf("after the loss: %v, token %d", g.State(), g.Token())
	}
	next := lock(t, c, "x")
	if err := g.Unlock(t.Context()); !errors.Is(err, ErrLost) {
		t.Error(err)
	}
	if !errors.Is(g.Err(), ErrLost) {
		t.Errorf("unlocking made it %v", g.Err())
	}
	if !next.Held() {
		t.Error("unlocking a lost guard freed the next one's lock")
	}
	unlock(t, next)
}

// Who asks for the first time when all is over is told the same.
func TestTheEndIsToldLate(t *testing.T) {
	prefix := ownPrefix()
	c := connect(t, prefix)
	unlocked, lost, given, left := lock(t, c, "unlocked"), lock(t, c, "lost"), lock(t, c, "given"), lock(t, c, "left")
	unlock(t, unlocked)
	removeKeys(t, prefix+"lost/")
	removeKeys(t, prefix+"given/")
	for _, g := range []*Guard{lost, given} {
		if !eventually(func() bool { return !g.Held() }) {
			t.Fatal("still held")
		}
	}
	if err := given.Unlock(t.Context()); !errors.Is(err, ErrLost) {
		t.Error(err)
	}
	come(t, lost.Lost())
	if err := c.Disconnect(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	for g, want := range map[*Guard]Code{unlocked: ErrCancelled, lost: ErrLost, given: ErrLost, left: ErrCancelled} {
		come(t, g.Lost())
		if cause := context.Cause(g.Context()); !errors.Is(cause, want) || !errors.Is(g.Err(), want) {
			t.Errorf("%s: want %v, got %v and %v", g.Name(), want, cause, g.Err())
		}
	}
}

func TestUnlockIsToldAtOnceToWhoWaitsForTheEnd(t *testing.T) {
	c := connect(t, ownPrefix())
	g := lock(t, c, "x")
	lost := g.Lost()
	select {
	case <-lost:
		t.Fatal("it is held")
	default:
	}
	unlock(t, g)
	select {
	case <-lost: // before Unlock returns
	default:
		t.Error("not told")
	}
}

func TestDisconnectEndsGuards(t *testing.T) {
	prefix := ownPrefix()
	c, other := connect(t, prefix), connect(t, prefix)
	held := lock(t, c, "x")
	failed := make(chan error)
	go func() {
		_, err := c.Lock(within(t, patience), "x")
		failed <- err
	}()
	if err := c.Disconnect(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	come(t, held.Lost())
	if !errors.Is(held.Err(), ErrCancelled) {
		t.Error(held.Err())
	}
	// The lock came before or after the end of its client.
	if err := come(t, failed); !errors.Is(err, ErrCancelled) && !errors.Is(err, ErrBadHandle) {
		t.Error(err)
	}
	g, err := other.TryLock(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	unlock(t, g)
}

// A guard is reachable from C until its last change was told, and not longer.
func TestEndedGuardsAreCollected(t *testing.T) {
	c := connect(t, ownPrefix())
	collected := make(chan struct{})
	func() {
		g := lock(t, c, "x")
		runtime.AddCleanup(g, func(c chan struct{}) { close(c) }, collected)
		unlock(t, g)
	}()
	if !eventually(func() bool {
		runtime.GC()
		select {
		case <-collected:
			return true
		default:
			return false
		}
	}) {
		t.Error("C still has a handle to it")
	}
}
