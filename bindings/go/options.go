//go:build cgo

package locker

import "time"

// Option changes one thing about a [Client].
type Option func(*connectOptions)

type connectOptions struct {
	prefix, username, password, caFile, certFile, keyFile *string
	ttl, timeout                                          time.Duration
}

// Prefix is put before every key. Default: "/locker/". It may be empty, which is how to share a name with
// `etcdctl lock NAME`.
func Prefix(prefix string) Option { return func(o *connectOptions) { o.prefix = &prefix } }

// TTL is how long a dead process keeps its locks: at least 2 seconds, rounded up to seconds. Zero means the default,
// 10 seconds.
func TTL(ttl time.Duration) Option { return func(o *connectOptions) { o.ttl = ttl } }

// Timeout is the limit of all that waits for etcd, not for another holder. Zero means the default, 5 seconds.
func Timeout(timeout time.Duration) Option { return func(o *connectOptions) { o.timeout = timeout } }

// User is the name and password of an etcd user. Default: none.
func User(name, password string) Option {
	return func(o *connectOptions) { o.username, o.password = &name, &password }
}

// CAFile is a PEM file with the certificate authorities to trust with https endpoints, in place of the system's.
func CAFile(path string) Option { return func(o *connectOptions) { o.caFile = &path } }

// CertFile is a PEM file with the client's certificate chain; [KeyFile] goes with it. Default: none.
func CertFile(path string) Option { return func(o *connectOptions) { o.certFile = &path } }

// KeyFile is a PEM file with the key of the certificate in [CertFile]. Default: none.
func KeyFile(path string) Option { return func(o *connectOptions) { o.keyFile = &path } }

// LockOption changes one thing about one acquisition.
type LockOption func(*lockOptions)

type lockOptions struct {
	value, reason *string
	shared        bool
	limit         *uint32 // in place of shared
}

// Value is what others read with [Client.Get]: at most 1023 bytes. Default: "<host>:<pid>".
func Value(value string) LockOption { return func(o *lockOptions) { o.value = &value } }

// Reason is why the lock is wanted, shown to those who find it busy: at most 255 bytes.
func Reason(reason string) LockOption { return func(o *lockOptions) { o.reason = &reason } }

// Shared has the lock held together with all others who ask for it so: the read side of a read-write lock. Who wants it alone
// waits until none of them is left, and those who come later wait behind him: first come, first served.
//
// It takes the place of a [Limit] that was said before. Only of one lock, not of several.
func Shared() LockOption { return func(o *lockOptions) { o.shared, o.limit = true, nil } }

// Limit has the lock held together with others, as long as they are no more than n: a counting semaphore. All that want a lock
// at the same time must say the same limit, or the later one fails with [ErrInvalid] and both numbers; so do Shared and a
// limit of the same lock. (Whoever changes the limit waits for the last [Guard.Unlock] with the old one to be confirmed.)
// A holder that dies frees its permit with its lease.
//
// Who wants it alone waits until none of them is left. Tokens rise from one who holds it alone to those who share it after
// him, and on to the next who has it alone; among those who hold it together they say nothing.
//
// It takes the place of a [Shared] that was said before. Only of one lock, not of several.
func Limit(n uint32) LockOption { return func(o *lockOptions) { o.shared, o.limit = false, &n } }
