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
	const names, waiters = 20, 1000
	prefix := ownPrefix()
	holder, waiter := connect(t, prefix), connect(t, prefix)
	name := func(i int) string { return fmt.Sprint("x", i%names) }
	var held []*Guard
	for i := range names {
		held = append(held, lock(t, holder, name(i)))
	}
	before := threads(t)
	ctx, cancel := context.WithCancel(t.Context())
	var waiting, done sync.WaitGroup
	waiting.Add(waiters)
	for i := range waiters {
		done.Go(func() {
			g, err := waiter.start(ctx, []string{name(i)}, 0, nil)
			waiting.Done()
			if err == nil {
				g, err = g.await(ctx, 0)
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v, %v", g, err)
			}
		})
	}
	waiting.Wait()
	for i := range names {
		if !eventually(func() bool { return get(t, holder, name(i)).Waiters > 0 }) {
			t.Error("nobody is in the queue")
		}
	}
	during := threads(t)
	t.Logf("%d threads, %d of them before %d goroutines waited", during, before, waiters)
	if during > before+fewThreads {
		t.Errorf("%d threads more", during-before)
	}
	cancel()
	done.Wait()
	if after := threads(t); after > before+fewThreads { // Go's threads stay
		t.Errorf("leaving the queue cost %d threads", after-before)
	}
	for i, g := range held {
		unlock(t, g)
		unlock(t, lock(t, waiter, name(i))) // all of them have left
	}
}

// Those for whom there is no room to wait in C hear of their locks all the same, and of their contexts at once.
func TestLocksComeWithoutWaitingInC(t *testing.T) {
	inC.mu.Lock()
	inC.taken += mostInC
	inC.mu.Unlock()
	defer func() {
		for range mostInC {
			inC.leave(true)
		}
	}()
	prefix := ownPrefix()
	c, other := connect(t, prefix), connect(t, prefix) // of one client one guard alone is in the queue
	g := lock(t, other, "x")
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := c.Lock(ctx, "x")
		failed <- err
	}()
	if !eventually(func() bool { return get(t, c, "x").Waiters == 1 }) {
		t.Fatal("not in the queue")
	}
	if !c.waiters.any([]string{"y", "x"}) || c.waiters.any([]string{"y"}) || other.waiters.any([]string{"x"}) {
		t.Error("it is not known who waits")
	}
	cancel()
	if err := come(t, failed); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	unlock(t, g)
	unlock(t, lock(t, c, "x"))
	if len(c.waiters.names) != 0 {
		t.Errorf("waiters are left: %v", c.waiters.names)
	}
}

// There are more places in C while those who wait there get their locks, and few where they do not.
func TestPlacesInCFollowTheirUse(t *testing.T) {
	p := places{limit: fewestInC}
	crowd := func(useful bool) (entered int) {
		for range 2 * mostInC {
			if p.enter() {
				entered++
			}
		}
		for range entered {
			p.leave(useful)
		}
		return entered
	}
	for i := range 3 * mostInC {
		if entered := crowd(true); entered < min(fewestInC+i, mostInC) || entered > mostInC {
			t.Fatalf("%d entered in round %d", entered, i)
		}
		if p.enter() {
			p.leave(true) // who is alone needs no more
		}
	}
	for range mostInC {
		crowd(false)
	}
	if entered := crowd(false); entered != fewestInC || p.taken != 0 {
		t.Errorf("%d enter", entered)
	}
	for range 100 {
		p.enter()
		p.leave(true)
	}
	if p.limit != fewestInC {
		t.Errorf("%d places", p.limit)
	}
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

// What a call waits for a place is part of its time limit.
func TestWaitingForAPlaceIsLimitedToo(t *testing.T) {
	const timeout = time.Second
	way := newDetour(t)
	c, err := Connect(within(t, patience), "http://"+way.Addr().String(), Prefix(ownPrefix()), Timeout(timeout))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Disconnect(t.Context()) // fails, in time
	way.Cut()
	for what, call := range map[string]func() error{
		"get":   func() error { _, err := c.Get(t.Context(), "x"); return err },
		"watch": func() error { _, err := c.Watch(t.Context(), "x"); return err },
	} {
		for range maxCalls {
			c.calls <- struct{}{}
		}
		time.AfterFunc(timeout*3/4, func() { <-c.calls })
		begun := time.Now()
		err := call()
		if took := time.Since(begun); !errors.Is(err, ErrUnavailable) || took < timeout || took > timeout*3/2 {
			t.Errorf("%s: %v, after %v", what, err, took)
		}
		for range maxCalls - 1 {
			<-c.calls
		}
	}
}

// When all calls that may wait for etcd do, another one fails in time, and an unlock need not wait for them.
func TestCallsAreLimited(t *testing.T) {
	prefix := ownPrefix()
	other := connect(t, prefix)
	c := connect(t, prefix, Timeout(300*time.Millisecond))
	g := lock(t, c, "x")
	fill(c.calls)
	if _, err := c.Get(t.Context(), "x"); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	if _, err := c.Get(within(t, 10*time.Millisecond), "x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	unlock(t, g)
	g = lock(t, c, "x")
	fill(c.ends)
	if err := g.Unlock(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	unlock(t, lock(t, other, "x")) // it is released all the same
	if err := c.Disconnect(within(t, patience)); err != nil {
		t.Error(err)
	}
}

func fill(s slots) {
	for range cap(s) {
		s <- struct{}{}
	}
}

// Behind others that hang, Unlock ends the hold in this process at once, and what comes of the lock then is no loss.
func TestUnlockBehindOthersEndsTheHold(t *testing.T) {
	prefix := ownPrefix()
	c := connect(t, prefix)
	for _, removed := range []bool{false, true} {
		g := lock(t, c, "x")
		fill(c.ends)
		unlocked := make(chan error)
		go func() { unlocked <- g.Unlock(t.Context()) }()
		come(t, g.Lost())
		if g.Held() || g.State() != StateEnded || g.Token() != 0 || g.Remaining() != 0 || g.Info().Held() || !errors.Is(g.Err(), ErrCancelled) {
			t.Errorf("%v, token %d, %v", g.State(), g.Token(), g.Err())
		}
		select {
		case err := <-unlocked:
			t.Fatal("it has not waited: ", err)
		default:
		}
		if removed {
			removeKeys(t, prefix+"x/")
			if !eventually(func() bool { return !heldInC(g) }) {
				t.Fatal("C has not heard of it")
			}
		}
		for range cap(c.ends) {
			<-c.ends
		}
		if err := come(t, unlocked); removed && !errors.Is(err, ErrUnavailable) || !removed && err != nil {
			t.Errorf("removed %v: %v", removed, err)
		}
		if err := g.Unlock(t.Context()); !errors.Is(err, ErrBadHandle) || !errors.Is(g.Err(), ErrCancelled) {
			t.Error(err, g.Err())
		}
	}
}

// heldInC is whether C knows it as held; tests cannot call C.
func heldInC(g *Guard) bool { return (&Guard{handle: g.handle}).Held() }
