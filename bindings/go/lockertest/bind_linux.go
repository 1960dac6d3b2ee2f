package lockertest

import (
	"os/exec"
	"syscall"
)

// bind has a program killed when the thread ends that starts it, and so with its process, whatever ends that.
func bind(command *exec.Cmd) { command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
