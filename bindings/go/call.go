package locker

// #include <stdlib.h>
// #include "locker.h"
import "C"

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

// How many calls of one client may wait for etcd at once, and how many that end a handle beside them: nobody is to hold a
// lock longer because others read. Each holds a thread meanwhile. A request to etcd carries no more than about this many, so
// that more would not make it faster.
const maxCalls = 60

// slots has a place for each call that may wait for etcd now.
type slots chan struct{}

func newSlots() slots { return make(slots, maxCalls) }

// call is what a call that waits for etcd is called in an error: what it does, and to what.
type call struct {
	verb    string
	objects []string
}

func calling(verb string, objects ...string) call { return call{verb, objects} }

func (c call) String() string {
	text := c.verb
	for i, object := range c.objects {
		if i > 0 {
			text += " and"
		}
		text += " " + strconv.Quote(object)
	}
	return text
}

// waiting is a call to C that waits until etcd has answered, at most limit milliseconds (0: the client's timeout).
type waiting func(limit C.int64_t) error

// run makes a call that waits, for the time that is left; 0: as long as is usual. When that or ctx ends first it returns,
// and the call goes on behind; should it succeed then, undo is run.
func run(ctx context.Context, what call, left time.Duration, f waiting, undo func()) error {
	if left == 0 && ctx.Done() == nil {
		return f(0) // nothing could end it but C
	}
	var late <-chan time.Time
	if left > 0 {
		late = time.After(left)
	}
	done, gone := make(chan error), make(chan struct{})
	go func() {
		err := f(millis(left))
		select {
		case done <- err:
		case <-gone:
			if err == nil {
				undo()
			}
		}
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		close(gone)
		return interrupted(ctx, what)
	case <-late:
		close(gone)
		return &Error{Code: ErrUnavailable, Message: what.String() + ": etcd has not answered in time"}
	}
}

// wait is run for the calls of which there may be many.
func (c *Client) wait(ctx context.Context, what call, f waiting, undo func()) error {
	if ctx.Err() != nil {
		return interrupted(ctx, what)
	}
	if c == nil || c.calls == nil {
		return f(0) // never connected: C says so
	}
	return c.calls.run(ctx, what, c.timeout, f, undo, func() {})
}

// end is wait for what ends a handle. Whatever keeps it from waiting, the handle is ended. full is run if
// it cannot be at once.
func (c *Client) end(ctx context.Context, what call, f waiting, full func()) error {
	err := c.ends.run(ctx, what, c.timeout, f, func() {}, full)
	if err != nil {
		_ = f(C.LOCKER_NO_WAIT) // without effect on a handle that is ended
	}
	return err
}

// run is the function run in one of the slots, all in all for no longer than timeout. If none is free at once, full comes
// first.
func (s slots) run(ctx context.Context, what call, timeout time.Duration, f waiting, undo, full func()) error {
	if ctx.Err() != nil {
		return interrupted(ctx, what)
	}
	inPlace := func(limit C.int64_t) error {
		defer func() { <-s }()
		return f(limit)
	}
	select {
	case s <- struct{}{}:
		return run(ctx, what, 0, inPlace, undo) // C keeps the time, and says best what took it
	default:
		full()
	}
	by := time.Now().Add(timeout)
	select {
	case s <- struct{}{}:
		return run(ctx, what, max(time.Until(by), time.Millisecond), inPlace, undo)
	case <-ctx.Done():
		return interrupted(ctx, what)
	case <-time.After(timeout):
		return &Error{Code: ErrUnavailable, Message: what.String() + ": etcd does not answer the calls before this one"}
	}
}

// gate bounds how many goroutines enter or leave a queue at once. What they do in C takes microseconds, but on a busy
// machine Go starts a thread for every one of them that takes longer, and thousands may come together.
var gate = make(chan struct{}, 2)

// try makes a call to C and returns its error.
func try(f func(e *C.locker_error) C.locker_code) error {
	var e C.locker_error
	if f(&e) == C.LOCKER_OK {
		return nil
	}
	return toError(&e)
}

// arguments turns Go values into C's and remembers the first that cannot be.
type arguments struct {
	copies []unsafe.Pointer // in C's memory
	err    error
}

// text is a C copy of s that lives until the call. A NUL would cut it short there.
func (a *arguments) text(argument, s string) *C.char {
	if a.err == nil && strings.ContainsRune(s, 0) {
		a.err = invalid("%s contains a NUL", argument)
	}
	copied := C.CString(s)
	a.copies = append(a.copies, unsafe.Pointer(copied))
	return copied
}

// texts is a C array of text for each, that lives until the call. It is C's memory: Go's may not be given to C while it
// points to what is not C's or pinned.
func (a *arguments) texts(argument string, all []string) **C.char {
	array := C.malloc(C.size_t(len(all)+1) * C.size_t(unsafe.Sizeof((*C.char)(nil)))) // never of no bytes
	a.copies = append(a.copies, array)
	to := unsafe.Slice((**C.char)(array), len(all))
	for i, s := range all {
		to[i] = a.text(fmt.Sprintf("%s[%d]", argument, i), s)
	}
	return (**C.char)(array)
}

// optional is text for what may not be given.
func (a *arguments) optional(argument string, s *string) *C.char {
	if s == nil {
		return nil
	}
	return a.text(argument, *s)
}

// millis is d rounded up to milliseconds.
func millis(d time.Duration) C.int64_t {
	return C.int64_t(math.Ceil(float64(d) / float64(time.Millisecond)))
}

// millis is d for C, which cannot be negative.
func (a *arguments) millis(argument string, d time.Duration) C.int64_t {
	if a.err == nil && d < 0 {
		a.err = invalid("%s is negative: %v", argument, d)
	}
	return millis(d)
}

// call makes a call to C that takes these arguments, and frees them.
func (a *arguments) call(f func(e *C.locker_error) C.locker_code) error {
	defer a.free()
	if a.err != nil {
		return a.err
	}
	return try(f)
}

func (a *arguments) free() {
	for _, copied := range a.copies {
		C.free(copied)
	}
}
