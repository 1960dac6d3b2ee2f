//go:build locker_tree && locker_static

package locker

// The libraries are those that `cargo rustc -p locker-sys --crate-type staticlib -- --print native-static-libs` tells.

// #cgo CFLAGS: -I${SRCDIR}/../../include
// #cgo LDFLAGS: ${SRCDIR}/../../target/debug/liblocker.a -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
import "C"
