//go:build unix

// Package lockertest gives tests an etcd of their own, so that code that takes locks is tested without any set-up:
//
//	func TestMigrate(t *testing.T) {
//		client, err := locker.Connect(t.Context(), lockertest.Etcd(t))
//		if err != nil {
//			t.Fatal(err)
//		}
//		t.Cleanup(func() { client.Disconnect(context.Background()) })
//		// ...
//	}
//
// What is started is a real etcd of one member, on free ports of the loopback interface and in a temporary directory. It does
// not wait for its disk. It is ended, and all of it removed, when the test has ended, also when that fails or panics. On
// Linux it also ends with a test program that is killed; the directory is then removed by whoever starts the next one.
//
// etcd is the program that the environment variable LOCKER_ETCD names, else the etcd on the PATH. Where there is none a
// test fails, and says how to install it: one that was skipped would look like one that passed.
package lockertest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// How long a start may take: some tenths of a second on an idle machine, and much longer on an overloaded one.
const patience = 30 * time.Second

// Etcd starts an etcd for a test, and ends it when the test and its subtests have ended. It returns the endpoints for
// locker.Connect. Nobody else uses that etcd, and it is empty: tests that have one each may run at the same time.
//
// It takes some tenths of a second. One for all tests of a package is started by [Start].
func Etcd(t testing.TB) (endpoints string) {
	t.Helper()
	endpoints, stop, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return endpoints
}

// Start is [Etcd] where there is no test, such as in a TestMain: it starts one etcd, to be shared by all tests. They keep out
// of each other's way with a locker.Prefix of their own. stop ends it, and may be called twice.
//
//	var endpoints string
//
//	func TestMain(m *testing.M) {
//		started, stop, err := lockertest.Start()
//		if err != nil {
//			log.Fatal(err)
//		}
//		endpoints = started
//		code := m.Run()
//		stop()
//		os.Exit(code)
//	}
func Start() (endpoints string, stop func(), err error) {
	program, err := find()
	if err != nil {
		return "", nil, fmt.Errorf("lockertest: %w", err)
	}
	for deadline := time.Now().Add(patience); ; {
		e, err := launch(program)
		if err != nil {
			return "", nil, fmt.Errorf("lockertest: %w", err)
		}
		err = e.serves(deadline)
		if err == nil {
			return "http://" + e.client, e.stop, nil
		}
		e.stop()
		// Somebody else may take a port between our choice and etcd's use of it.
		said := e.said.String()
		if !strings.Contains(said, "address already in use") || !time.Now().Before(deadline) {
			return "", nil, fmt.Errorf("lockertest: %s %w; it wrote:\n%s", program, err, said)
		}
	}
}

// find is the etcd to start.
func find() (string, error) {
	if named := os.Getenv("LOCKER_ETCD"); named != "" {
		program, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("LOCKER_ETCD: %w", err)
		}
		return program, nil
	}
	program, err := exec.LookPath("etcd")
	if err != nil {
		return "", errors.New("no etcd on the PATH. On Debian and Ubuntu install it, as root, with\n" +
			"    apt-get install --yes --no-install-recommends etcd-server\n" +
			"or name another one in LOCKER_ETCD")
	}
	return program, nil
}
