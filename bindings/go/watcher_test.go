package locker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func next(t *testing.T, w *Watcher) Info {
	t.Helper()
	info, err := w.Next(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func watched(t *testing.T, c *Client, name string) *Watcher {
	t.Helper()
	w, err := c.Watch(within(t, patience), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Unwatch() }) // a test may have done it
	return w
}

func TestWatchTellsEachHolder(t *testing.T) {
	c := connect(t, ownPrefix())
	w := watched(t, c, "x")
	if info := next(t, w); info.Held() || info.Name != "x" {
		t.Errorf("%+v", info)
	}
	if _, err := w.Next(within(t, time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrTimeout) {
		t.Error(err)
	}
	g := lock(t, c, "x", Value("node-3"))
	if info := next(t, w); info.Value != "node-3" || info.Token != g.Token() {
		t.Errorf("%+v", info)
	}
	unlock(t, g)
	if info := next(t, w); info.Held() {
		t.Errorf("%+v", info)
	}
}

func TestWatchStartsWithThePresentHolder(t *testing.T) {
	c := connect(t, ownPrefix())
	g := lock(t, c, "x")
	w := watched(t, c, "x")
	for info, err := range w.All(within(t, patience)) {
		if err != nil || info.Token != g.Token() {
			t.Error(info, err)
		}
		break
	}
	unlock(t, g)
	ctx, cancel := context.WithCancel(t.Context())
	var last error
	for info, err := range w.All(ctx) {
		if last = err; err == nil && !info.Held() {
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Error(last)
	}
	cancel()
}

func TestWhatIsWatchedIsKnown(t *testing.T) {
	c, other := connect(t, ownPrefix()), connect(t, ownPrefix())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if info, err := c.GetCached(ended, "x"); !errors.Is(err, ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Error("asked etcd after the end of its context:", info, err)
	}
	read, err := c.GetCached(within(t, patience), "x")
	if err != nil || read.Held() || read.Revision == 0 {
		t.Error(read, err)
	}

	w := watched(t, c, "x")
	next(t, w)
	g := lock(t, c, "x", Value("node-3"))
	told := next(t, w)
	// From memory: it needs no time.
	known, err := c.GetCached(ended, "x")
	if err != nil || known.Token != g.Token() || known.Value != "node-3" || known.Revision < told.Revision {
		t.Error(known, err)
	}
	read = get(t, c, "x")
	if read.Revision < known.Revision {
		t.Errorf("read at revision %d, known at %d", read.Revision, known.Revision)
	}
	if read.Revision = known.Revision; read != known {
		t.Errorf("read %+v, known %+v", read, known)
	}
	if info, err := other.GetCached(within(t, patience), "x"); err != nil || info.Held() {
		t.Error("of another prefix:", info, err)
	}
	unlock(t, g)
	if told = next(t, w); told.Held() {
		t.Errorf("%+v", told)
	}
	if known, err = c.GetCached(ended, "x"); err != nil || known.Held() || known.Revision < told.Revision {
		t.Error(known, err)
	}
}

func TestUnwatchAndDisconnectEndAWatcher(t *testing.T) {
	c := connect(t, ownPrefix())
	for _, end := range []func(*Watcher) error{
		(*Watcher).Unwatch,
		func(*Watcher) error { return c.Disconnect(within(t, patience)) },
	} {
		w := watched(t, c, "x")
		next(t, w)
		failed := make(chan error)
		for range 2 { // readers
			go func() {
				_, err := w.Next(within(t, patience))
				failed <- err
			}()
		}
		if err := end(w); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := come(t, failed); !errors.Is(err, ErrCancelled) || errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		if err := w.Unwatch(); !errors.Is(err, ErrBadHandle) {
			t.Error(err)
		}
	}
}

func TestUnwatchForgetsWhatWasNotRead(t *testing.T) {
	c := connect(t, ownPrefix())
	w := watched(t, c, "x")
	if !eventually(func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.pending) > 0 }) {
		t.Fatal("no state came")
	}
	if err := w.Unwatch(); err != nil {
		t.Fatal(err)
	}
	w.push(Info{Name: "x"}) // one was under way
	for range 2 {
		if info, err := w.Next(within(t, patience)); !errors.Is(err, ErrCancelled) {
			t.Error(info, err)
		}
	}
}

func TestASlowReaderGetsTheLatest(t *testing.T) {
	w := &Watcher{ready: make(chan struct{}, 1)}
	for i := range maxPending + 10 {
		w.push(Info{Token: int64(i)})
	}
	w.stop(fmt.Errorf("the end: %w", ErrUnavailable))
	for i := range maxPending {
		if info := next(t, w); info.Token != int64(i+10) {
			t.Fatalf("token %d in place of %d", info.Token, i+10)
		}
	}
	for range 2 {
		if _, err := w.Next(t.Context()); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	}
}
