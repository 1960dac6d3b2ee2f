package locker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fenced is what a lock protects, as a database would be that looks at tokens: it takes no lower one than it has seen. The
// counter is plain memory, so that also the race detector tells of two at once.
type fenced struct {
	highest atomic.Int64
	inside  atomic.Int32
	counter int
}

// add counts one up under the lock.
func (f *fenced) add(token int64) error {
	if n := f.inside.Add(1); n != 1 {
		return fmt.Errorf("%d are inside", n)
	}
	defer f.inside.Add(-1)
	if before := f.highest.Swap(token); before >= token {
		return fmt.Errorf("token %d after %d", token, before)
	}
	f.counter++
	return nil
}

// Goroutines of several clients want locks in a hurry: some give up at a moment that chance chooses, some wait, some
// only try. No two are inside at once, nobody is forgotten, and nothing stays in etcd but what is the clients' own.
func TestManyWantManyLocksAndSomeGiveUp(t *testing.T) {
	const clients, goroutines, names, rounds = 3, 48, 6, 25
	prefix := ownPrefix()
	var all []*Client
	for range clients {
		all = append(all, connect(t, prefix))
	}
	before := LiveHandles()
	var things [names]fenced
	var held, gaveUp, busy atomic.Int64
	var running sync.WaitGroup
	for i := range goroutines {
		running.Go(func() {
			chance := rand.New(rand.NewPCG(uint64(i), 7)) // what each wants is the same in each run
			for range rounds {
				n := chance.IntN(names)
				err := once(t.Context(), all[i%clients], chance, fmt.Sprint("x", n), &things[n])
				switch {
				case err == nil:
					held.Add(1)
				case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
					gaveUp.Add(1)
				case errors.Is(err, ErrTimeout):
					busy.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	var sum int
	for i := range things {
		sum += things[i].counter
	}
	t.Logf("%d held, %d gave up, %d found it busy", held.Load(), gaveUp.Load(), busy.Load())
	if int64(sum) != held.Load() || held.Load() == 0 || gaveUp.Load() == 0 || busy.Load() == 0 {
		t.Errorf("%d were counted", sum)
	}
	if live := LiveHandles(); live != before {
		t.Errorf("%d handles, %d before", live, before)
	}
	if !eventually(func() bool { n, err := countKeys(prefix + "x"); return err == nil && n == 0 }) {
		t.Error("keys of locks stay")
	}
	for _, c := range all {
		if err := c.Disconnect(within(t, patience)); err != nil {
			t.Error(err)
		}
	}
	if n, err := countKeys(prefix); err != nil || n != 0 {
		t.Error("keys stay after all clients are gone:", n, err)
	}
}

// once takes a lock for a moment, or gives up.
func once(ctx context.Context, c *Client, chance *rand.Rand, name string, thing *fenced) error {
	take := c.Lock
	switch hurry := time.Duration(chance.IntN(12)) * time.Millisecond; chance.IntN(4) {
	case 0:
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		timer := time.AfterFunc(hurry, cancel)
		defer cancel()
		defer timer.Stop()
	case 1:
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, hurry)
		defer cancel()
	case 2:
		take = c.TryLock
	}
	g, err := take(ctx, name)
	if err != nil {
		return err
	}
	counted := thing.add(g.Token())
	// ctx may have ended; that the lock was given up is what counts, and the handles are looked at.
	err = g.Unlock(context.WithoutCancel(ctx))
	return errors.Join(counted, err)
}

// Tests of users run at the same time on one client.
func TestParallelTestsShareAClient(t *testing.T) {
	prefix := ownPrefix()
	c := connect(t, prefix)
	var thing fenced
	t.Run("all", func(t *testing.T) {
		for i := range 16 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				g := lock(t, c, "x", Value(t.Name()))
				if info := get(t, c, "x"); !strings.HasSuffix(info.Value, t.Name()) || info.Token != g.Token() {
					t.Errorf("%+v", info)
				}
				if err := thing.add(g.Token()); err != nil {
					t.Error(err)
				}
				unlock(t, g)
			})
		}
	})
	if thing.counter != 16 {
		t.Errorf("counted to %d", thing.counter)
	}
}
