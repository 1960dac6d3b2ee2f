package locker

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// detour is a way to etcd that can be cut.
type detour struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
	cut   bool
}

func newDetour(t *testing.T) *detour {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &detour{Listener: l}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { d.pass(conn) })
		}
	})
	t.Cleanup(func() { d.Cut(); running.Wait() })
	return d
}

func (d *detour) pass(conn net.Conn) {
	first, _, _ := strings.Cut(endpoints, ",")
	etcd, err := net.Dial("tcp", strings.TrimPrefix(first, "http://"))
	if err != nil || !d.keep(conn, etcd) {
		conn.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { io.Copy(etcd, conn); etcd.Close() })
	both.Go(func() { io.Copy(conn, etcd); conn.Close() })
	both.Wait()
}

// keep remembers connections to be closed by Cut; false if it was called already.
func (d *detour) keep(conns ...net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns = append(d.conns, conns...)
	return !d.cut
}

func (d *detour) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = true
	d.Close()
	for _, conn := range d.conns {
		conn.Close()
	}
}

// A deadline that comes while etcd is silent says so, and not who held the lock before.
func TestADeadlineInSilence(t *testing.T) {
	prefix, way := ownPrefix(), newDetour(t)
	g := lock(t, connect(t, prefix), "x")
	c, err := Connect(within(t, patience), "http://"+way.Addr().String(), Prefix(prefix), TTL(3*time.Second), Timeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Disconnect(t.Context()) // fails, in time
	next(t, watched(t, c, "x"))     // it knows the holder
	queued := make(chan error)
	go func() {
		_, err := c.Lock(within(t, 3*time.Second), "x")
		queued <- err
	}()
	if !eventually(func() bool { return get(t, g.client, "x").Waiters == 1 }) {
		t.Fatal("not in the queue")
	}
	get(t, c, "x") // so it has heard that it is
	way.Cut()
	_, behind := c.Lock(within(t, 300*time.Millisecond), "x") // in the client's own line, where a moment of silence is none yet
	_, short := c.Lock(within(t, 300*time.Millisecond), "y")
	_, several := c.LockAll(within(t, 300*time.Millisecond), []string{"y", "z"})
	long, busy := come(t, queued), (*Error)(nil)
	for _, err := range []error{behind, short, several, long} {
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &busy) || busy.Holder != nil {
			t.Errorf("%v, held by %+v", err, busy.Holder)
		}
		if err != behind && !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	}
	unlock(t, g)
}

// ErrTimeout of those that only try is what etcd has said: that the lock is busy. A deadline in silence is none.
func TestTryLockInSilenceIsNotBusy(t *testing.T) {
	way, late := newDetour(t), errors.New("too late")
	c, err := Connect(within(t, patience), "http://"+way.Addr().String(), Prefix(ownPrefix()), Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Disconnect(within(t, time.Millisecond)) // fails, in time
	unlock(t, lock(t, c, "x"))
	way.Cut()
	for _, left := range []time.Duration{0, 10 * time.Millisecond, 1500 * time.Millisecond} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), left, late)
		_, one := c.TryLock(ctx, "x")
		_, again := c.TryLock(ctx, "x") // its deadline is over when it comes
		_, several := c.TryLockAll(ctx, []string{"x", "y"})
		cancel()
		for _, err := range []error{one, again, several} {
			if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, late) {
				t.Errorf("%v: %v", left, err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.TryLockAll(ctx, []string{"x", "y"}); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestEtcdGoesAway(t *testing.T) {
	const ttl, timeout = 2 * time.Second, 500 * time.Millisecond
	way := newDetour(t)
	c, err := Connect(within(t, patience), "http://"+way.Addr().String(), Prefix(ownPrefix()), TTL(ttl), Timeout(timeout))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Disconnect(within(t, patience)) // fails, in time
	kept, given := lock(t, c, "kept"), lock(t, c, "given")

	way.Cut()
	cut := time.Now()
	_, getErr := c.Get(t.Context(), "x")
	_, lockErr := c.Lock(t.Context(), "x")
	unlockErr := given.Unlock(t.Context())
	for _, err := range []error{getErr, lockErr, unlockErr} {
		if !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	}
	if took := time.Since(cut); took > 3*timeout+time.Second {
		t.Errorf("three calls took %v", took)
	}
	if given.Held() {
		t.Error("held after Unlock")
	}
	come(t, kept.Lost()) // by our own clock: nobody can tell us
	if took := time.Since(cut); took > ttl {
		t.Errorf("told %v after etcd went away: its lease may have ended before", took)
	}
	if !errors.Is(kept.Err(), ErrLost) || kept.Held() {
		t.Error(kept.Err())
	}
}
