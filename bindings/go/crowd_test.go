package locker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// crowdVariable has the test program be the one that TestTenThousandWait looks at, instead of running tests.
const crowdVariable = "LOCKER_TEST_CROWD"

// crowd is what that program has counted. Threads are all that the process has, as /proc/self/status tells: the Go
// runtime's (which never end, so that the last number is also the greatest of theirs), the library's, and the main one.
type crowd struct {
	ThreadsAtStart, ThreadsConnected, ThreadsWaiting, ThreadsAfter int
	Goroutines, Handles, Waiters                                   int // while all wait: more than before
	GoroutinesLeft, HandlesLeft, KeysLeft                          int // at the end
	Entering, Leaving                                              time.Duration
}

const crowdSize, crowdNames = 10_000, 100

// runCrowd has 10 000 goroutines wait for 100 locks, which others hold, and leave.
func runCrowd() (c crowd, err error) {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	c.ThreadsAtStart = processThreads()
	prefix := ownPrefix()
	holder, err := Connect(ctx, endpoints, Prefix(prefix), Timeout(patience))
	if err != nil {
		return c, err
	}
	for i := range crowdNames {
		if _, err = holder.Lock(ctx, fmt.Sprint("x", i)); err != nil {
			return c, err
		}
	}
	waiter, err := Connect(ctx, endpoints, Prefix(prefix), Timeout(patience))
	if err != nil {
		return c, err
	}
	c.ThreadsConnected = processThreads()
	goroutines, handles := runtime.NumGoroutine(), LiveHandles()

	crowded, leave := context.WithCancel(ctx)
	defer leave()
	var all sync.WaitGroup
	var wrong atomic.Pointer[error]
	began := time.Now()
	for i := range crowdSize {
		all.Go(func() {
			if g, err := waiter.Lock(crowded, fmt.Sprint("x", i%crowdNames)); !errors.Is(err, context.Canceled) {
				err = fmt.Errorf("%v, %w", g, err)
				wrong.Store(&err)
			}
		})
	}
	eventually(func() bool { return LiveHandles() == handles+crowdSize })
	// A client has one place in a queue, for all of its own.
	for i := range crowdNames {
		var info Info
		if !eventually(func() bool { info, err = holder.Get(ctx, fmt.Sprint("x", i)); return err == nil && info.Waiters > 0 }) {
			return c, errors.Join(err, errors.New("nobody is in the queue"))
		}
		c.Waiters += info.Waiters
	}
	c.Entering = time.Since(began)
	c.ThreadsWaiting, c.Goroutines, c.Handles = processThreads(), runtime.NumGoroutine()-goroutines, LiveHandles()-handles
	began = time.Now()
	leave()
	all.Wait()
	c.Leaving = time.Since(began)
	c.ThreadsAfter = processThreads()
	if err := wrong.Load(); err != nil {
		return c, *err
	}
	eventually(func() bool { c.KeysLeft, _ = countKeys(prefix + "x"); return c.KeysLeft == crowdNames })
	c.KeysLeft -= crowdNames // the holder's
	err = errors.Join(waiter.Disconnect(ctx), holder.Disconnect(ctx))
	eventually(func() bool { return LiveHandles() == 0 && runtime.NumGoroutine() <= goroutines })
	c.HandlesLeft, c.GoroutinesLeft = LiveHandles(), runtime.NumGoroutine()-goroutines
	return c, err
}
