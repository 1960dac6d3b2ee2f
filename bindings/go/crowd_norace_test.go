//go:build !race

package locker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// The race detector allows for 8128 goroutines.

// How many threads such a process may have in all.
const crowdThreads = 12

// 10 000 goroutines that wait for locks do so without threads, and leave nothing.
func TestTenThousandWait(t *testing.T) {
	for _, procs := range []int{1, 2} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crowdVariable+"=1", fmt.Sprint("GOMAXPROCS=", procs))
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var c crowd
		if err := json.NewDecoder(bytes.NewReader(out)).Decode(&c); err != nil {
			t.Fatal(err)
		}
		t.Logf("GOMAXPROCS=%d: %+v", procs, c)
		if c.ThreadsWaiting > crowdThreads || c.ThreadsAfter > crowdThreads {
			t.Errorf("%d threads while all wait, %d after they left", c.ThreadsWaiting, c.ThreadsAfter)
		}
		if c.Handles != crowdSize || c.Goroutines < crowdSize || c.Waiters != crowdNames {
			t.Error("not all of them waited")
		}
		if c.Entering > 20*time.Second || c.Leaving > 20*time.Second { // a second, on a machine that has nothing else to do
			t.Error("it took too long")
		}
		if c.HandlesLeft != 0 || c.GoroutinesLeft > 0 || c.KeysLeft != 0 {
			t.Error("they left something behind")
		}
	}
}
