package locker

// #include "locker.h"
import "C"

import (
	"context"
	"log/slog"
)

// levels are slog's for C's.
var levels = map[C.int32_t]slog.Level{1: slog.LevelError, 2: slog.LevelWarn, 3: slog.LevelInfo, 4: slog.LevelDebug}

// SetLogger has logger tell what happens inside of the package, in place of the logger that was set before: at
// [slog.LevelWarn] what an operator should know, such as locks that are at risk or all lost, or an etcd with known faults;
// at [slog.LevelDebug] how requests to etcd fail and leases come and go; [slog.LevelError] would be a bug. nil tells
// nothing, which is the default. It is one for the process.
//
// What logger is not enabled for when SetLogger is called is not made, and not told later either: call it again once the
// level has been lowered. The handler runs in one goroutine of its own, one line at a time, and may take its time and use
// this package; while it is slow lines are dropped, and their number is told. SetLogger waits for nothing: a line that is
// on its way to the logger before may still come there, and those on their way when the program ends do not come.
func SetLogger(logger *slog.Logger) {
	if logger == nil {
		setLog(0, nil)
		return
	}
	s := &sink{logger: logger, lines: make(chan line)}
	go s.write()
	setLog(mostDetailed(logger), s)
}

// mostDetailed is the greatest of C's levels that logger wants to hear of; 0 if it wants none.
func mostDetailed(logger *slog.Logger) C.int32_t {
	for level := C.int32_t(len(levels)); level > 0; level-- {
		if logger.Enabled(context.Background(), levels[level]) {
			return level
		}
	}
	return 0
}

// sink is where lines of the log go. They are written by a goroutine and not by the thread that brings them, from where
// much of this package could not be used.
type sink struct {
	logger *slog.Logger
	lines  chan line
}

type line struct {
	level slog.Level
	text  string
}

func (s *sink) write() {
	for l := range s.lines {
		s.logger.Log(context.Background(), l.level, l.text)
	}
}

// tell is called by C with each line. It waits until the line before is written: what comes meanwhile waits in C, or is
// dropped there.
func (s *sink) tell(level C.int32_t, text string) {
	l, known := levels[level]
	if !known {
		l = slog.LevelDebug
	}
	s.lines <- line{l, text}
}

// forgotten is called by C after the last line.
func (s *sink) forgotten() { close(s.lines) }
