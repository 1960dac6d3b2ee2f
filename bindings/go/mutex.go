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
// A sync.Locker cannot return an error: Lock panics if it fails, and so does Unlock if the lock was lost before ([ErrLost])
// or its client disconnected ([ErrCancelled]), since what it protected was not protected to the end. So have all leave it
// before [Client.Disconnect]. Where that is too much, use [Client.Lock].
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
	err := guard.Unlock(context.Background())
	if errors.Is(err, ErrBadHandle) {
		err = guard.Err() // nobody else unlocks it: the client was disconnected, and it knows more
	}
	if err != nil && !errors.Is(err, ErrUnavailable) {
		panic(fmt.Errorf("locker: Mutex.Unlock: %w", err))
	}
}
