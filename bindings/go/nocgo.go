//go:build !cgo

package locker

var _ int = "locker binds a C library: build it with CGO_ENABLED=1 and a C compiler, or use go.etcd.io/etcd/client/v3/concurrency"
