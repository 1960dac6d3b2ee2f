//go:build unix

package lockertest

import "sync"

// How much of what etcd writes is kept, for an error: the end of it.
const mostSaid = 64 << 10

// journal is where etcd writes.
type journal struct {
	more chan struct{} // holds one item while there is something new

	mu   sync.Mutex
	text []byte
}

func newJournal() *journal { return &journal{more: make(chan struct{}, 1)} }

func (j *journal) Write(text []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text = append(j.text, text...)
	if over := len(j.text) - mostSaid; over > 0 {
		j.text = append(j.text[:0], j.text[over:]...)
	}
	select {
	case j.more <- struct{}{}:
	default:
	}
	return len(text), nil
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(j.text)
}
