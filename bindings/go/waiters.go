//go:build cgo

package locker

import "sync"

// waiters is how many goroutines wait for each lock without a thread. Where one does, another need not hope that the lock
// comes in a moment.
type waiters struct {
	mu    sync.Mutex
	names map[string]int
}

func (w *waiters) any(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.names[name] > 0
}

func (w *waiters) enter(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.names == nil {
		w.names = make(map[string]int)
	}
	w.names[name]++
}

func (w *waiters) leave(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.names[name]--; w.names[name] == 0 {
		delete(w.names, name)
	}
}
