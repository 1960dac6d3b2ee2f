//go:build cgo

package locker

import (
	"errors"
	"sync"
)

// guards are those of a client that were held and that nobody has unlocked since. What C knows of them goes with the
// client, so that it has to be asked before.
type guards struct {
	mu  sync.Mutex
	all map[*Guard]struct{}
}

func (s *guards) add(g *Guard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[*Guard]struct{})
	}
	s.all[g] = struct{}{}
}

func (s *guards) remove(g *Guard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, g)
}

// take empties it. Those that were lost are told so.
func (s *guards) take() map[*Guard]struct{} {
	s.mu.Lock()
	all := s.all
	s.all = nil
	s.mu.Unlock()
	for g := range all {
		if err := g.now(); errors.Is(err, ErrLost) {
			g.ended(err)
		}
	}
	return all
}

// disconnected is why a guard has ended whose client was disconnected.
func disconnected(what call) error {
	return &Error{Code: ErrCancelled, Message: what.String() + ": the client was disconnected"}
}
