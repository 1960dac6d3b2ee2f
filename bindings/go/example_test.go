package locker_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"example.org/locker"
)

// prefix keeps the examples' locks apart from all others.
var prefix = locker.Prefix(fmt.Sprintf("/t/%d-examples/", os.Getpid()))

func connect(ctx context.Context) *locker.Client {
	client, err := locker.Connect(ctx, os.Getenv("LOCKER_ENDPOINTS"), prefix)
	if err != nil {
		log.Fatal(err)
	}
	return client
}

func Example() {
	ctx := context.Background()
	client := connect(ctx)
	defer client.Disconnect(ctx)

	guard, err := client.Lock(ctx, "db-migrate", locker.Value("node-3"), locker.Reason("migrating the schema"))
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Unlock(ctx)

	info, err := client.Get(ctx, "db-migrate")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("held by %s: %s\n", info.Value, info.Reason)
	// Output: held by node-3: migrating the schema
}

// Work that must not go on without the lock is done under the guard's context.
func ExampleGuard_Context() {
	ctx := context.Background()
	client := connect(ctx)
	defer client.Disconnect(ctx)

	guard, err := client.Lock(ctx, "report")
	if err != nil {
		log.Fatal(err)
	}
	work := func(ctx context.Context, fence int64) error {
		select {
		case <-time.After(time.Millisecond): // the work
			return nil
		case <-ctx.Done():
			return context.Cause(ctx) // locker.ErrLost
		}
	}
	fmt.Println(work(guard.Context(), guard.Token()), guard.Unlock(ctx))
	// Output: <nil> <nil>
}

// A lock that is busy says who holds it.
func ExampleClient_TryLock() {
	ctx := context.Background()
	client := connect(ctx)
	defer client.Disconnect(ctx)

	guard, err := client.TryLock(ctx, "nightly", locker.Value("node-3"))
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Unlock(ctx)

	_, err = client.TryLock(ctx, "nightly")
	var busy *locker.Error
	if errors.Is(err, locker.ErrTimeout) && errors.As(err, &busy) {
		fmt.Println("busy:", busy.Holder.Value)
	}
	// Output: busy: node-3
}

func ExampleWatcher_All() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	client := connect(ctx)
	defer client.Disconnect(context.Background())

	watcher, err := client.Watch(ctx, "leader")
	if err != nil {
		log.Fatal(err)
	}
	defer watcher.Unwatch()

	guard, err := client.Lock(ctx, "leader", locker.Value("node-3"))
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Unlock(context.Background())

	for info, err := range watcher.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if info.Held() {
			fmt.Println("leader:", info.Value)
			break
		}
	}
	// Output: leader: node-3
}
