package locker

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A child gets none of the library's descriptors and no signals blocked, also when news of a lock starts it.
func TestChildrenInheritNothing(t *testing.T) {
	prefix := ownPrefix()
	c := connect(t, prefix)
	g := lock(t, c, "x")
	started := make(chan []byte, 2)
	start := func() {
		cmd := exec.Command("sh", "-c", "grep ^Sig /proc/self/status; ls -l /proc/self/fd")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Error(err)
		}
		started <- out
	}
	context.AfterFunc(g.Context(), start)
	start()
	removeKeys(t, prefix+"x/")
	for range 2 {
		out := string(come(t, started))
		for _, mask := range []string{"SigPnd", "SigBlk"} {
			if !strings.Contains(out, mask+":\t0000000000000000") {
				t.Errorf("%s is not empty:\n%s", mask, out)
			}
		}
		if strings.Contains(out, "socket:") || strings.Contains(out, "eventfd") || strings.Contains(out, "eventpoll") {
			t.Errorf("it has descriptors of ours:\n%s", out)
		}
	}
	_ = g.Unlock(t.Context()) // it was lost
}

// Signals go to Go, however many come, and to no thread of the library's.
func TestSignalsDoNotDisturb(t *testing.T) {
	caught := make(chan os.Signal, 1000)
	signal.Notify(caught, syscall.SIGUSR1)
	defer signal.Stop(caught)
	if err := pprof.StartCPUProfile(io.Discard); err != nil { // which is a signal every 10 ms
		t.Fatal(err)
	}
	defer pprof.StopCPUProfile()
	c := connect(t, ownPrefix())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var storm sync.WaitGroup
	storm.Go(func() {
		for ctx.Err() == nil {
			// SIGURG is what Go interrupts its own threads with.
			for _, s := range []syscall.Signal{syscall.SIGURG, syscall.SIGUSR1} {
				if err := syscall.Kill(os.Getpid(), s); err != nil {
					t.Error(err)
				}
			}
			runtime.Gosched()
		}
	})
	shared := c.Mutex("x")
	counter := 0
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				shared.Lock()
				counter++
				shared.Unlock()
			}
		})
	}
	all.Wait()
	stop()
	storm.Wait()
	if counter != 160 || len(caught) == 0 {
		t.Errorf("counted to %d, %d signals", counter, len(caught))
	}
}

// A goroutine that has a thread to itself, as those that draw or change namespaces do.
func TestAGoroutineWithAThreadOfItsOwn(t *testing.T) {
	prefix := ownPrefix()
	c, other := connect(t, prefix), connect(t, prefix)
	done := make(chan error, 1)
	held := lock(t, other, "x")
	go func() {
		runtime.LockOSThread() // and ends with its goroutine
		w, err := c.Watch(t.Context(), "x")
		if err == nil {
			_, err = w.Next(t.Context())
		}
		var g *Guard
		if err == nil {
			g, err = c.Lock(t.Context(), "x")
		}
		if err == nil {
			<-g.Context().Done() // in time it is unlocked elsewhere
			err = w.Unwatch()
		}
		done <- err
	}()
	if !eventually(func() bool { return get(t, other, "x").Waiters == 1 }) {
		t.Fatal("not in the queue")
	}
	unlock(t, held)
	if !eventually(func() bool { return get(t, other, "x").Held() }) {
		t.Fatal("nobody has it")
	}
	removeKeys(t, prefix+"x/")
	if err := come(t, done); err != nil {
		t.Error(err)
	}
}

// One processor for all goroutines: who waits for a lock leaves it to the others.
func TestOneProcessorIsEnough(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	prefix := ownPrefix()
	c, other := connect(t, prefix), connect(t, prefix)
	held := lock(t, other, "x")
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { unlock(t, lock(t, c, "x")) })
	}
	if !eventually(func() bool { return get(t, other, "x").Waiters == 1 }) {
		t.Error("nobody waits")
	}
	unlock(t, held)
	all.Wait()
}

// The library prints nothing, whatever happens: what is printed is the program's.
func TestNothingIsPrinted(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), exitVariable+"=goroutine works", "GORACE=atexit_sleep_ms=0")
	var said, complained bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &complained
	if err := cmd.Run(); err != nil || said.Len() != 8 || complained.Len() != 0 { // 8: the time, which the program says
		t.Errorf("%v, %d bytes, %q", err, said.Len(), complained.String())
	}
}
