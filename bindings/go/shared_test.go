package locker

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// begun is a call that takes a lock and waits, in a goroutine: its guard comes when it holds.
func begun(t *testing.T, take func(ctx context.Context) (*Guard, error)) <-chan *Guard {
	held := make(chan *Guard, 1)
	ctx := within(t, patience)
	go func() {
		g, err := take(ctx)
		if err != nil {
			t.Error(err)
		}
		held <- g
	}()
	return held
}

// waits begins to lock, and comes back once so many wait in the queue.
func waits(t *testing.T, c *Client, name string, waiters int, options ...LockOption) <-chan *Guard {
	t.Helper()
	held := begun(t, func(ctx context.Context) (*Guard, error) { return c.Lock(ctx, name, options...) })
	if !eventually(func() bool { return get(t, c, name).Waiters == waiters }) {
		t.Fatalf("not %d in the queue: %+v", waiters, get(t, c, name))
	}
	return held
}

func wantNobody(t *testing.T, why string, held <-chan *Guard) {
	t.Helper()
	select {
	case g := <-held:
		t.Fatalf("%s, but %s is held with %d", why, g.Name(), g.Token())
	default:
	}
}

func wantNothing(t *testing.T, prefix string) {
	t.Helper()
	if !eventually(func() bool { n, err := countKeys(prefix); return err == nil && n == 0 }) {
		n, err := countKeys(prefix)
		t.Errorf("%d keys stay, %v", n, err)
	}
}

func TestReadersHoldItTogetherAndNobodyPassesAWriter(t *testing.T) {
	prefix := ownPrefix()
	one, other := connect(t, prefix), connect(t, prefix)
	first := lock(t, one, "x", Shared(), Value("first"))
	second, third := lock(t, other, "x", Shared()), lock(t, one, "x", Shared())
	if info := get(t, other, "x"); info.Mode != ModeShared || info.Token != first.Token() || info.Value != "first" ||
		info.Holders != 3 || info.Limit != 0 || info.Waiters != 0 {
		t.Errorf("%+v", info)
	}
	if info := third.Info(); info.Mode != ModeShared || info.Token != third.Token() {
		t.Errorf("of itself it says %+v", info)
	}

	writer := waits(t, other, "x", 1)
	late := waits(t, one, "x", 2, Shared())
	if g, err := one.TryLock(t.Context(), "x", Shared()); !errors.Is(err, ErrTimeout) {
		t.Errorf("a reader passes a writer: %v, %v", g, err)
	}
	for _, reader := range []*Guard{first, third} {
		unlock(t, reader)
		wantNobody(t, "there is a reader", writer)
	}
	unlock(t, second)
	alone := come(t, writer)
	if info := get(t, one, "x"); info.Mode != ModeExclusive || info.Holders != 1 || info.Limit != 0 || info.Waiters != 1 {
		t.Errorf("%+v", info)
	}
	wantNobody(t, "there is a writer", late)
	unlock(t, alone)
	unlock(t, come(t, late))
	wantNothing(t, prefix+"x/")
}

func TestNoMoreHoldItThanTheLimit(t *testing.T) {
	prefix := ownPrefix()
	c, other := connect(t, prefix), connect(t, prefix)
	first, second := lock(t, c, "x", Limit(2), Value("first")), lock(t, other, "x", Limit(2))
	info := get(t, c, "x")
	if info.Mode != ModeShared || info.Holders != 2 || info.Limit != 2 || info.Value != "first" {
		t.Errorf("%+v", info)
	}
	_, err := c.TryLock(t.Context(), "x", Limit(2))
	if busy := (*Error)(nil); !errors.Is(err, ErrTimeout) || !errors.As(err, &busy) || busy.Holder == nil ||
		busy.Holder.Holders != 2 || !strings.Contains(err.Error(), "and 1 more") {
		t.Error(err)
	}
	third := waits(t, c, "x", 1, Limit(2))
	writer := waits(t, other, "x", 2)
	wantNobody(t, "two have it", third)
	unlock(t, first)
	permit := come(t, third)
	wantNobody(t, "two have it", writer)
	unlock(t, permit)
	wantNobody(t, "one has it", writer)
	unlock(t, second)
	alone := come(t, writer)
	if alone.Token() <= permit.Token() || alone.Token() <= info.Token {
		t.Errorf("token %d after %d", alone.Token(), info.Token)
	}
	if _, err := c.TryLock(t.Context(), "x", Limit(2)); !errors.Is(err, ErrTimeout) {
		t.Error(err)
	}
	unlock(t, alone)
	wantNothing(t, prefix+"x/")
}

