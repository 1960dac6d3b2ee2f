//go:build unix

package lockertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// etcd is a running one.
type etcd struct {
	command      *exec.Cmd
	directory    *scratch
	name         string // its directory's, which nobody else on this machine has
	client, peer string // where clients find it, and where others of a cluster would
	said         *journal
	alive        context.Context // until it has ended
	ended        context.CancelFunc
}

// launch starts one, which does not serve yet.
func launch(program string) (*etcd, error) {
	client, peer, err := freeAddresses()
	if err != nil {
		return nil, err
	}
	directory, err := newScratch()
	if err != nil {
		return nil, err
	}
	e := &etcd{directory: directory, name: filepath.Base(directory.path), client: client, peer: peer, said: newJournal()}
	e.alive, e.ended = context.WithCancel(context.Background())
	e.command = exec.Command(program, e.arguments()...)
	e.command.Env = environment()
	e.command.Stdout, e.command.Stderr = e.said, e.said
	e.command.WaitDelay = time.Second // should it leave its output to others
	bind(e.command)
	started := make(chan error)
	go e.run(started)
	if err := <-started; err != nil {
		directory.remove()
		return nil, err
	}
	return e, nil
}

// run is its life. What is bound to this process is so to the thread that has started it, which does nothing else.
func (e *etcd) run(started chan<- error) {
	runtime.LockOSThread()
	err := e.command.Start()
	started <- err
	if err == nil {
		_ = e.command.Wait() // it is killed
	}
	e.ended()
}

// stop ends it and removes all of it.
func (e *etcd) stop() {
	_ = e.command.Process.Kill() // it may have ended
	<-e.alive.Done()
	e.directory.remove()
}

// serves waits until it serves requests. Each line that it writes is a reason to look again, and there is one when it begins
// to; from when it listens the question itself waits for that. The timer is for an etcd that writes nothing.
func (e *etcd) serves(deadline time.Time) error {
	ctx, cancel := context.WithDeadline(e.alive, deadline)
	defer cancel()
	for !e.isHealthy(ctx) {
		select {
		case <-e.said.more:
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			if e.alive.Err() != nil {
				return errors.New("has ended by itself")
			}
			return fmt.Errorf("did not serve within %v", patience)
		}
	}
	return nil
}

// isHealthy asks whether it serves, and whether it is this one: another may have got the port.
func (e *etcd) isHealthy(ctx context.Context) bool {
	return strings.Contains(e.ask(ctx, http.MethodPost, "/v3/cluster/member/list", "{}"), strconv.Quote(e.name)) &&
		strings.Contains(e.ask(ctx, http.MethodGet, "/health", ""), `"health":"true"`)
}

// asking leaves no connection and no goroutine behind, and knows of no proxy.
var asking = http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask is the answer to one request; nothing if there is none.
func (e *etcd) ask(ctx context.Context, method, path, body string) string {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+e.client+path, strings.NewReader(body))
	if err != nil {
		return ""
	}
	answer, err := asking.Do(request)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return string(text)
}

func (e *etcd) arguments() []string {
	client, peer := "http://"+e.client, "http://"+e.peer
	return []string{
		"--data-dir", filepath.Join(e.directory.path, "data"),
		"--name", e.name,
		"--listen-client-urls", client,
		"--advertise-client-urls", client,
		"--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer,
		"--initial-cluster", e.name + "=" + peer,
		"--initial-cluster-token", e.name,
		"--logger", "zap",
		"--unsafe-no-fsync",
	}
}

// environment is ours without the settings of another etcd, whose every flag may be a variable.
func environment() []string {
	variables := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ETCD_") })
	if runtime.GOARCH == "arm64" {
		variables = append(variables, "ETCD_UNSUPPORTED_ARCH=arm64") // etcd 3.4 runs there only when told so
	}
	return variables
}

// freeAddresses are two that nobody listens on now.
func freeAddresses() (client, peer string, err error) {
	one, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer one.Close()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer other.Close()
	return one.Addr().String(), other.Addr().String(), nil
}
