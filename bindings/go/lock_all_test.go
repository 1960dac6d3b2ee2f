package locker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func lockAll(t *testing.T, c *Client, names []string, options ...LockOption) *Guard {
	t.Helper()
	g, err := c.LockAll(within(t, patience), names, options...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestAllAreHeldWithOneTokenAndLetGoTogether(t *testing.T) {
	prefix := ownPrefix()
	c, other := connect(t, prefix), connect(t, prefix)
	names := []string{"a", "b", "c/d"}
	g := lockAll(t, c, names, Value("node-3"))
	names[0] = "another" // the slice is the caller's
	want := []string{"a", "b", "c/d"}
	if !slices.Equal(g.Names(), want) || g.Name() != "a" || !g.Held() {
		t.Errorf("%v, %v", g.Names(), g.State())
	}
	g.Names()[0] = "changed"
	for _, name := range want {
		if info := get(t, other, name); info.Token != g.Token() || info.Value != "node-3" || info.Mode != ModeExclusive || info.Holders != 1 {
			t.Errorf("%+v", info)
		}
		if _, err := other.TryLock(t.Context(), name); !errors.Is(err, ErrTimeout) {
			t.Error(err)
		}
	}
	unlock(t, g)
	come(t, g.Lost())
	if err := g.Err(); !errors.Is(err, ErrCancelled) || !strings.Contains(err.Error(), `lock "a" and "b" and "c/d": unlocked`) {
		t.Error(err)
	}
	if err := g.Unlock(t.Context()); !errors.Is(err, ErrBadHandle) {
		t.Error(err)
	}
	g, err := other.TryLockAll(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	unlock(t, g)
	one := lockAll(t, c, []string{"a"}, Shared()) // which may be
	if !slices.Equal(one.Names(), []string{"a"}) || get(t, c, "a").Mode != ModeShared {
		t.Errorf("%v, %+v", one.Names(), get(t, c, "a"))
	}
	unlock(t, one)
	wantNothing(t, prefix+"a/")
}

func TestBadNamesOfSeveral(t *testing.T) {
	prefix := ownPrefix()
	c := connect(t, prefix)
	ctx := within(t, patience)
	many := make([]string, 61)
	for i := range many {
		many[i] = fmt.Sprint("x", i)
	}
	two := []string{"a", "b"}
	for _, bad := range []struct {
		names   []string
		told    string
		options []LockOption
	}{
		{nil, "names", nil},
		{[]string{}, "names", nil},
		{[]string{""}, "name is empty", nil},
		{[]string{"a", "b", "a"}, `names[2] is "a", as names[0] is`, nil},
		{[]string{"a", ""}, "names[1] is empty", nil},
		{[]string{"a", "b\x00c"}, "names[1] contains a NUL", nil},
		{[]string{"a\x00", "b"}, "names[0] contains a NUL", nil},
		{[]string{"a", "\xff\xfe"}, "names[1]", nil},
		{[]string{"a", strings.Repeat("n", 256)}, "names[1] is too long", nil},
		{many, "61", nil},
		{two, "shared", []LockOption{Shared()}},
		{two, "shared", []LockOption{Limit(2)}},
		{two, "limit is 0", []LockOption{Limit(0)}},
		{two, "value contains", []LockOption{Value("a\x00b")}},
	} {
		_, err := c.LockAll(ctx, bad.names, bad.options...)
		wantInvalid(t, err, bad.told)
		_, err = c.TryLockAll(ctx, bad.names, bad.options...)
		wantInvalid(t, err, bad.told)
	}
	g := lockAll(t, c, many[:60])
	if !slices.Equal(g.Names(), many[:60]) {
		t.Error(g.Names())
	}
	unlock(t, g)
}

// Whatever ends the wait, nothing is left in any queue, and who was in the way is named.
func TestAllOrNothing(t *testing.T) {
	prefix := ownPrefix()
	holder, other := connect(t, prefix), connect(t, prefix)
	g := lock(t, holder, "b", Value("node-3"))
	names := []string{"a", "b", "c"}
	cancelled, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		if !eventually(func() bool { return get(t, holder, "b").Waiters == 1 && get(t, holder, "c").Held() }) {
			t.Error("not in the queues")
		}
		cancel()
	}()
	for _, way := range []struct {
		what string
		take func() (*Guard, error)
		code Code
		also error
	}{
		{"cancel", func() (*Guard, error) { return other.LockAll(cancelled, names) }, ErrCancelled, context.Canceled},
		{"deadline", func() (*Guard, error) { return other.LockAll(within(t, 200*time.Millisecond), names) }, ErrTimeout, context.DeadlineExceeded},
		{"try", func() (*Guard, error) { return other.TryLockAll(t.Context(), names) }, ErrTimeout, nil},
	} {
		_, err := way.take()
		busy := (*Error)(nil)
		if !errors.Is(err, way.code) || way.also != nil && !errors.Is(err, way.also) || !errors.As(err, &busy) {
			t.Errorf("%s: %v", way.what, err)
			continue
		}
		if busy.Holder == nil || busy.Holder.Name != "b" || busy.Holder.Value != "node-3" || !strings.Contains(err.Error(), `"b" is held by`) {
			t.Errorf("%s: %v, %+v", way.what, err, busy.Holder)
		}
		for _, name := range []string{"a", "c"} {
			wantNothing(t, prefix+name+"/")
		}
		if !eventually(func() bool { return get(t, holder, "b").Waiters == 0 }) {
			t.Errorf("%s: still in the queue", way.what)
		}
	}
	if len(other.waiters.names) > 0 {
		t.Errorf("waiters are left: %v", other.waiters.names)
	}
	unlock(t, g)
	unlock(t, lockAll(t, other, names))
	for _, name := range names {
		wantNothing(t, prefix+name+"/")
	}
}

func TestItWaitsForAllOfThem(t *testing.T) {
	prefix := ownPrefix()
	one, other := connect(t, prefix), connect(t, prefix)
	a, c := lock(t, one, "a"), lock(t, other, "c", Shared())
	all := begun(t, func(ctx context.Context) (*Guard, error) { return one.LockAll(ctx, []string{"a", "b", "c"}) })
	if !eventually(func() bool { return get(t, other, "c").Waiters == 1 && get(t, other, "b").Held() }) {
		t.Fatal("not in the queues")
	}
	behind := waits(t, other, "b", 1) // where nobody else is
	unlock(t, a)
	wantNobody(t, "there is c", all)
	unlock(t, c)
	g := come(t, all)
	wantNobody(t, "b is held", behind)
	token := g.Token()
	unlock(t, g)
	next := come(t, behind)
	if next.Token() <= token {
		t.Errorf("token %d after %d", next.Token(), token)
	}
	unlock(t, next)
}

func TestAllAreLostWithOne(t *testing.T) {
	prefix := ownPrefix()
	one, other := connect(t, prefix), connect(t, prefix)
	g := lockAll(t, one, []string{"a", "b", "c"})
	behind := waits(t, other, "a", 1)
	removeKeys(t, prefix+"c/")
	come(t, g.Lost())
	if lost := (*Error)(nil); !errors.As(g.Err(), &lost) || lost.Code != ErrLost || Loss(lost.Detail) != LossKeyDeleted || g.Token() != 0 {
		t.Error(g.Err())
	}
	unlock(t, come(t, behind))
	if err := g.Unlock(t.Context()); !errors.Is(err, ErrLost) {
		t.Error(err)
	}
	wantNothing(t, prefix+"b/")
}

func TestDisconnectEndsAll(t *testing.T) {
	prefix := ownPrefix()
	c := connect(t, prefix)
	g := lockAll(t, c, []string{"a", "b"})
	if err := c.Disconnect(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	come(t, g.Lost())
	if !errors.Is(g.Err(), ErrCancelled) {
		t.Error(g.Err())
	}
	wantNothing(t, prefix)
}

// Random sets of ten names: nobody waits for ever, and never do two hold a name.
func TestHoweverTheNamesOverlapThereIsNoDeadlock(t *testing.T) {
	const goroutines, clients, rounds = 20, 3, 15
	prefix := ownPrefix()
	var all []*Client
	for range clients {
		all = append(all, connect(t, prefix))
	}
	names := strings.Split("abcdefghij", "")
	things := make(map[string]*fenced)
	for _, name := range names {
		things[name] = new(fenced)
	}
	before := LiveHandles()
	var running sync.WaitGroup
	for i := range goroutines {
		running.Go(func() {
			chance := rand.New(rand.NewPCG(uint64(i), 7))
			for range rounds {
				var some []string
				for _, n := range chance.Perm(len(names))[:1+chance.IntN(4)] {
					some = append(some, names[n])
				}
				g, err := all[i%clients].LockAll(within(t, patience), some)
				if err != nil {
					t.Errorf("%v: %v", some, err)
					return
				}
				for _, name := range some {
					if err := things[name].add(g.Token()); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
				unlock(t, g)
			}
		})
	}
	running.Wait()
	for _, name := range names {
		if things[name].counter == 0 {
			t.Error("nobody had", name)
		}
		wantNothing(t, prefix+name+"/")
	}
	if live := LiveHandles(); live != before {
		t.Errorf("%d handles, %d before", live, before)
	}
}
