package locker_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"example.org/locker"
	"example.org/locker/lockertest"
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

// The program of the README.
func migrateOnce(ctx context.Context, endpoints string) error {
	client, err := locker.Connect(ctx, endpoints) // such as "http://127.0.0.1:2379"
	if err != nil {
		return err
	}
	defer client.Disconnect(context.Background())

	guard, err := client.Lock(ctx, "db-migrate", locker.Value("node-3"), locker.Reason("migrating the schema"))
	if err != nil {
		return err // of a wait that ended: it is held by whom
	}
	defer guard.Unlock(context.Background())

	return migrate(guard.Context(), guard.Token()) // that context ends as soon as the lock is lost
}

// migrate is work that takes a moment.
func migrate(ctx context.Context, fence int64) error {
	select {
	case <-time.After(time.Millisecond):
		fmt.Println("migrated:", fence > 0)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx) // locker.ErrLost
	}
}

// The test of the README: it needs no set-up but an etcd that is installed.
func TestMigrateOnce(t *testing.T) {
	endpoints := lockertest.Etcd(t) // of this test alone, and gone with it
	if err := migrateOnce(t.Context(), endpoints); err != nil {
		t.Fatal(err)
	}
}

func Example() {
	if err := migrateOnce(context.Background(), os.Getenv("LOCKER_ENDPOINTS")); err != nil {
		log.Fatal(err)
	}
	// Output: migrated: true
}

func ExampleConnect() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client, err := locker.Connect(ctx, os.Getenv("LOCKER_ENDPOINTS"),
		locker.Prefix("/locker/shop/"), // our locks, apart from others'
		locker.TTL(15*time.Second),     // for so long a machine that died keeps its locks
		locker.Timeout(2*time.Second))  // for so long etcd may take to answer
	if errors.Is(err, locker.ErrUnavailable) {
		log.Fatal("etcd is down: ", err)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.Disconnect(ctx))
	// Output: <nil>
}

// A wait for a lock ends with its context, and says who was in the way.
func ExampleClient_Lock() {
	client := connect(context.Background())
	defer client.Disconnect(context.Background())
	other, err := client.Lock(context.Background(), "report", locker.Value("node-7"))
	if err != nil {
		log.Fatal(err)
	}
	defer other.Unlock(context.Background())

	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = client.Lock(ctx, "report")
	if busy := (*locker.Error)(nil); errors.As(err, &busy) && busy.Holder != nil {
		fmt.Println("held by", busy.Holder.Value)
	}
	fmt.Println(errors.Is(err, locker.ErrTimeout), errors.Is(err, context.DeadlineExceeded))
	// Output:
	// held by node-7
	// true true
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

// Readers hold a lock together, and a writer has it alone: all that a reader asks for is to share it.
func ExampleShared() {
	ctx := context.Background()
	client := connect(ctx)
	defer client.Disconnect(ctx)

	one, err := client.Lock(ctx, "config", locker.Shared())
	if err != nil {
		log.Fatal(err)
	}
	other, err := client.Lock(ctx, "config", locker.Shared())
	if err != nil {
		log.Fatal(err)
	}
	info, err := client.Get(ctx, "config")
	fmt.Println(info.Holders, "hold it", info.Mode, err)

	_, err = client.TryLock(ctx, "config") // to write
	fmt.Println("a writer waits:", errors.Is(err, locker.ErrTimeout))
	fmt.Println(one.Unlock(ctx), other.Unlock(ctx))
	// Output:
	// 2 hold it shared <nil>
	// a writer waits: true
	// <nil> <nil>
}

// No more than three machines download at the same time.
func ExampleLimit() {
	ctx := context.Background()
	client := connect(ctx)
	defer client.Disconnect(ctx)

	download := func() error {
		permit, err := client.Lock(ctx, "mirror", locker.Limit(3))
		if err != nil {
			return err
		}
		defer permit.Unlock(ctx)
		info, err := client.Get(ctx, "mirror")
		if info.Holders > int(info.Limit) {
			return fmt.Errorf("%d of %d", info.Holders, info.Limit)
		}
		return err // the work
	}
	failed := make(chan error)
	for range 10 {
		go func() { failed <- download() }()
	}
	var all error
	for range 10 {
		all = errors.Join(all, <-failed)
	}
	fmt.Println(all)
	// Output: <nil>
}

// A transfer needs both accounts. Another one, in the other direction, is never in a deadlock with it.
func ExampleClient_LockAll() {
	ctx := context.Background()
	client := connect(ctx)
	defer client.Disconnect(ctx)

	transfer := func(from, to string) error {
		guard, err := client.LockAll(ctx, []string{"account/" + from, "account/" + to})
		if err != nil {
			return err
		}
		return guard.Unlock(ctx)
	}
	back := make(chan error)
	go func() { back <- transfer("815", "4711") }()
	fmt.Println(transfer("4711", "815"), <-back)
	// Output: <nil> <nil>
}

// All of them, or who is in the way.
func ExampleClient_TryLockAll() {
	ctx := context.Background()
	client := connect(ctx)
	defer client.Disconnect(ctx)
	other, err := client.Lock(ctx, "rack-2", locker.Value("node-7"))
	if err != nil {
		log.Fatal(err)
	}
	defer other.Unlock(ctx)

	_, err = client.TryLockAll(ctx, []string{"rack-1", "rack-2", "rack-3"})
	if busy := (*locker.Error)(nil); errors.As(err, &busy) && busy.Holder != nil {
		fmt.Println(busy.Holder.Name, "is held by", busy.Holder.Value)
	}
	// Output: rack-2 is held by node-7
}

func ExampleClient_Get() {
	ctx := context.Background()
	client := connect(ctx)
	defer client.Disconnect(ctx)
	guard, err := client.Lock(ctx, "api", locker.Value("10.0.0.7:443"))
	if err != nil {
		log.Fatal(err)
	}

	info, err := client.Get(ctx, "api")
	fmt.Println(info.Value, info.Held(), err)
	fmt.Println(guard.Unlock(ctx))
	info, err = client.Get(ctx, "api")
	fmt.Println(info.Held(), err) // that nobody holds it is no error
	// Output:
	// 10.0.0.7:443 true <nil>
	// <nil>
	// false <nil>
}

// Code that knows only sync.Locker takes a lock that all machines share.
func ExampleClient_Mutex() {
	ctx := context.Background()
	client := connect(ctx)
	defer client.Disconnect(ctx)

	mutex := client.Mutex("counter")
	counter := 0
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			mutex.Lock()
			defer mutex.Unlock()
			counter++
		})
	}
	all.Wait()
	fmt.Println(counter)
	// Output: 4
}

