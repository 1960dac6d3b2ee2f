package locker

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// exitVariable has the test program end in one of the ways below, instead of running tests.
const exitVariable = "LOCKER_TEST_EXIT"

// exits are ways to end that disconnect nothing.
var exits = map[string]func(ctx context.Context, c *Client){
	"return":           func(context.Context, *Client) {},
	"os.Exit":          func(context.Context, *Client) { os.Exit(0) },
	"goroutine waits":  func(ctx context.Context, c *Client) { go func() { _, _ = c.Lock(ctx, "held") }() },
	"goroutine works":  func(ctx context.Context, c *Client) { go func() { work(ctx, c) }() },
	"watcher is told":  func(ctx context.Context, c *Client) { go work(ctx, c); _, _ = c.Watch(ctx, "free") },
	"client and guard": func(_ context.Context, c *Client) { _ = c.Disconnect(context.Background()) },
}

func work(ctx context.Context, c *Client) {
	for {
		if g, err := c.Lock(ctx, "free"); err == nil {
			_ = g.Unlock(ctx)
		}
	}
}

// endHolding is the program that ends: it says when it begins to.
func endHolding(way string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := Connect(ctx, endpoints, Prefix(ownPrefix()))
	if err != nil {
		return err
	}
	if _, err = c.Lock(ctx, "held"); err != nil {
		return err
	}
	if err = binary.Write(os.Stdout, binary.LittleEndian, time.Now().UnixNano()); err == nil {
		exits[way](ctx, c)
	}
	return err
}

func TestProgramsEndInTime(t *testing.T) {
	r := newRow(t, 4, "exits of Go without disconnecting", 100)
	var slowest time.Duration
	ran, late := 0, 0
	for ran < r.trials {
		for way := range exits {
			took := timeExit(t, way)
			slowest = max(slowest, took)
			if took > 200*time.Millisecond {
				late++
			}
			ran++
		}
	}
	r.trials = ran
	if late > ran/10 { // a busy machine may stop one for a while
		t.Errorf("%d of %d took more than 200 ms", late, ran)
	}
	r.figure = fmt.Sprintf("exit code 0, slowest %d ms, %d over 200 ms", slowest.Milliseconds(), late)
}

// timeExit is how long a program takes to end.
func timeExit(t *testing.T, way string) time.Duration {
	cmd := exec.Command(os.Args[0])
	// The race detector sleeps a second before a program ends.
	cmd.Env = append(os.Environ(), exitVariable+"="+way, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var began int64
	unsaid := binary.Read(said, binary.LittleEndian, &began)
	if err := cmd.Wait(); err != nil || unsaid != nil {
		t.Fatalf("%s: %v, %v", way, err, unsaid)
	}
	return time.Since(time.Unix(0, began))
}

func TestCancelledLocksReturnSoonAndLeaveTheQueue(t *testing.T) {
	r := newRow(t, 30, "cancelled contexts of Lock, Go", 100)
	prefix := ownPrefix()
	holder, waiter := connect(t, prefix), connect(t, prefix)
	g := lock(t, holder, "x")
	var returned, gone time.Duration
	for range r.trials {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { _, err := waiter.Lock(ctx, "x"); done <- err }()
		if !eventually(func() bool { return get(t, holder, "x").Waiters == 1 }) {
			t.Fatal("it does not wait")
		}
		began := time.Now()
		cancel()
		if err := come(t, done); err == nil {
			t.Fatal("cancelled, but held")
		}
		returned = max(returned, time.Since(began))
		if !eventually(func() bool { return get(t, holder, "x").Waiters == 0 }) {
			t.Fatal("it stays in the queue")
		}
		gone = max(gone, time.Since(began))
	}
	unlock(t, g)
	r.figure = fmt.Sprintf("returns within %d ms, key gone within %d ms", returned.Milliseconds(), gone.Milliseconds())
}
