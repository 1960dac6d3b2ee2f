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

type lockOptions struct{ value, reason *string }

// Value is what others read with [Client.Get]: at most 1023 bytes. Default: "<host>:<pid>".
func Value(value string) LockOption { return func(o *lockOptions) { o.value = &value } }

// Reason is why the lock is wanted, shown to those who find it busy: at most 255 bytes.
func Reason(reason string) LockOption { return func(o *lockOptions) { o.reason = &reason } }
