// Our Go binding, measured: locker ENDPOINTS, then commands as package line has them.
package main

import (
	"context"
	"log"
	"os"

	"example.org/locker"

	"locker/benches/peers/line"
)

func main() {
	ctx := context.Background()
	client, err := locker.Connect(ctx, os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	line.Serve(map[string]line.Verb{
		"loop": func(words []string) (line.Answer, error) { return loop(ctx, client, words[0], line.Number(words[1])) },
	})
	if err := client.Disconnect(ctx); err != nil {
		log.Fatal(err)
	}
}

func loop(ctx context.Context, client *locker.Client, name string, count int) (line.Answer, error) {
	clock := line.Start()
	for range count {
		guard, err := client.Lock(ctx, name)
		if err != nil {
			return nil, err
		}
		if err := guard.Unlock(ctx); err != nil {
			return nil, err
		}
	}
	return clock.Stop(), nil
}