func TestOneLimitForAll(t *testing.T) {
	prefix := ownPrefix()
	c, other := connect(t, prefix), connect(t, prefix)
	permit := lock(t, c, "x", Limit(3))
	for said, option := range map[string]LockOption{
		"limit is 5, ":             Limit(5),
		"limit is 4294967295, ":    Limit(1<<32 - 1),
		"limit is none (shared), ": Shared(),
	} {
		said += `but those who are in the queue of "x" say 3`
		_, err := other.Lock(within(t, patience), "x", option)
		wantInvalid(t, err, said)
		_, err = other.TryLock(within(t, patience), "x", option)
		wantInvalid(t, err, said)
	}
	for _, limit := range []LockOption{Limit(0), func(o *lockOptions) { Shared()(o); Limit(0)(o) }} {
		_, err := other.Lock(within(t, patience), "x", limit)
		wantInvalid(t, err, "limit is 0")
	}
	// What is said last counts.
	unlock(t, lock(t, other, "x", Shared(), Limit(3)))
	if n, err := countKeys(prefix + "x/"); err != nil || n != 1 {
		t.Errorf("who was refused left something: %d keys, %v", n, err)
	}
	unlock(t, permit)
	reader := lock(t, other, "x", Limit(3), Shared())
	if info := get(t, c, "x"); info.Mode != ModeShared || info.Limit != 0 {
		t.Errorf("%+v", info)
	}
	unlock(t, reader)
}

// Waiting to share a lock ends as waiting to have it alone.
func TestWhoGivesUpToShareLeavesNothing(t *testing.T) {
	prefix := ownPrefix()
	holder, waiter := connect(t, prefix), connect(t, prefix)
	g := lock(t, holder, "x", Value("node-3"))
	for _, option := range []LockOption{Shared(), Limit(2)} {
		_, err := waiter.Lock(within(t, 200*time.Millisecond), "x", option)
		if busy := (*Error)(nil); !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) ||
			!errors.As(err, &busy) || busy.Holder == nil || busy.Holder.Value != "node-3" {
			t.Error(err)
		}
		if !eventually(func() bool { return get(t, holder, "x").Waiters == 0 }) {
			t.Error("still in the queue")
		}
	}
	unlock(t, g)
	wantNothing(t, prefix+"x/")
}

// A permit is lost as a lock is, and free for the next.
func TestALostPermitIsFree(t *testing.T) {
	prefix := ownPrefix()
	c, other := connect(t, prefix), connect(t, prefix)
	lost := lock(t, c, "x", Limit(1))
	next := waits(t, other, "x", 1, Limit(1))
	out, err := etcdctl("get", "--prefix", "--keys-only", "--limit", "1", "--sort-by", "CREATE", prefix+"x/s/1/")
	if err != nil {
		t.Fatal(err)
	}
	removeKeys(t, strings.TrimSpace(string(out)))
	come(t, lost.Lost())
	if err := lost.Unlock(t.Context()); !errors.Is(err, ErrLost) {
		t.Error(err)
	}
	unlock(t, come(t, next))
}

// inside counts who is under a lock at this moment. The number that those alone count up is plain memory, so that also the
// race detector tells of one who is not alone.
type inside struct {
	alone, together atomic.Int32
	counted         int
}

func (i *inside) visit(t *testing.T, shares bool, limit int32) {
	own := &i.alone
	if shares {
		own = &i.together
	}
	before := own.Add(1) - 1
	runtime.Gosched()
	alone, together := i.alone.Load(), i.together.Load()
	if before >= limit || !shares && before > 0 || alone > 0 && together > 0 {
		t.Errorf("%d alone, %d together", alone, together)
	}
	if !shares {
		i.counted++
	} else if i.counted < 0 {
		t.Error("nobody counts down")
	}
	own.Add(-1)
}

func TestManyShareAtRandom(t *testing.T) {
	const limit, goroutines, rounds = 3, 24, 20
	for name, option := range map[string]LockOption{"shared": Shared(), "limit": Limit(limit)} {
		most := int32(goroutines)
		if name == "limit" {
			most = limit
		}
		prefix := ownPrefix()
		clients := []*Client{connect(t, prefix), connect(t, prefix), connect(t, prefix)}
		var there inside
		var alone, together atomic.Int32
		var all sync.WaitGroup
		for i := range goroutines {
			all.Go(func() {
				chance := rand.New(rand.NewPCG(uint64(i), 7))
				for range rounds {
					shares, own := chance.IntN(4) > 0, []LockOption{}
					if shares {
						own = append(own, option)
					}
					g, err := clients[i%3].Lock(within(t, time.Duration(chance.IntN(400))*time.Millisecond), "x", own...)
					if errors.Is(err, context.DeadlineExceeded) {
						continue
					}
					if err != nil {
						t.Error(err)
						continue
					}
					there.visit(t, shares, most)
					if shares {
						together.Add(1)
					} else {
						alone.Add(1)
					}
					unlock(t, g)
				}
			})
		}
		all.Wait()
		t.Logf("%s: %d alone, %d together", name, alone.Load(), together.Load())
		if int(alone.Load()) != there.counted || alone.Load() == 0 || together.Load() == 0 {
			t.Errorf("%s: %d of those alone were counted", name, there.counted)
		}
		wantNothing(t, prefix+"x/")
	}
}
