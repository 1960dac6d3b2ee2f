//go:build cgo

package locker

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Mutex returns the lock name as a [sync.Locker]. Goroutines that share one take turns at it before they queue with
// others, so that one whose lock was lost cannot unlock another's. (So with [Shared] or [Limit] each needs one of its own.)
//
// A sync.Locker cannot return an error: Lock panics if it fails, and so does Unlock if the lock was lost before, since
// what it protected was not protected. Where that is too much, use [Client.Lock].
func (c *Client) Mutex(name string, options ...LockOption) sync.Locker {
	return &mutex{client: c, name: name, options: options}
}

type mutex struct {
	client  *Client
	name    string
	options []LockOption

	local sync.Mutex // held by who holds guard
	guard *Guard
}

func (m *mutex) Lock() {
	m.local.Lock()
	guard, err := m.client.Lock(context.Background(), m.name, m.options...)
	if err != nil {
		m.local.Unlock()
		panic(fmt.Errorf("locker: Mutex.Lock: %w", err))
	}
	m.guard = guard
}

func (m *mutex) Unlock() {
	guard := m.guard
	m.guard = nil
	m.local.Unlock() // aborts the program, as sync.Mutex does, if it was not locked
	// That etcd has not confirmed is no reason to panic: the lock is given up, and the release goes on behind.
	if err := guard.Unlock(context.Background()); err != nil && !errors.Is(err, ErrUnavailable) {
		panic(fmt.Errorf("locker: Mutex.Unlock: %w", err))
	}
}
