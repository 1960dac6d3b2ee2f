package locker

// #include "locker.h"
import "C"

import (
	"context"
	"fmt"
	"iter"
	"sync"
)

// How many states a Watcher keeps for a reader that is slow.
const maxPending = 256

// Watcher tells who holds one lock: first the present holder, then each change. It resumes by itself after a break.
// When it is read slowly the oldest states are merged; the last one never is lost. It is made by [Client.Watch]; any
// goroutine may use it. It must not be copied. One that Watch did not make, nil or zero, fails with [ErrBadHandle].
type Watcher struct {
	client *Client
	name   string
	handle C.locker_watcher
	ready  chan struct{} // holds one item while there is something to take

	mu      sync.Mutex
	pending []Info
	err     error // what ended it; told after what is pending
}

var errNoWatcher = &Error{Code: ErrBadHandle, Message: "this watcher was not made by Watch"}

// watches is false of a watcher that Watch did not make.
func (w *Watcher) watches() bool { return w != nil && w.ready != nil }

// Watch subscribes to the lock name. ctx is for subscribing only; end the watcher with [Watcher.Unwatch]. It fails as
// [Client.Get] does.
func (c *Client) Watch(ctx context.Context, name string) (*Watcher, error) {
	w := &Watcher{client: c, name: name, ready: make(chan struct{}, 1)}
	err := c.wait(ctx, calling("watch", name), func(C.int64_t) error {
		var a arguments
		cName := a.text("name", name)
		return a.call(func(e *C.locker_error) C.locker_code { return watch(c, cName, w, e) })
	}, func() { _ = w.Unwatch() })
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Next waits for the next state until ctx ends. An error other than ctx's has ended the watcher.
func (w *Watcher) Next(ctx context.Context) (Info, error) {
	if !w.watches() {
		return Info{}, errNoWatcher
	}
	for {
		if info, err, ok := w.take(); ok {
			return info, err
		}
		select {
		case <-w.ready:
		case <-ctx.Done():
			return Info{}, interrupted(ctx, calling("watch", w.name))
		}
	}
}

// All ranges over the states as Next gives them. The error that ends it, ctx's or the watcher's, comes last:
//
//	for info, err := range watcher.All(ctx) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(info.Value)
//	}
func (w *Watcher) All(ctx context.Context) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for {
			info, err := w.Next(ctx)
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

// Unwatch ends the watcher. It does not wait for etcd. Next then fails with [ErrCancelled], also when there were states
// that it had not given yet, and Unwatch with [ErrBadHandle].
func (w *Watcher) Unwatch() error {
	if !w.watches() {
		return errNoWatcher
	}
	w.mu.Lock()
	w.pending = nil
	w.end(&Error{Code: ErrCancelled, Message: fmt.Sprintf("watch %q: unwatched", w.name)})
	w.mu.Unlock()
	return try(func(e *C.locker_error) C.locker_code { return C.locker_unwatch(w.handle, C.LOCKER_NO_WAIT, e) })
}

// push is called by C with each state.
func (w *Watcher) push(info Info) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	if len(w.pending) == maxPending {
		w.pending = w.pending[1:]
	}
	w.pending = append(w.pending, info)
	w.signal()
}

// stop is called by C with what ended the watcher.
func (w *Watcher) stop(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end(err)
}

// end remembers what ended the watcher first. The caller holds mu.
func (w *Watcher) end(err error) {
	if w.err == nil {
		w.err = err
	}
	w.signal()
}

// forgotten is called by C after the last state.
func (w *Watcher) forgotten() {
	w.stop(&Error{Code: ErrCancelled, Message: fmt.Sprintf("watch %q: the client was disconnected", w.name)})
}

// take returns what is to be told next, if there is something.
func (w *Watcher) take() (Info, error, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) > 0 {
		info := w.pending[0]
		w.pending = w.pending[1:]
		w.signal() // other readers may wait for the rest
		return info, nil, true
	}
	if w.err != nil {
		w.signal()
		return Info{}, w.err, true
	}
	return Info{}, nil, false
}

// signal wakes a reader, who finds out whether there is something to take. The caller holds mu.
func (w *Watcher) signal() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}
