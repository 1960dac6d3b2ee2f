// Takes the lock "db-migrate", does a short piece of work and gives it back.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"example.org/locker"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	client, err := locker.Connect(ctx, cmp.Or(os.Getenv("LOCKER_ENDPOINTS"), "http://127.0.0.1:2379"))
	if err != nil {
		return err
	}
	defer client.Disconnect(ctx)

	wait, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	guard, err := client.Lock(wait, "db-migrate",
		locker.Value("example.go"),            // who we are, for those who ask
		locker.Reason("migrating the schema")) // and why they have to wait
	if err != nil {
		return err // of a busy lock it says who holds it
	}
	fmt.Println("token", guard.Token()) // rises with each holder: let the database refuse lower ones

	work := migrate(guard.Context()) // that context ends as soon as the lock is lost
	return errors.Join(work, guard.Unlock(ctx))
}

func migrate(ctx context.Context) error {
	select {
	case <-time.After(500 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
