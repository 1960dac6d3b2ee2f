// Package concurrency has the locks of go.etcd.io/etcd/client/v3/concurrency and ours in one queue: such a Mutex is one who
// wants the lock alone, and excludes also those who share it, as they exclude it.
package concurrency

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"example.org/locker"
	"example.org/locker/lockertest"
)

// How long an event may take that is bound to come.
const patience = 30 * time.Second

// sharing are the ways to hold a lock with others.
var sharing = map[string]locker.LockOption{"shared": locker.Shared(), "limit": locker.Limit(3)}

// both are a client of ours, and sessions of etcd's own, on one etcd.
type both struct {
	*testing.T
	ctx    context.Context
	client *locker.Client
	theirs *clientv3.Client
}

func start(t *testing.T) both {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	endpoints := lockertest.Etcd(t)
	client, err := locker.Connect(ctx, endpoints)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	theirs, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoints}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	return both{t, ctx, client, theirs}
}

// mutex is one of theirs for our lock name, with a session of its own: two of one session would both hold it.
func (b both) mutex(name string) *concurrency.Mutex {
	session, err := concurrency.NewSession(b.theirs)
	b.ok(err)
	b.Cleanup(func() { session.Close() })
	return concurrency.NewMutex(session, "/locker/"+name)
}

func (b both) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b both) lock(name string, options ...locker.LockOption) *locker.Guard {
	b.Helper()
	guard, err := b.client.Lock(b.ctx, name, options...)
	b.ok(err)
	return guard
}

func (b both) unlock(guards ...*locker.Guard) {
	b.Helper()
	for _, guard := range guards {
		b.ok(guard.Unlock(b.ctx))
	}
}

// begin does something that waits in the queue of name, and returns once so many do.
func (b both) begin(name string, waiters int, wait func() error) <-chan error {
	b.Helper()
	done := make(chan error, 1)
	go func() { done <- wait() }()
	for ; ; time.Sleep(time.Millisecond) { // how many wait is no change of holder: no event tells it
		info, err := b.client.Get(b.ctx, name)
		b.ok(err)
		if info.Waiters == waiters {
			return done
		}
	}
}

func (b both) come(done <-chan error) {
	b.Helper()
	select {
	case err := <-done:
		b.ok(err)
	case <-b.ctx.Done():
		b.Fatal(b.ctx.Err())
	}
}

func (b both) want(name string, mode locker.Mode, holders, waiters int) {
	b.Helper()
	info, err := b.client.Get(b.ctx, name)
	b.ok(err)
	if info.Mode != mode || info.Holders != holders || info.Waiters != waiters {
		b.Errorf("want %v by %d and %d who wait, got %+v", mode, holders, waiters, info)
	}
}

// holds counts who holds the lock together, so that whoever gets it alone can tell that somebody is there.
type holds struct{ atomic.Int32 }

func (h *holds) alone(lock func() error) func() error {
	return func() error {
		err := lock()
		if h.Load() > 0 {
			err = errors.Join(err, errors.New("it came while others held the lock"))
		}
		return err
	}
}

func TestAMutexWaitsForAllWhoShareAndNobodyPassesIt(t *testing.T) {
	for way, option := range sharing {
		t.Run(way, func(t *testing.T) {
			b := start(t)
			first, second := b.lock("x", option), b.lock("x", option)
			var held holds
			held.Store(2)
			mutex := b.mutex("x")
			if err := mutex.TryLock(b.ctx); !errors.Is(err, concurrency.ErrLocked) {
				t.Fatal("a try beside two who share it:", err)
			}
			alone := b.begin("x", 1, held.alone(func() error { return mutex.Lock(b.ctx) }))
			// There would be room for one more, but not before the mutex.
			if _, err := b.client.TryLock(b.ctx, "x", option); !errors.Is(err, locker.ErrTimeout) {
				t.Error("it passes the mutex:", err)
			}
			late := b.begin("x", 2, func() error {
				guard, err := b.client.Lock(b.ctx, "x", option)
				return errors.Join(err, guard.Unlock(b.ctx))
			})
			b.want("x", locker.ModeShared, 2, 2)
			for _, guard := range []*locker.Guard{first, second} {
				held.Add(-1)
				b.unlock(guard)
			}
			b.come(alone)
			b.want("x", locker.ModeForeign, 1, 1)
			select {
			case err := <-late:
				t.Error("it came beside the mutex:", err)
			default:
			}
			b.ok(mutex.Unlock(b.ctx))
			b.come(late)
			b.ok(mutex.TryLock(b.ctx))
			b.ok(mutex.Unlock(b.ctx))
		})
	}
}

func TestWhoSharesWaitsForAMutexAndComesWithTheOthers(t *testing.T) {
	for way, option := range sharing {
		t.Run(way, func(t *testing.T) {
			b := start(t)
			mutex := b.mutex("x")
			b.ok(mutex.Lock(b.ctx))
			b.want("x", locker.ModeForeign, 1, 0)
			if _, err := b.client.TryLock(b.ctx, "x", option); !errors.Is(err, locker.ErrTimeout) {
				t.Error("it is had beside the mutex:", err)
			}
			var held holds
			held.Store(1)
			guards := make(chan *locker.Guard, 2)
			share := held.alone(func() error {
				guard, err := b.client.Lock(b.ctx, "x", option)
				guards <- guard
				return err
			})
			one := b.begin("x", 1, share)
			other := b.begin("x", 2, share)
			// Behind those: it waits for both.
			next := b.mutex("x")
			last := b.begin("x", 3, func() error { return next.Lock(b.ctx) })
			held.Add(-1)
			b.ok(mutex.Unlock(b.ctx))
			b.come(one)
			b.come(other)
			b.want("x", locker.ModeShared, 2, 1)
			b.unlock(<-guards)
			b.want("x", locker.ModeShared, 1, 1)
			b.unlock(<-guards)
			b.come(last)
			b.want("x", locker.ModeForeign, 1, 0)
			b.ok(next.Unlock(b.ctx))
		})
	}
}

// Several of our locks, one of which a mutex has; and a mutex that waits for one of several.
func TestAMutexIsInTheWayOfSeveralAndTheyOfIt(t *testing.T) {
	b := start(t)
	mutex := b.mutex("y")
	b.ok(mutex.Lock(b.ctx))
	names := []string{"x", "y"}
	_, err := b.client.TryLockAll(b.ctx, names)
	if busy := (*locker.Error)(nil); !errors.As(err, &busy) || busy.Holder == nil || busy.Holder.Name != "y" || busy.Holder.Mode != locker.ModeForeign {
		t.Fatal(err)
	}
	b.want("x", locker.ModeFree, 0, 0)
	var guard *locker.Guard
	all := b.begin("y", 1, func() (err error) { guard, err = b.client.LockAll(b.ctx, names); return err })
	b.ok(mutex.Unlock(b.ctx))
	b.come(all)
	next := b.mutex("x")
	alone := b.begin("x", 1, func() error { return next.Lock(b.ctx) })
	select {
	case err := <-alone:
		t.Error("it came beside the holder of several:", err)
	default:
	}
	b.unlock(guard)
	b.come(alone)
	b.want("y", locker.ModeFree, 0, 0)
	b.ok(next.Unlock(b.ctx))
}
