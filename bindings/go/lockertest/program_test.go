//go:build unix

package lockertest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program writes a script of the shell, and has it be the etcd to start.
func program(t *testing.T, script string) {
	path := filepath.Join(t.TempDir(), "etcd")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LOCKER_ETCD", path)
}

// wantFailure wants Start to fail soon, to say so, and to leave nothing.
func wantFailure(t *testing.T, texts ...string) {
	t.Helper()
	temp, begun := ownTemp(t), time.Now()
	_, _, err := Start()
	for _, text := range append(texts, "lockertest: ") {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("want %q, got %v", text, err)
		}
	}
	if took := time.Since(begun); took > patience/2 {
		t.Errorf("it took %v", took)
	}
	if left := files(t, temp); len(left) > 0 {
		t.Error("left behind:", left)
	}
}

func TestAnEtcdThatIsMissingIsNamed(t *testing.T) {
	t.Setenv("LOCKER_ETCD", "/no/such/etcd")
	wantFailure(t, "LOCKER_ETCD: ", "/no/such/etcd")
	t.Setenv("LOCKER_ETCD", t.TempDir())
	wantFailure(t, "LOCKER_ETCD: ")
	t.Setenv("LOCKER_ETCD", "")
	t.Setenv("PATH", t.TempDir())
	wantFailure(t, "no etcd on the PATH", "apt-get install", "LOCKER_ETCD")
}

func TestAnEtcdThatDoesNotStartIsHeard(t *testing.T) {
	program(t, "echo it does not want to >&2; exit 1")
	wantFailure(t, os.Getenv("LOCKER_ETCD"), "has ended by itself", "it does not want to")
	program(t, "") // and writes nothing
	wantFailure(t, "has ended by itself")
}

// A port that was free a moment ago is taken: then it is tried with others.
func TestAPortThatIsTaken(t *testing.T) {
	installed, err := find()
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	program(t, fmt.Sprintf(`echo "$@" >>%s
[ "$(wc -l <%[1]s)" -gt 2 ] || { echo bind: address already in use; exit 1; }
exec %s "$@"`, log, installed))
	temp := ownTemp(t)
	endpoints := Etcd(t)
	if there := files(t, temp); len(there) != 1 {
		t.Errorf("not one directory: %v", there)
	}
	tries := strings.Split(strings.TrimSpace(read(t, log)), "\n")
	if len(tries) != 3 || !strings.Contains(tries[2], endpoints) || tries[0] == tries[1] {
		t.Errorf("tried: %q", tries)
	}
}

func read(t *testing.T, path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The variables that etcd reads are meant for another one.
func TestSettingsOfAnotherEtcdAreKeptAway(t *testing.T) {
	t.Setenv("ETCD_QUOTA_BACKEND_BYTES", "no number")
	t.Setenv("ETCD_DATA_DIR", "/nowhere")
	Etcd(t)
}

// The end of what it writes is kept, however much that is.
func TestMuchIsWritten(t *testing.T) {
	j := newJournal()
	for i := range 10_000 {
		fmt.Fprintf(j, "line %d, which is a long one\n", i)
	}
	if said := j.String(); len(said) > mostSaid || len(said) < mostSaid-100 || !strings.HasSuffix(said, "line 9999, which is a long one\n") {
		t.Errorf("%d bytes, that end with %q", len(said), said[len(said)-40:])
	}
	<-j.more // one for all
	select {
	case <-j.more:
		t.Error("it tells of more than there is")
	default:
	}
}
