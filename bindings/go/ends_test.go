package locker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

func TestDisconnectWhileManyWait(t *testing.T) {
	const waiters = 500
	prefix := ownPrefix()
	c, other := connect(t, prefix), connect(t, prefix)
	held := lock(t, other, "x")
	before := LiveHandles()
	var told, all sync.WaitGroup
	told.Add(waiters)
	for i := range waiters {
		all.Go(func() {
			w := watched(t, c, "x")
			_, err := w.Next(t.Context()) // who holds it
			told.Done()
			if err == nil && i%2 == 0 {
				_, err = w.Next(t.Context())
			} else if err == nil {
				_, err = c.Lock(t.Context(), "x")
			}
			// Some come to lock it only after the end.
			if !errors.Is(err, ErrCancelled) && !errors.Is(err, ErrBadHandle) || errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	told.Wait()
	if !eventually(func() bool { return get(t, other, "x").Waiters == 1 }) { // a client has one place for all of its own
		t.Error("nobody is in the queue")
	}
	if err := c.Disconnect(within(t, patience)); err != nil {
		t.Error(err)
	}
	all.Wait()
	if live := LiveHandles(); live != before-1 {
		t.Errorf("%d handles, %d before", live, before)
	}
	if !eventually(func() bool { return get(t, other, "x").Waiters == 0 }) {
		t.Error("it stays in the queue")
	}
	unlock(t, held)
}

// Of many that unlock one guard at once, one has done it.
func TestOneOfManyUnlocks(t *testing.T) {
	c := connect(t, ownPrefix())
	for range 20 {
		g := lock(t, c, "x")
		var all sync.WaitGroup
		var did atomic.Int32
		for range 8 {
			all.Go(func() {
				switch err := g.Unlock(within(t, patience)); {
				case err == nil:
					did.Add(1)
				case !errors.Is(err, ErrBadHandle):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if did.Load() != 1 || !errors.Is(g.Err(), ErrCancelled) {
			t.Errorf("%d did, %v", did.Load(), g.Err())
		}
	}
}

// A guard that was lost says so, also when nobody asked before its client was disconnected.
func TestALossIsRememberedPastTheClient(t *testing.T) {
	prefix := ownPrefix()
	c := connect(t, prefix)
	asked, silent, left := lock(t, c, "asked"), lock(t, c, "silent"), lock(t, c, "left")
	if err := asked.Context().Err(); err != nil {
		t.Fatal(err)
	}
	removeKeys(t, prefix+"asked/")
	removeKeys(t, prefix+"silent/")
	if !eventually(func() bool { return !asked.Held() && !silent.Held() }) {
		t.Fatal("still held")
	}
	if err := c.Disconnect(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	for g, want := range map[*Guard]Code{asked: ErrLost, silent: ErrLost, left: ErrCancelled} {
		come(t, g.Lost())
		if err := g.Err(); !errors.Is(err, want) || !errors.Is(context.Cause(g.Context()), want) {
			t.Errorf("%s: %v", g.Name(), err)
		}
		if err := g.Unlock(t.Context()); !errors.Is(err, ErrBadHandle) {
			t.Error(err)
		}
	}
	var lost *Error
	if !errors.As(silent.Err(), &lost) || Loss(lost.Detail).String() != "key deleted" {
		t.Errorf("%+v", lost)
	}
}

// What hangs on the guard's context runs when the lock is lost, and the cause is there.
func TestWorkUnderTheGuardsContextEnds(t *testing.T) {
	prefix := ownPrefix()
	c := connect(t, prefix)
	g := lock(t, c, "x")
	work, cancel := context.WithCancel(g.Context())
	defer cancel()
	ran := make(chan error, 1)
	context.AfterFunc(work, func() { ran <- context.Cause(work) })
	removeKeys(t, prefix+"x/")
	if err := come(t, ran); !errors.Is(err, ErrLost) || !errors.Is(work.Err(), context.Canceled) {
		t.Error(err)
	}
	if err := g.Unlock(t.Context()); !errors.Is(err, ErrLost) {
		t.Error(err)
	}
}

// The cause of a context comes through every call that it ends.
func TestCausesComeThrough(t *testing.T) {
	prefix := ownPrefix()
	c, other := connect(t, prefix), connect(t, prefix)
	held, given := lock(t, other, "x"), lock(t, c, "y")
	w := watched(t, c, "x")
	next(t, w) // who holds it
	changed := errors.New("changed my mind")
	ctx, cancel := context.WithCancelCause(t.Context())
	var all sync.WaitGroup
	errs := make(chan error, 2)
	all.Go(func() { _, err := c.Lock(ctx, "x"); errs <- fmt.Errorf("lock: %w", err) })
	all.Go(func() { _, err := w.Next(ctx); errs <- fmt.Errorf("next: %w", err) })
	if !eventually(func() bool { return get(t, other, "x").Waiters == 1 }) {
		t.Fatal("not in the queue")
	}
	cancel(changed)
	all.Wait()
	_, connectErr := Connect(ctx, endpoints)
	_, lockErr := c.Lock(ctx, "x")
	_, tryErr := c.TryLock(ctx, "x")
	_, getErr := c.Get(ctx, "z")
	_, cachedErr := c.GetCached(ctx, "z")
	_, watchErr := c.Watch(ctx, "x")
	_, nextErr := w.Next(ctx)
	for i, err := range []error{<-errs, <-errs, connectErr, lockErr, tryErr, getErr, cachedErr, watchErr, nextErr, given.Unlock(ctx)} {
		if ours := (*Error)(nil); !errors.Is(err, changed) || !errors.Is(err, context.Canceled) || !errors.Is(err, ErrCancelled) ||
			!errors.As(err, &ours) {
			t.Errorf("number %d: %v", i, err)
		}
	}
	unlock(t, held)
}
