package locker

// #include "locker.h"
import "C"

import "errors"

// How long Lock waits in C first, in milliseconds. A lock that is free usually comes sooner, and no way to hear of it is
// shorter; but it holds a thread, and does not end with a context. etcd that is farther away than this is slower anyway.
const patienceInC = 3

// inC bounds how many goroutines wait so at once: the others wait without a thread from the beginning.
var inC = make(chan struct{}, 16)

// soon waits a moment for the lock. It says whether the guard still waits then; if it has ended, the error says why.
func (g *Guard) soon() (waits bool, err error) {
	select {
	case inC <- struct{}{}:
		defer func() { <-inC }()
	default:
		return true, nil
	}
	err = g.wait(patienceInC)
	if !errors.Is(err, ErrTimeout) {
		return false, err
	}
	if g.State() != StateEnded {
		return true, nil
	}
	return false, g.wait(C.LOCKER_NO_WAIT) // it has ended meanwhile
}

// wait waits in C until the lock is held, so long. ErrTimeout leaves it in the queue, if it has not ended.
func (g *Guard) wait(limit C.int64_t) error {
	return try(func(e *C.locker_error) C.locker_code { return C.locker_wait(g.handle, limit, e) })
}
