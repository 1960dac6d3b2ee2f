//go:build unix

package lockertest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// The names of the directory and of the file that says whether its owner lives are those of `locker dev`: each removes what
// the other has left.
const (
	scratchPrefix = "locker-dev-"
	lockFile      = "lock"
)

// scratch is a temporary directory that is removed even when its owner could not: when somebody makes the next one.
type scratch struct {
	path  string
	alive *os.File // locked for as long as the owner lives, whatever ends it
}

func newScratch() (*scratch, error) {
	sweep(os.TempDir())
	for {
		path, err := os.MkdirTemp("", scratchPrefix)
		if err != nil {
			return nil, err
		}
		alive, err := os.Create(filepath.Join(path, lockFile))
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(path))
		}
		// Another's sweep may have come between these lines; then the directory is its prey, or was.
		if locked(alive) {
			if _, err := os.Stat(alive.Name()); err == nil {
				return &scratch{path, alive}, nil
			}
		}
		alive.Close()
	}
}

// remove may come too late, or be called again. What it cannot remove the next sweep does.
func (s *scratch) remove() {
	_ = os.RemoveAll(s.path)
	_ = s.alive.Close()
}

// sweep removes the directories of ours whose owners are dead.
func sweep(parent string) {
	entries, _ := os.ReadDir(parent)
	for _, entry := range entries {
		if !isOurs(entry) {
			continue
		}
		path := filepath.Join(parent, entry.Name())
		alive, err := os.Open(filepath.Join(path, lockFile))
		if err != nil {
			continue
		}
		if locked(alive) {
			_ = os.RemoveAll(path) // if it fails, somebody else removes it just now, or the next one will
		}
		alive.Close()
	}
}

func isOurs(entry fs.DirEntry) bool {
	if !entry.IsDir() || !strings.HasPrefix(entry.Name(), scratchPrefix) {
		return false
	}
	info, err := entry.Info()
	if err != nil {
		return false
	}
	stat, is := info.Sys().(*syscall.Stat_t)
	return is && int(stat.Uid) == os.Geteuid()
}

// locked locks a file if nobody else has.
func locked(file *os.File) bool {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
