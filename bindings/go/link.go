//go:build !locker_tree

package locker

// #cgo pkg-config: locker
import "C"
