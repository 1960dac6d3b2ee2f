//go:build unix

package lockertest

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// eventually asks until it is true, for what gives no sign when it comes.
func eventually(is func() bool) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if is() {
			return true
		}
	}
	return false
}

// answers tells whether somebody takes connections there.
func answers(endpoints string) bool {
	conn, err := net.Dial("tcp", strings.TrimPrefix(endpoints, "http://"))
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// store writes a key, and fetch reads it: as etcd has them, in base64.
func store(t *testing.T, endpoints, key, value string) {
	t.Helper()
	if said := post(t, endpoints, "/v3/kv/put", fmt.Sprintf(`{"key":%q,"value":%q}`, key, value)); !strings.Contains(said, "revision") {
		t.Fatal(said)
	}
}

func fetch(t *testing.T, endpoints, key string) string {
	t.Helper()
	return post(t, endpoints, "/v3/kv/range", fmt.Sprintf(`{"key":%q}`, key))
}

func post(t *testing.T, endpoints, path, body string) string {
	t.Helper()
	e := etcd{client: strings.TrimPrefix(endpoints, "http://")}
	return e.ask(t.Context(), http.MethodPost, path, body)
}

// ownTemp is a directory for temporary files in which nothing but what this test starts is.
func ownTemp(t *testing.T) string {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	return temp
}

func files(t *testing.T, directory string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// Each has its own, at the same time, and each is gone with its test.
func TestEachTestHasItsOwn(t *testing.T) {
	temp, before := ownTemp(t), runtime.NumGoroutine()
	var all [2]string
	t.Run("two", func(t *testing.T) {
		for i := range all {
			all[i] = Etcd(t)
		}
		store(t, all[0], "aw==", "dg==")
		if one, other := fetch(t, all[0], "aw=="), fetch(t, all[1], "aw=="); !strings.Contains(one, "dg==") || strings.Contains(other, "dg==") {
			t.Errorf("one says %s, the other %s", one, other)
		}
		if len(files(t, temp)) != 2 {
			t.Errorf("not two directories: %v", files(t, temp))
		}
	})
	for _, endpoints := range all {
		if answers(endpoints) {
			t.Error(endpoints, "still answers")
		}
	}
	if left := files(t, temp); len(left) > 0 {
		t.Error("left behind:", left)
	}
	if !eventually(func() bool { return runtime.NumGoroutine() <= before }) {
		t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
	}
}

func TestStopIsForOnce(t *testing.T) {
	endpoints, stop, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	stop()
	stop()
	if answers(endpoints) {
		t.Error("it still answers")
	}
}

// endVariable has this test program end in one of the ways below, with an etcd.
const endVariable = "LOCKERTEST_END"

var ends = map[string]func(t *testing.T){
	"passes": func(*testing.T) {},
	"fails":  func(t *testing.T) { t.Fatal("as it should") },
	"panics": func(*testing.T) { panic("as it should") },
	"exits":  func(*testing.T) { os.Exit(3) },
	"is killed": func(*testing.T) {
		self, _ := os.FindProcess(os.Getpid())
		_ = self.Kill()
		select {}
	},
}

// Whatever a test program comes to, its etcd is gone with it, and nothing is left once the next one has been started.
func TestItEndsWithTheTest(t *testing.T) {
	if end := ends[os.Getenv(endVariable)]; end != nil {
		fmt.Println("endpoints", Etcd(t))
		end(t)
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("there it outlives a process that is killed")
	}
	for way := range ends {
		temp := ownTemp(t)
		test := exec.Command(os.Args[0], "-test.run=^TestItEndsWithTheTest$")
		test.Env = append(os.Environ(), endVariable+"="+way)
		said, err := test.CombinedOutput()
		if (err == nil) != (way == "passes") {
			t.Errorf("%s: %v\n%s", way, err, said)
		}
		_, after, _ := strings.Cut(string(said), "endpoints ")
		endpoints, _, _ := strings.Cut(after, "\n")
		if !strings.HasPrefix(endpoints, "http://127.0.0.1:") {
			t.Fatalf("%s: it had none:\n%s", way, said)
		}
		if !eventually(func() bool { return !answers(endpoints) }) {
			t.Errorf("%s: its etcd still answers", way)
		}
		if left := files(t, temp); len(left) > 0 && (way == "passes" || way == "fails" || way == "panics") {
			t.Errorf("%s: left behind: %v", way, left)
		}
		t.Run("next", func(t *testing.T) {
			Etcd(t)
			if there := files(t, temp); len(there) != 1 {
				t.Errorf("%s: not one directory: %v", way, there)
			}
		})
	}
}

// The directory of one that lives is left alone, also by those who sweep.
func TestOnlyTheDeadAreSwept(t *testing.T) {
	temp := ownTemp(t)
	for _, name := range []string{"foreign", scratchPrefix + "unlocked", scratchPrefix + "dead"} {
		if err := os.Mkdir(filepath.Join(temp, name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(temp, scratchPrefix+"dead", lockFile), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	own, err := newScratch()
	if err != nil {
		t.Fatal(err)
	}
	defer own.remove()
	other, err := newScratch()
	if err != nil {
		t.Fatal(err)
	}
	other.remove()
	want := []string{"foreign", scratchPrefix + "unlocked", filepath.Base(own.path)}
	for _, name := range want {
		if _, err := os.Stat(filepath.Join(temp, name)); err != nil {
			t.Error(err)
		}
	}
	if there := files(t, temp); len(there) != len(want) {
		t.Errorf("%v in place of %v", there, want)
	}
}
