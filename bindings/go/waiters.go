//go:build cgo

package locker

import (
	"slices"
	"sync"
)

// waiters is how many goroutines wait for each lock without a thread. Where one does, another need not hope that the lock
// comes in a moment, nor that several do of which it is one.
type waiters struct {
	mu    sync.Mutex
	names map[string]int
}

func (w *waiters) any(names []string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(names, func(name string) bool { return w.names[name] > 0 })
}

func (w *waiters) enter(names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.names == nil {
		w.names = make(map[string]int)
	}
	for _, name := range names {
		w.names[name]++
	}
}

func (w *waiters) leave(names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range names {
		if w.names[name]--; w.names[name] == 0 {
			delete(w.names, name)
		}
	}
}
