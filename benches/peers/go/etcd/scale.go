package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"locker/benches/peers/line"
)

// hold NAME CALLERS COUNT: takes so many locks, all with this one session, and keeps them.
func (p *peer) hold(words []string) (line.Answer, error) {
	callers, count := line.Number(words[1]), line.Number(words[2])
	if _, err := p.keys([]string{words[0] + "-warm", words[1], words[1]}); err != nil {
		return nil, err
	}
	held := make([]locker, count)
	before := line.Resident()
	clock := line.Start()
	var next atomic.Int64
	var all errgroup.Group
	for range callers {
		all.Go(func() error {
			for n := next.Add(1) - 1; n < int64(count); n = next.Add(1) - 1 {
				held[n] = p.lock(p.own, fmt.Sprintf("%s-%d", words[0], n))
				if err := held[n].Lock(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := all.Wait()
	answer := clock.Stop()
	p.held = held
	// What a program that does nothing more comes to.
	debug.FreeOSMemory()
	answer["before"], answer["after"] = before, line.Resident()
	return answer, err
}

// idle TIME: what it costs to do nothing.
func (p *peer) idle(words []string) (line.Answer, error) {
	clock := line.Start()
	time.Sleep(line.Millis(words[0]))
	answer := clock.Stop()
	answer["resident"] = line.Resident()
	return answer, nil
}

// fanout NAME WATCHERS COUNT: the times from a change, by another client, until all watchers have been told.
func (p *peer) fanout(words []string) (line.Answer, error) {
	changer, err := p.connect()
	if err != nil {
		return nil, err
	}
	defer changer.Close()
	watch, stop := context.WithCancel(ctx)
	defer stop()
	told := make(chan struct{})
	watchers := line.Number(words[1])
	for range watchers {
		events := p.client.Watch(watch, words[0], clientv3.WithCreatedNotify())
		<-events
		go func() {
			for range events {
				select {
				case told <- struct{}{}:
				case <-watch.Done():
				}
			}
		}()
	}
	times := []float64{}
	for n := range line.Number(words[2]) {
		begun := time.Now()
		if _, err := changer.Put(ctx, words[0], fmt.Sprint(n)); err != nil {
			return nil, err
		}
		for range watchers {
			<-told
		}
		times = append(times, time.Since(begun).Seconds())
	}
	return line.Answer{"times": times}, nil
}

// gaps NAME PAUSE TIME: takes a lock again and again; the longest time without success, and how many calls failed.
func (p *peer) gaps(words []string) (line.Answer, error) {
	l, pause := p.lock(p.own, words[0]), line.Millis(words[1])
	errors, longest, last := 0, time.Duration(0), time.Now()
	for end := last.Add(line.Millis(words[2])); time.Now().Before(end); time.Sleep(pause) {
		if err := once(l); err != nil {
			errors++
			continue
		}
		longest = max(longest, time.Since(last))
		last = time.Now()
	}
	return line.Answer{"gap": max(longest, time.Since(last)).Seconds(), "errors": errors}, nil
}
