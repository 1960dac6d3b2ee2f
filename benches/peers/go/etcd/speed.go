package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"locker/benches/peers/line"
)

// once takes a lock and gives it back.
func once(l locker) error {
	if err := l.Lock(); err != nil {
		return err
	}
	return l.Unlock()
}

// loop NAME COUNT: one caller takes one lock again and again.
func (p *peer) loop(words []string) (line.Answer, error) {
	l, count := p.lock(p.own, words[0]), line.Number(words[1])
	clock := line.Start()
	for range count {
		if err := once(l); err != nil {
			return nil, err
		}
	}
	return clock.Stop(), nil
}

// keys NAME CALLERS COUNT: callers with a name each share so many operations.
func (p *peer) keys(words []string) (line.Answer, error) {
	var left atomic.Int64
	left.Store(int64(line.Number(words[2])))
	clock := line.Start()
	var callers errgroup.Group
	for caller := range line.Number(words[1]) {
		callers.Go(func() error {
			l := p.lock(p.own, fmt.Sprintf("%s-%d", words[0], caller))
			for left.Add(-1) >= 0 {
				if err := once(l); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := callers.Wait(); err != nil {
		return nil, err
	}
	return clock.Stop(), nil
}

// handover NAME WAITERS WARM_UP TIME: how often one lock changes hands in that time, after so much that does not count.
func (p *peer) handover(words []string) (line.Answer, error) {
	sessions, err := p.sessions(line.Number(words[1]))
	if err != nil {
		return nil, err
	}
	begin := time.Now().Add(line.Millis(words[2]))
	end := begin.Add(line.Millis(words[3]))
	var count atomic.Int64
	var waiters errgroup.Group
	for _, session := range sessions {
		l := p.lock(session, words[0])
		waiters.Go(func() error {
			for time.Now().Before(end) {
				if err := l.Lock(); err != nil {
					return err
				}
				if now := time.Now(); now.After(begin) && now.Before(end) {
					count.Add(1)
				}
				if err := l.Unlock(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = waiters.Wait()
	return line.Answer{"count": count.Load()}, err
}

// section NAME WORK TIME: takes a lock again and again and works under it so long. When, for each: in nanoseconds since
// 1970, since other processes do the same.
func (p *peer) section(words []string) (line.Answer, error) {
	l, work := p.lock(p.own, words[0]), line.Millis(words[1])
	spans := [][2]int64{}
	for end := time.Now().Add(line.Millis(words[2])); time.Now().Before(end); {
		if err := l.Lock(); err != nil {
			return nil, err
		}
		begun := time.Now().UnixNano()
		time.Sleep(work)
		spans = append(spans, [2]int64{begun, time.Now().UnixNano()})
		if err := l.Unlock(); err != nil {
			return nil, err
		}
	}
	return line.Answer{"spans": spans}, nil
}
