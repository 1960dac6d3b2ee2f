//go:build locker_tree && !locker_static

package locker

// The library is named as a file: in a directory that is named, go looks at every file below, and refuses some of cargo's.

// #cgo CFLAGS: -I${SRCDIR}/../../include
// #cgo LDFLAGS: ${SRCDIR}/../../target/debug/liblocker.so -Wl,-rpath,${SRCDIR}/../../target/debug
import "C"
