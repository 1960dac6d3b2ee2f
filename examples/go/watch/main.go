// Prints who holds a lock, now and each time it changes hands: watch NAME
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"

	"example.org/locker"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: watch NAME")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := watch(ctx, os.Args[1]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func watch(ctx context.Context, name string) error {
	client, err := locker.Connect(ctx, cmp.Or(os.Getenv("LOCKER_ENDPOINTS"), "http://127.0.0.1:2379"))
	if err != nil {
		return err
	}
	defer client.Disconnect(context.Background())

	watcher, err := client.Watch(ctx, name)
	if err != nil {
		return err
	}
	for info, err := range watcher.All(ctx) {
		switch {
		case err != nil:
			return err
		case info.Held():
			fmt.Printf("%s held by %s, token %d\n", info.Name, info.Value, info.Token)
		default:
			fmt.Println(info.Name, "free")
		}
	}
	return nil
}
