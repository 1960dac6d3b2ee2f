// The peers that have a Go client, measured: etcd WHICH ENDPOINTS, then commands as package line has them. WHICH is
// concurrency, the mutex that comes with etcd's client, or v3lock, the lock service of the server.
package main

import (
	"context"
	"log"
	"os"
	"strings"

	"go.etcd.io/etcd/client/v3/concurrency"

	"locker/benches/peers/line"
)

var ctx = context.Background()

func main() {
	which, endpoints := os.Args[1], strings.Split(os.Args[2], ",")
	p := &peer{endpoints: endpoints}
	var err error
	if p.client, err = p.connect(); err != nil {
		log.Fatal(err)
	}
	if p.own, err = concurrency.NewSession(p.client); err != nil {
		log.Fatal(err)
	}
	p.lock = p.mutex
	if which == "v3lock" {
		p.lock = p.service
	}
	line.Serve(map[string]line.Verb{
		"loop":     p.loop,
		"keys":     p.keys,
		"handover": p.handover,
		"section":  p.section,
		"hold":     p.hold,
		"idle":     p.idle,
		"fanout":   p.fanout,
		"gaps":     p.gaps,
	})
	// With its lease go the locks that are still held.
	if err := p.own.Close(); err != nil {
		log.Fatal(err)
	}
}
