package locker

// #include "locker.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Code says what kind of failure an [Error] is, named for what the caller can do about it. A Code is itself an error:
// errors.Is(err, locker.ErrLost) works on everything this package returns.
type Code int32

const (
	// ErrTimeout: the wait ended first. Nothing is held; [Error].Holder says who holds the lock.
	ErrTimeout Code = C.LOCKER_TIMEOUT
	// ErrCancelled: the guard was unlocked, its client ended (disconnected, or since etcd's history went back), or the
	// context cancelled.
	ErrCancelled Code = C.LOCKER_CANCELLED
	// ErrLost: the lock was held and is no longer.
	ErrLost Code = C.LOCKER_LOST
	// ErrUnavailable: etcd cannot be reached or has no leader. Trying again may help.
	ErrUnavailable Code = C.LOCKER_UNAVAILABLE
	// ErrDenied: etcd refused, because of wrong credentials or for want of a permission.
	ErrDenied Code = C.LOCKER_DENIED
	// ErrInvalid: an argument is wrong; the message says which.
	ErrInvalid Code = C.LOCKER_INVALID
	// ErrBadHandle: the client, guard or watcher was ended before, or was not made by this package.
	ErrBadHandle Code = C.LOCKER_BAD_HANDLE
	// ErrInternal: a bug in locker.
	ErrInternal Code = C.LOCKER_INTERNAL
)

// Loss says how a lock was lost: the Detail of an [Error] that is ErrLost.
type Loss int

const (
	// LossExpired: the lease was not renewed in time, by this process's own clock: etcd was out of reach, or the process
	// or its machine stood still.
	LossExpired Loss = C.LOCKER_LOSS_EXPIRED
	// LossLeaseGone: etcd said that the lease is gone: revoked by hand, or ended by an etcd that lacks the fixes.
	LossLeaseGone Loss = C.LOCKER_LOSS_LEASE_GONE
	// LossKeyDeleted: somebody deleted the key.
	LossKeyDeleted Loss = C.LOCKER_LOSS_KEY_DELETED
	// LossWentBack: etcd was wiped or restored from a backup. The client refuses all calls; connect another.
	LossWentBack Loss = C.LOCKER_LOSS_WENT_BACK
)

func (l Loss) String() string {
	switch l {
	case LossLeaseGone:
		return "lease gone"
	case LossKeyDeleted:
		return "key deleted"
	case LossWentBack:
		return "history went back"
	default: // as what is newer than this package is to be read
		return "expired"
	}
}

func (c Code) Error() string { return "locker: " + C.GoString(C.locker_code_name(C.int32_t(c))) }

// Error is what this package returns when it fails.
type Error struct {
	// Code is what to decide on; usually by errors.Is.
	Code Code
	// Detail of ErrLost is a [Loss]; else the gRPC status when etcd or the transport to it gave one; else 0.
	Detail int
	// Message is one line for people.
	Message string
	// Holder says who holds the lock, when that is why the call failed and it is known; else nil.
	Holder *Info

	causes []error
}

func (e *Error) Error() string { return "locker: " + e.Message }

// Is reports whether target is the error's code.
func (e *Error) Is(target error) bool { return target == e.Code }

// Unwrap returns the context's error and its cause when a context ended the call.
func (e *Error) Unwrap() []error { return e.causes }

func invalid(format string, a ...any) *Error {
	return &Error{Code: ErrInvalid, Message: fmt.Sprintf(format, a...)}
}

// interrupted is the error of what ctx has ended.
func interrupted(ctx context.Context, what call) *Error {
	code := ErrCancelled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		code = ErrTimeout
	}
	cause := context.Cause(ctx)
	return &Error{Code: code, Message: what.String() + ": " + cause.Error(), causes: []error{ctx.Err(), cause}}
}

// unheard is interrupted for who asks only whether a lock is free, or had no place in its queue yet: after a deadline nobody
// knows whether it is busy.
func unheard(ctx context.Context, what call) *Error {
	why := interrupted(ctx, what)
	if why.Code == ErrTimeout {
		why.Code = ErrUnavailable
		why.Message = what.String() + ": not heard from etcd: " + context.Cause(ctx).Error()
	}
	return why
}

// addDeadline puts ctx's deadline among the causes of an error of C's, if that is why its wait ended.
func (e *Error) addDeadline(ctx context.Context) {
	deadline, limited := ctx.Deadline()
	if !limited || time.Now().Before(deadline) || e.causes != nil || e.Code != ErrTimeout && e.Code != ErrUnavailable {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(verdict): // it need not do what it says
	}
	e.causes = []error{context.DeadlineExceeded}
	if cause := context.Cause(ctx); cause != nil {
		e.causes = append(e.causes, cause)
	}
}

// toError copies an error of C's.
func toError(e *C.locker_error) error {
	if e == nil {
		return nil
	}
	return &Error{Code: Code(e.code), Detail: int(e.detail), Message: C.GoString(&e.message[0])}
}
