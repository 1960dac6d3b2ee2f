package locker

// #include "locker.h"
import "C"

import (
	"fmt"
	"strconv"
	"time"
)

// Info says who holds a lock. Texts are empty when not known.
type Info struct {
	// Name is the lock's.
	Name string
	// Token is the holder's fencing token; 0 when nobody holds the lock.
	Token int64
	// Mode is how it is held.
	Mode Mode
	// Value is what the holder published; of a foreign holder, the value of its key.
	Value string
	// Reason is why it is held, if the holder said so.
	Reason string
	// Host is the machine of the holder.
	Host string
	// PID is the holder's process on Host; 0 when not known.
	PID int
	// Program is the program of the holder.
	Program string
	// Since is when the holder asked for the lock, by its own clock; the zero time when not known.
	Since time.Time
	// Holders is how many hold the lock: more than one only if it is shared. All else here is of the one who has held it for
	// the longest time; in what [Guard.Info] says of a guard that holds it is of this guard, and 1.
	Holders int
	// Limit is how many may hold it at the same time, if it is shared with a [Limit]; else 0.
	Limit uint32
	// Waiters is how many wait behind those who hold it: clients, of which one may want it many times.
	Waiters int
	// LeaseLeft is how long the holder's lease lasts if it is not kept alive from now on; negative when not known. It is
	// not told by this release: always negative.
	LeaseLeft time.Duration
	// Revision is that of etcd at which it was so; 0 when not known. It rises with every write to etcd, of whatever key: what
	// says the same of a lock need not be ==.
	Revision int64
}

// Held reports whether somebody holds the lock.
func (i Info) Held() bool { return i.Token != 0 }

// who describes the holder in an error.
func (i Info) who() string {
	if i.Host == "" {
		return strconv.Quote(i.Value)
	}
	return fmt.Sprintf("%s pid %d (%s)", i.Host, i.PID, i.Program)
}

// Mode is how a lock is held.
type Mode int32

const (
	// ModeFree: nobody holds it.
	ModeFree Mode = C.LOCKER_FREE
	// ModeExclusive: one holder at a time.
	ModeExclusive Mode = C.LOCKER_EXCLUSIVE
	// ModeShared: by several at the same time, see [Shared] and [Limit].
	ModeShared Mode = C.LOCKER_SHARED
	// ModeForeign: by something that is not locker: etcdctl lock, Go's concurrency, a key written by hand.
	ModeForeign Mode = C.LOCKER_FOREIGN
)

func (m Mode) String() string {
	switch m {
	case ModeFree:
		return "free"
	case ModeShared:
		return "shared"
	case ModeForeign:
		return "foreign"
	default:
		return "exclusive"
	}
}

func toMode(m C.int32_t) Mode {
	switch mode := Mode(m); mode {
	case ModeFree, ModeShared, ModeForeign:
		return mode
	default: // what is newer than this package is read as the strictest mode
		return ModeExclusive
	}
}

func toInfo(i *C.locker_info) Info {
	info := Info{
		Name:      C.GoString(&i.name[0]),
		Token:     int64(i.token),
		Mode:      toMode(i.mode),
		Value:     C.GoString(&i.value[0]),
		Reason:    C.GoString(&i.reason[0]),
		Host:      C.GoString(&i.host[0]),
		PID:       int(i.pid),
		Program:   C.GoString(&i.program[0]),
		Holders:   int(i.holders),
		Limit:     uint32(i.limit),
		Waiters:   int(i.waiters),
		LeaseLeft: time.Duration(i.lease_left_ms) * time.Millisecond,
		Revision:  int64(i.revision),
	}
	if i.since_ms != 0 {
		info.Since = time.UnixMilli(int64(i.since_ms))
	}
	return info
}
