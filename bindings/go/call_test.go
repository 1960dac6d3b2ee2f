package locker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// A few threads come and go with the Go runtime and the library's own.
const fewThreads = 32

func threads(t *testing.T) int {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}

func TestWaitingCostsNoThread(t *testing.T) {
	prefix := ownPrefix()
	holder, waiter := connect(t, prefix), connect(t, prefix)
	g := lock(t, holder, "x")
	before := threads(t)
	ctx, cancel := context.WithCancel(t.Context())
	var waiting, done sync.WaitGroup
	const waiters = 1000
	waiting.Add(waiters)
	for range waiters {
		done.Go(func() {
			pending, err := waiter.start(ctx, "x", 0, nil)
			waiting.Done()
			if err == nil {
				pending, err = pending.await(ctx)
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v, %v", pending, err)
			}
		})
	}
	waiting.Wait()
	if !eventually(func() bool { return get(t, holder, "x").Waiters > 0 }) {
		t.Error("nobody is in the queue")
	}
	during := threads(t)
	t.Logf("%d threads, %d of them before %d goroutines waited", during, before, waiters)
	if during > before+fewThreads {
		t.Errorf("%d threads more", during-before)
	}
	cancel()
	done.Wait()
	unlock(t, g)
	unlock(t, lock(t, waiter, "x"))
}

func TestManyUnlocksShareThreads(t *testing.T) {
	c := connect(t, ownPrefix())
	const guards = 300
	var all sync.WaitGroup
	held := make([]*Guard, guards)
	for i := range held {
		all.Go(func() { held[i] = lock(t, c, fmt.Sprint("x", i)) })
	}
	all.Wait()
	before := threads(t)
	for _, g := range held {
		all.Go(func() { unlock(t, g) })
	}
	all.Wait()
	if after := threads(t); after > before+maxCalls+fewThreads { // threads of Go's never end
		t.Errorf("%d threads, %d before", after, before)
	}
}

// When all calls that may wait for etcd do, another one fails in time, and an unlock releases all the same.
func TestCallsAreLimited(t *testing.T) {
	prefix := ownPrefix()
	other := connect(t, prefix)
	c, err := Connect(within(t, patience), endpoints, Prefix(prefix), Timeout(300*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	g := lock(t, c, "x")
	for range maxCalls {
		c.calls <- struct{}{}
	}
	if _, err := c.Get(t.Context(), "x"); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	if _, err := c.Get(within(t, 10*time.Millisecond), "x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := g.Unlock(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	unlock(t, lock(t, other, "x"))
	if err := c.Disconnect(within(t, patience)); err != nil {
		t.Error(err)
	}
}
