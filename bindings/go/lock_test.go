package locker

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestLockShowsWhoHolds(t *testing.T) {
	c := connect(t, ownPrefix())
	if info := get(t, c, "x"); info.Held() || info.Mode != ModeFree {
		t.Fatalf("free, but %+v", info)
	}
	before := time.Now().Add(-time.Second)
	g := lock(t, c, "x", Value("node-3"), Reason("a test"))
	if g.Name() != "x" || g.Token() == 0 || g.State() != StateHeld || !g.Held() || g.Err() != nil {
		t.Fatalf("not held: %v, %v", g.State(), g.Err())
	}
	if left := g.Remaining(); left <= 0 || left > 10*time.Second {
		t.Errorf("remaining %v", left)
	}
	for _, info := range []Info{get(t, c, "x"), g.Info()} {
		if info.Name != "x" || info.Token != g.Token() || info.Mode != ModeExclusive || info.Value != "node-3" ||
			info.Reason != "a test" || info.Host == "" || info.Program == "" || info.PID != os.Getpid() ||
			info.Since.Before(before) || info.Since.After(time.Now().Add(time.Second)) {
			t.Errorf("%+v", info)
		}
	}
	unlock(t, g)
	if info := get(t, c, "x"); info.Held() {
		t.Errorf("unlocked, but %+v", info)
	}
}

func TestTwoGuardsOfOneClientExcludeEachOther(t *testing.T) {
	c := connect(t, ownPrefix())
	first := lock(t, c, "x")
	token := first.Token()
	second := make(chan *Guard)
	go func() {
		g, err := c.Lock(within(t, patience), "x")
		if err != nil {
			t.Error(err)
		}
		second <- g
	}()
	if _, err := c.TryLock(t.Context(), "x"); !errors.Is(err, ErrTimeout) {
		t.Fatal(err)
	}
	select {
	case <-second:
		t.Fatal("both hold it")
	case <-time.After(50 * time.Millisecond):
	}
	unlock(t, first)
	g := come(t, second)
	if g.Token() <= token {
		t.Errorf("token %d after %d", g.Token(), token)
	}
	unlock(t, g)
}

func TestDeadlineLeavesTheQueueAndNamesTheHolder(t *testing.T) {
	prefix := ownPrefix()
	holder, waiter := connect(t, prefix), connect(t, prefix)
	g := lock(t, holder, "x", Value("node-3"), Reason("a test"))

	hurry := errors.New("in a hurry")
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, hurry)
	defer cancel()
	_, err := waiter.Lock(ctx, "x")
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrTimeout) || !errors.Is(err, hurry) {
		t.Fatal(err)
	}
	var busy *Error
	if !errors.As(err, &busy) || busy.Holder == nil {
		t.Fatalf("no holder in %v", err)
	}
	if !strings.Contains(err.Error(), "held by "+busy.Holder.Host) {
		t.Error(err)
	}
	if h := busy.Holder; h.Value != "node-3" || h.Reason != "a test" || h.Token != g.Token() {
		t.Errorf("%+v", h)
	}
	if !eventually(func() bool { return get(t, holder, "x").Waiters == 0 }) {
		t.Error("still in the queue")
	}
}

// A deadline that is near is not "at once", and one that is far is none for C.
func TestAnyDeadlineWillDo(t *testing.T) {
	for left, limit := range map[time.Duration]int64{-time.Hour: 1, 0: 1, time.Microsecond: 1, time.Hour: 3600_000} {
		ctx, cancel := context.WithTimeout(t.Context(), left)
		if got := int64(timeLeft(ctx)); got != limit {
			t.Errorf("%d ms for %v", got, left)
		}
		cancel()
	}
	if got := timeLeft(t.Context()); got != 0 {
		t.Errorf("%d ms without a deadline", got)
	}
	c := connect(t, ownPrefix())
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().AddDate(250, 0, 0))
	defer cancel()
	g, err := c.Lock(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	unlock(t, g)
}

func TestCancelLeavesTheQueue(t *testing.T) {
	prefix := ownPrefix()
	holder, waiter := connect(t, prefix), connect(t, prefix)
	g := lock(t, holder, "x")
	cause := errors.New("changed my mind")
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := make(chan error)
	go func() {
		_, err := waiter.Lock(ctx, "x")
		failed <- err
	}()
	if !eventually(func() bool { return get(t, holder, "x").Waiters == 1 }) {
		t.Fatal("not in the queue")
	}
	cancel(cause)
	err := come(t, failed)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrCancelled) || !errors.Is(err, cause) {
		t.Error(err)
	}
	if !eventually(func() bool { return get(t, holder, "x").Waiters == 0 }) {
		t.Error("still in the queue")
	}
	unlock(t, g)
	unlock(t, lock(t, waiter, "x"))
}

func TestEndedContextStartsNothing(t *testing.T) {
	c := connect(t, ownPrefix())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	live := LiveHandles()
	_, connectErr := Connect(ctx, endpoints)
	_, lockErr := c.Lock(ctx, "x")
	_, tryErr := c.TryLock(ctx, "x")
	_, getErr := c.Get(ctx, "x")
	_, watchErr := c.Watch(ctx, "x")
	for _, err := range []error{connectErr, lockErr, tryErr, getErr, watchErr} {
		if ours := (*Error)(nil); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrCancelled) || !errors.As(err, &ours) {
			t.Error(err)
		}
	}
	if LiveHandles() != live {
		t.Error("a handle was made")
	}
}

func TestTryLockNamesTheHolder(t *testing.T) {
	prefix := ownPrefix()
	holder, other := connect(t, prefix), connect(t, prefix)
	g := lock(t, holder, "x", Value("node-3"))
	_, err := other.TryLock(t.Context(), "x")
	var busy *Error
	if !errors.Is(err, ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &busy) {
		t.Fatal(err)
	}
	if busy.Holder == nil || busy.Holder.Value != "node-3" || busy.Holder.Token != g.Token() {
		t.Errorf("%+v", busy.Holder)
	}
	unlock(t, g)
	g, err = other.TryLock(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	unlock(t, g)
}
