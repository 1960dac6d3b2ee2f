//go:build !locker_tree && !locker_static

package locker

// #cgo pkg-config: locker
import "C"
