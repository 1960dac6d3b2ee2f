package locker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// How long an event may take that is bound to come. No test waits this long unless it fails.
const patience = 20 * time.Second

var endpoints = os.Getenv("LOCKER_ENDPOINTS")

// TestMain wants an etcd, and that the tests leave no handle and no goroutine behind.
func TestMain(m *testing.M) {
	if endpoints == "" {
		fmt.Fprintln(os.Stderr, "LOCKER_ENDPOINTS is not set: run this under `locker dev --`")
		os.Exit(1)
	}
	if os.Getenv(crowdVariable) != "" {
		c, err := runCrowd()
		if err = errors.Join(err, json.NewEncoder(os.Stdout).Encode(c)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if way := os.Getenv(exitVariable); way != "" {
		if err := endHolding(way); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR2) // has os/signal start its goroutine, which never ends
	before := runtime.NumGoroutine()
	code := m.Run()
	if code == 0 && !eventually(func() bool { return LiveHandles() == 0 && runtime.NumGoroutine() <= before }) {
		stacks := make([]byte, 1<<20)
		fmt.Fprintf(os.Stderr, "left behind: %d handles, %d goroutines\n%s\n",
			LiveHandles(), runtime.NumGoroutine()-before, stacks[:runtime.Stack(stacks, true)])
		code = 1
	}
	os.Exit(code)
}

// eventually asks until it is true, for what gives no sign when it comes.
func eventually(is func() bool) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if is() {
			return true
		}
	}
	return false
}

// within is a context for calls that end long before it unless the test fails.
func within(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

var prefixes atomic.Int64

// ownPrefix is used by no other test, also not by the same one run twice at once.
func ownPrefix() string { return fmt.Sprintf("/t/%d-%d/", os.Getpid(), prefixes.Add(1)) }

// connect has as much patience with etcd as the tests: a thousand calls at once may take it a while on a busy machine.
func connect(t *testing.T, prefix string, options ...Option) *Client {
	t.Helper()
	options = append([]Option{Prefix(prefix), Timeout(patience)}, options...)
	c, err := Connect(within(t, patience), endpoints, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Disconnect(context.Background()) }) // a test may have done it
	return c
}

func lock(t *testing.T, c *Client, name string, options ...LockOption) *Guard {
	t.Helper()
	g, err := c.Lock(within(t, patience), name, options...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func unlock(t *testing.T, g *Guard) {
	t.Helper()
	if err := g.Unlock(within(t, patience)); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, c *Client, name string) Info {
	t.Helper()
	info, err := c.Get(within(t, patience), name)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// come waits for an event.
func come[T any](t *testing.T, event <-chan T) T {
	t.Helper()
	select {
	case v := <-event:
		return v
	case <-time.After(patience):
		t.Fatal("an event did not come")
		panic("unreachable")
	}
}

// processThreads is what the kernel says: every thread of the process, whoever made it.
func processThreads() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return -1
	}
	_, rest, _ := strings.Cut(string(status), "\nThreads:")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return -1
	}
	return n
}

// countKeys is how many keys start with prefix, as etcd itself says.
func countKeys(prefix string) (int, error) {
	out, err := etcdctl("get", "--prefix", "--keys-only", prefix)
	return strings.Count(string(out), prefix), err
}

func etcdctl(arguments ...string) ([]byte, error) {
	cmd := exec.Command("etcdctl", arguments...)
	cmd.Env = append(os.Environ(), "ETCDCTL_API=3", "ETCDCTL_ENDPOINTS="+endpoints)
	return cmd.CombinedOutput()
}

// removeKeys takes the lock from whoever holds it, behind locker's back.
func removeKeys(t *testing.T, prefix string) {
	t.Helper()
	if out, err := etcdctl("del", "--prefix", prefix); err != nil {
		t.Fatalf("etcdctl: %v\n%s", err, out)
	}
}
