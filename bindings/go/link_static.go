//go:build locker_static && !locker_tree

package locker

// What --static adds are the libraries that liblocker.a needs; by itself it would still take the shared library where both
// are installed. The archive comes before it and has all that is looked for, so that it is not needed.

// #cgo pkg-config: --static locker
// #cgo LDFLAGS: -Wl,--as-needed -Wl,-Bstatic -llocker -Wl,-Bdynamic
import "C"
