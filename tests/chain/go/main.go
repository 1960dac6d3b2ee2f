// One of the counters of test_chain.py: count NAME TIMES COUNTER LOG
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"example.org/locker"
)

func main() {
	if err := count(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		log.Fatal(err)
	}
}

func count(name, times, counter, journal string) error {
	ctx := context.Background()
	client, err := locker.Connect(ctx, os.Getenv("LOCKER_ENDPOINTS"))
	if err != nil {
		return err
	}
	left, err := strconv.Atoi(times)
	for ; err == nil && left > 0; left-- {
		err = once(ctx, client, name, counter, journal)
	}
	if err != nil {
		return err
	}
	return client.Disconnect(ctx)
}

func once(ctx context.Context, client *locker.Client, name, counter, journal string) error {
	guard, err := client.Lock(ctx, name)
	if err != nil {
		return err
	}
	n, err := increment(counter)
	if err != nil {
		return err
	}
	if err := note(journal, fmt.Sprintf("Go %d %d\n", guard.Token(), n)); err != nil {
		return err
	}
	return guard.Unlock(ctx)
}

// increment reads the number in the file, and writes the next one. Two at once would lose one of them.
func increment(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, err
	}
	return n + 1, os.WriteFile(path, fmt.Appendf(nil, "%d\n", n+1), 0o644)
}

func note(path, line string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(line)
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}
