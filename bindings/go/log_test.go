package locker

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// notes is a slog.Handler that keeps what it is told, and does with it what `then` does.
type notes struct {
	least slog.Leveler
	then  func(slog.Record)

	mu    sync.Mutex
	lines []slog.Record
}

func (n *notes) Enabled(_ context.Context, level slog.Level) bool { return level >= n.least.Level() }
func (n *notes) WithAttrs([]slog.Attr) slog.Handler               { return n }
func (n *notes) WithGroup(string) slog.Handler                    { return n }
func (n *notes) Handle(_ context.Context, r slog.Record) error {
	n.mu.Lock()
	n.lines = append(n.lines, r)
	n.mu.Unlock()
	if n.then != nil {
		n.then(r)
	}
	return nil
}

// count is how many lines of that level have the text.
func (n *notes) count(level slog.Level, text string) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.lines {
		if r.Level == level && strings.Contains(r.Message, text) {
			count++
		}
	}
	return count
}

func (n *notes) total() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.lines)
}

func setLogger(t *testing.T, n *notes) {
	SetLogger(slog.New(n))
	t.Cleanup(func() { SetLogger(nil) })
}

func TestTheLogIsTold(t *testing.T) {
	all := &notes{least: slog.LevelDebug}
	setLogger(t, all)
	c := connect(t, ownPrefix())
	unlock(t, lock(t, c, "x"))
	if !eventually(func() bool { return all.count(slog.LevelDebug, "lease granted lease=") > 0 }) {
		t.Error("no word of the lease")
	}
	next := &notes{least: slog.LevelDebug}
	setLogger(t, next)
	before := next.total()
	unlock(t, lock(t, connect(t, ownPrefix()), "x"))
	if !eventually(func() bool { return next.count(slog.LevelDebug, "lease granted lease=") > before }) {
		t.Fatal("the second logger hears nothing")
	}
	next.mu.Lock()
	defer next.mu.Unlock()
	for _, r := range next.lines {
		if strings.Contains(r.Message, "lease granted") && all.count(slog.LevelDebug, r.Message) > 0 {
			t.Error("told to a logger that was replaced:", r.Message)
		}
	}
}

// Warnings come at their level, and what is below the logger's level does not come, nor is it made.
func TestTheLogHasLevels(t *testing.T) {
	level := new(slog.LevelVar)
	level.Set(slog.LevelWarn)
	warnings := &notes{least: level}
	setLogger(t, warnings)
	way := newDetour(t)
	c, err := Connect(within(t, patience), "http://"+way.Addr().String(), Prefix(ownPrefix()), TTL(2*time.Second), Timeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	g := lock(t, c, "x")
	way.Cut()
	come(t, g.Lost())
	if !eventually(func() bool { return warnings.count(slog.LevelWarn, "locks are at risk") > 0 }) {
		t.Error("no word of the risk")
	}
	if total := warnings.total(); total != warnings.count(slog.LevelWarn, "") {
		t.Errorf("%d lines, not all of them warnings", total)
	}
	_ = c.Disconnect(t.Context()) // fails, in time

	level.Set(slog.LevelError + 1)
	silent := &notes{least: level}
	setLogger(t, silent) // wants nothing at all
	unlock(t, lock(t, connect(t, ownPrefix()), "x"))
	if silent.total() != 0 {
		t.Errorf("%+v", silent.lines)
	}
}

// A handler may use the package, wait, and set another logger.
func TestAHandlerMayDoWhatItLikes(t *testing.T) {
	prefix := ownPrefix()
	other := connect(t, prefix)
	did := make(chan error, 1)
	var once sync.Once
	n := &notes{least: slog.LevelDebug, then: func(slog.Record) {
		once.Do(func() {
			g, err := other.Lock(context.Background(), "x")
			if err == nil {
				err = g.Unlock(context.Background())
			}
			SetLogger(nil)
			did <- err
		})
	}}
	setLogger(t, n)
	unlock(t, lock(t, connect(t, prefix), "y"))
	if err := come(t, did); err != nil {
		t.Error(err)
	}
}

// While a handler is slow, locks are not.
func TestASlowHandlerKeepsNobody(t *testing.T) {
	goOn := make(chan struct{})
	stuck := make(chan struct{})
	var once sync.Once
	n := &notes{least: slog.LevelDebug, then: func(slog.Record) {
		once.Do(func() { close(stuck) })
		<-goOn
	}}
	setLogger(t, n)
	c := connect(t, ownPrefix())
	come(t, stuck)
	for range 20 {
		unlock(t, lock(t, c, "x"))
	}
	if err := c.Disconnect(within(t, patience)); err != nil {
		t.Error(err)
	}
	close(goOn)
}
