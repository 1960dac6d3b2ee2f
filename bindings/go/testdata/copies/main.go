// What `go vet` has to complain of, see TestCopiesAreVetted.
package main

import "example.org/locker"

func main() {
	var (
		client  locker.Client
		guard   locker.Guard
		watcher locker.Watcher
	)
	other, another, third := client, guard, watcher
	_, _, _ = &other, &another, &third
}
