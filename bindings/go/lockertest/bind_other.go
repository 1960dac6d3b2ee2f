//go:build unix && !linux

package lockertest

import "os/exec"

// bind does nothing where there is no such thing: an etcd outlives a test program that is killed.
func bind(*exec.Cmd) {}