// Work that must not go on without the lock is done under the guard's context.
func ExampleGuard_Context() {
	ctx := context.Background()
	client := connect(ctx)
	defer client.Disconnect(ctx)

	guard, err := client.Lock(ctx, "schema")
	if err != nil {
		log.Fatal(err)
	}
	work := func(ctx context.Context) error {
		select {
		case <-time.After(time.Millisecond): // the work
			return nil
		case <-ctx.Done():
			return context.Cause(ctx) // locker.ErrLost
		}
	}
	fmt.Println(work(guard.Context()), guard.Unlock(ctx))
	// Output: <nil> <nil>
}

// A leader leads until it is told that it does no longer.
func ExampleGuard_Lost() {
	ctx := context.Background()
	client := connect(ctx)
	defer client.Disconnect(ctx)
	guard, err := client.Lock(ctx, "leader", locker.Value("node-3"))
	if err != nil {
		log.Fatal(err)
	}

	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for turn := 1; ; turn++ {
		select {
		case <-tick.C:
			if turn == 3 {
				fmt.Println("led for", turn, "turns:", guard.Unlock(ctx))
				return
			}
		case <-guard.Lost():
			log.Fatal(guard.Err())
		}
	}
	// Output: led for 3 turns: <nil>
}

// A store that refuses a token lower than one that it has seen is safe from a holder that was asleep while its lease ended.
func ExampleGuard_Token() {
	ctx := context.Background()
	client := connect(ctx)
	defer client.Disconnect(ctx)

	var highest int64 // of the store: a column beside the data
	store := func(token int64) bool {
		if token < highest {
			return false
		}
		highest = token
		return true
	}
	var tokens []int64
	for range 2 {
		guard, err := client.Lock(ctx, "store")
		if err != nil {
			log.Fatal(err)
		}
		tokens = append(tokens, guard.Token())
		if err := guard.Unlock(ctx); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(store(tokens[1]), store(tokens[0]))
	// Output: true false
}

func ExampleWatcher_Next() {
	ctx := context.Background()
	client := connect(ctx)
	defer client.Disconnect(ctx)
	watcher, err := client.Watch(ctx, "printer")
	if err != nil {
		log.Fatal(err)
	}
	defer watcher.Unwatch()

	info, err := watcher.Next(ctx) // first, how it is now
	fmt.Println(info.Name, info.Held(), err)
	soon, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	_, err = watcher.Next(soon) // then each change
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// printer false <nil>
	// true
}

func ExampleWatcher_All() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	client := connect(ctx)
	defer client.Disconnect(context.Background())

	watcher, err := client.Watch(ctx, "primary")
	if err != nil {
		log.Fatal(err)
	}
	defer watcher.Unwatch()

	guard, err := client.Lock(ctx, "primary", locker.Value("node-3"))
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Unlock(context.Background())

	for info, err := range watcher.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if info.Held() {
			fmt.Println("primary:", info.Value)
			break
		}
	}
	// Output: primary: node-3
}

// What happens inside goes to the program's own log.
func ExampleSetLogger() {
	locker.SetLogger(slog.Default().With("library", "locker"))
	defer locker.SetLogger(nil)

	client := connect(context.Background())
	fmt.Println(client.Disconnect(context.Background()))
	// Output: <nil>
}
