package locker

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Some goroutines share a mutex, some have their own: all exclude one another.
func TestMutexCounts(t *testing.T) {
	c := connect(t, ownPrefix())
	const goroutines, rounds = 8, 10
	shared := c.Mutex("x")
	counter := 0 // not atomic: what the race detector and the sum tell
	var all sync.WaitGroup
	for i := range goroutines {
		mu := shared
		if i%2 == 0 {
			mu = c.Mutex("x", Value("node-3"))
		}
		all.Go(func() {
			for range rounds {
				mu.Lock()
				read := counter
				runtime.Gosched()
				counter = read + 1
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if counter != goroutines*rounds {
		t.Errorf("counted to %d", counter)
	}
}

func panicked(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

func TestMutexPanicsWhenItFails(t *testing.T) {
	prefix := ownPrefix()
	c := connect(t, prefix)
	bad := c.Mutex("")
	for range 2 { // a failed Lock leaves it as it was
		if err, _ := panicked(bad.Lock).(error); !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
	}
	mu := c.Mutex("x")
	mu.Lock()
	lost := mu.(*mutex).guard.Lost()
	removeKeys(t, prefix+"x/")
	come(t, lost)
	other := lock(t, c, "x")
	if err, _ := panicked(mu.Unlock).(error); !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "Unlock") {
		t.Error(err)
	}
	if !other.Held() {
		t.Error("it unlocked another's lock")
	}
	unlock(t, other)
	mu.Lock() // it works again
	if !mu.(*mutex).guard.Held() {
		t.Error("not held")
	}
	mu.Unlock()
}

// A mutex whose client was disconnected protects nothing any more: whoever is in it is told when he leaves, and why.
func TestMutexPanicsAfterDisconnect(t *testing.T) {
	prefix := ownPrefix()
	c := connect(t, prefix)
	released, lost := c.Mutex("released"), c.Mutex("lost")
	released.Lock()
	lost.Lock()
	gone := lost.(*mutex).guard.Lost()
	removeKeys(t, prefix+"lost/")
	come(t, gone)
	if err := c.Disconnect(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	for want, mu := range map[Code]sync.Locker{ErrCancelled: released, ErrLost: lost} {
		if err, _ := panicked(mu.Unlock).(error); !errors.Is(err, want) || errors.Is(err, ErrBadHandle) || !strings.Contains(err.Error(), "Mutex.Unlock") {
			t.Errorf("%v: %v", want, err)
		}
		for range 2 { // and nobody is kept waiting
			if err, _ := panicked(mu.Lock).(error); !errors.Is(err, ErrBadHandle) {
				t.Error(err)
			}
		}
	}
}
