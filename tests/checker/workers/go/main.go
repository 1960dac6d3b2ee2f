// The worker in Go: waits end with their context, losses come by a channel.
package main

/*
#include "../record.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"example.org/locker"
)

type hold C.struct_record

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func number(name string) int {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		log.Fatal(name, ": ", err)
	}
	return n
}

func run(ctx context.Context) error {
	ttl := time.Duration(number("CHECK_TTL")) * time.Millisecond
	client, err := locker.Connect(ctx, os.Getenv("LOCKER_ENDPOINTS"), locker.Prefix("/check/"), locker.TTL(ttl))
	if err != nil {
		return err
	}
	locks := C.uint32_t(number("CHECK_LOCKS"))
	hold{token: C.uint64_t(ttl.Milliseconds())}.tell(C.START)
	for seq := C.uint32_t(1); ctx.Err() == nil; seq++ {
		hold{lock: 1 + C.dice(locks), seq: seq}.once(client)
	}
	_ = client.Disconnect(context.Background()) // without etcd, the locks end with their lease
	hold{}.tell(C.DONE)
	return nil
}

// tell records an event of the hold, of now if at does not say when.
func (h hold) tell(kind C.enum_kind) {
	if h.at == 0 {
		h.at = C.now_ns()
	}
	h.lang, h.kind = C.GO, C.uint8_t(kind)
	C.append(C.struct_record(h))
}

// code is the C library's for an error of its Go binding.
func code(err error) C.uint64_t {
	if e := (*locker.Error)(nil); errors.As(err, &e) {
		return C.uint64_t(e.Code)
	}
	return 0
}

func (h hold) once(client *locker.Client) {
	patience := C.patience_ms()
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(patience)*time.Millisecond)
	defer cancel()
	acquire := client.Lock
	if patience == 0 {
		ctx, acquire = context.Background(), client.TryLock
	}
	asked := h
	asked.deadline = C.now_ns() + C.uint64_t(patience)*1e6
	asked.tell(C.ACQ_CALL)
	guard, err := acquire(ctx, fmt.Sprintf("L%d", h.lock))
	if err != nil {
		h.revision = code(err)
		h.tell(C.ACQ_FAIL)
		return
	}
	had := h
	had.at = C.now_ns()
	had.token = C.uint64_t(guard.Token())
	had.deadline = had.at + C.uint64_t(guard.Remaining())
	had.tell(C.ACQ_RET)
	h.token = had.token
	if h.token != 0 {
		h.work(guard)
	}
	h.tell(C.REL_CALL)
	h.revision = code(guard.Unlock(context.Background()))
	h.tell(C.REL_RET)
}

// work is done under the lock, and at the end also on what the lock no longer protects: to be refused.
func (h hold) work(guard *locker.Guard) {
	naked := C.read_naked(h.lock)
	h.stay(guard, time.After(time.Duration(C.work_ms())*time.Millisecond))
	h.lang = C.GO
	C.write_fenced(C.struct_record(h))
	if C.dice(8) == 0 {
		C.write_guarded(C.struct_record(h))
	}
	C.write_naked(C.struct_record(h), naked+1)
}

// stay asks again and again whether the lock is held, until the work is done or it is told that the lock is lost.
func (h hold) stay(guard *locker.Guard, done <-chan time.Time) {
	for tick := time.Tick(5 * time.Millisecond); ; {
		r := h
		r.at = C.now_ns()
		if guard.Held() {
			r.deadline = r.at + C.uint64_t(guard.Remaining())
			r.tell(C.HELD_TRUE)
		}
		select {
		case <-guard.Lost():
			h.tell(C.LOST)
			return
		case <-done:
			return
		case <-tick:
		}
	}
}
