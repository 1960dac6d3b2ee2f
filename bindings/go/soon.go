package locker

// #include "locker.h"
import "C"

import (
	"errors"
	"sync"
)

// How long Lock waits in C first, in milliseconds. A lock that is free usually comes sooner, and no way to hear of it is
// shorter; but it holds a thread, and does not end with a context. etcd that is farther away than this is slower anyway.
const patienceInC = 3

// How many goroutines wait so at once: few to begin with, and more as long as that is of use, which it is for those that
// share no locks. The others wait without a thread from the beginning. Threads of Go's never end.
const fewestInC, mostInC = 2, 16

var inC = places{limit: fewestInC}

// places are for those that wait in C.
type places struct {
	mu           sync.Mutex
	taken, limit int
	wanted       bool // since the last change of the limit somebody found none
}

func (p *places) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken >= p.limit {
		p.wanted = true
		return false
	}
	p.taken++
	return true
}

// leave is told whether it was of use to wait.
func (p *places) leave(useful bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	switch {
	case !useful:
		p.limit, p.wanted = max(p.limit-1, fewestInC), false
	case p.wanted:
		p.limit, p.wanted = min(p.limit+1, mostInC), false
	}
}

// soon waits a moment for the lock. It says whether the guard still waits then; if it has ended, the error says why.
func (g *Guard) soon() (waits bool, err error) {
	if g.client.waiters.any(g.names) || !inC.enter() {
		return true, nil
	}
	err = g.wait(patienceInC)
	if !errors.Is(err, ErrTimeout) {
		inC.leave(true)
		return false, err
	}
	inC.leave(false)
	if g.State() != StateEnded {
		return true, nil
	}
	return false, g.now() // it has ended meanwhile
}

// now is nil if the lock is held, else why it is not.
func (g *Guard) now() error { return g.wait(C.LOCKER_NO_WAIT) }

// wait waits in C until the lock is held, so long. ErrTimeout leaves it in the queue, if it has not ended.
func (g *Guard) wait(limit C.int64_t) error {
	return try(func(e *C.locker_error) C.locker_code { return C.locker_wait(g.id(), limit, e) })
}
