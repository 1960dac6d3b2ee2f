// Package locker takes named locks that are shared by every machine of an etcd cluster.
//
//	client, err := locker.Connect(ctx, "http://127.0.0.1:2379")
//	if err != nil {
//		return err
//	}
//	defer client.Disconnect(context.Background())
//
//	guard, err := client.Lock(ctx, "db-migrate", locker.Value("node-3"))
//	if err != nil {
//		return err
//	}
//	defer guard.Unlock(context.Background())
//	return migrate(guard.Context(), guard.Token())
//
// # Waiting
//
// A call ends when its context does. Only waiting for another holder, in [Client.Lock] and [Watcher.Next], may last as
// long as the context; whatever waits for etcd also ends with the client's [Timeout]. Waiting for another holder costs
// a goroutine and no thread, so that thousands may wait.
//
// A context that ends a wait gives an error that is both the context's and this package's:
// [context.DeadlineExceeded] and [ErrTimeout], or [context.Canceled] and [ErrCancelled]. A [Client.Lock] whose deadline
// comes while etcd is silent fails with [ErrUnavailable] in place of [ErrTimeout]: nobody knows then who holds the lock. So
// does a [Client.TryLock] whose deadline comes before etcd has answered: its [ErrTimeout] always says that the lock is busy.
//
// # Holding it with others
//
// With [Shared] a lock is held by all who ask for it so, as readers do, with [Limit] by so many of them at most; who wants it
// alone waits until they are gone, and those who come later wait behind him. [Client.LockAll] takes several locks or none,
// and is never in a deadlock with others that do.
//
// # Losing a lock
//
// A lock is lost when its lease ends, because etcd was out of reach for too long, or when somebody removes its key.
// Then [Guard.Lost] is closed and [Guard.Context] cancelled: do the work under that context. What must be right even
// if the process is paused at the wrong moment needs the [Guard.Token], which rises with each holder: have what the
// lock protects refuse a lower one than it has seen.
//
// # Testing
//
// The package lockertest, beside this one, gives a test an etcd of its own.
//
// # Threads and processes
//
// Everything here may be used by any goroutine at any time, whatever thread it is on. There are no finalizers: what is not
// ended by [Guard.Unlock], [Watcher.Unwatch] or [Client.Disconnect] lives as long as the process, and a lock that it holds
// is held. In an init function nothing can be waited for: C calls Go only once main has begun.
//
// # Building
//
// The package binds liblocker with cgo. It is found by pkg-config under the name locker; with the build tag
// locker_tree, in the source tree that the package is part of (target/debug). With the tag locker_static, alone or beside
// it, the archive liblocker.a becomes part of the program, in place of the shared library.
package locker
