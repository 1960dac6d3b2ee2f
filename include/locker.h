/*
 * locker.h - named locks shared by every machine of an etcd cluster
 *
 * Made by cbindgen from locker-sys/src; do not edit. To rewrite it: make header
 *
 *     locker_client client;
 *     locker_guard guard;
 *     locker_error error;
 *     if (locker_connect("http://127.0.0.1:2379", NULL, &client, &error) != LOCKER_OK ||
 *         locker_lock(client, "db-migrate", NULL, &guard, &error) != LOCKER_OK)
 *       die(error.message);
 *     migrate(locker_guard_token(guard));
 *     locker_unlock(guard, 0, &error);
 *     locker_disconnect(client, 0, &error);
 *
 * HANDLES    locker_client, locker_guard and locker_watcher are numbers, to copy and compare at
 *            will. A number is never used twice. Zero, a spent handle and a handle of another kind
 *            give LOCKER_BAD_HANDLE, never undefined behaviour.
 * MEMORY     Nothing here is freed by the caller. The library copies what it is given and writes
 *            only to what it is pointed at. `out` is written only on LOCKER_OK; `error` may be NULL.
 * THREADS    Every function may be called by any thread at any time, but not by a signal handler. A
 *            guard belongs to no thread: one may lock and another unlock. Ending a handle wakes those
 *            who wait in locker_lock, locker_wait and locker_watch_next.
 * WAITING    `timeout_ms` in milliseconds. 0: for ever where one waits for other people (locker_lock,
 *            locker_wait, locker_watch_next), the client's timeout_ms where one waits for etcd, which
 *            is never waited for longer than that. LOCKER_NO_WAIT: not at all; the work goes on behind
 *            the call. More than a hundred years and less than LOCKER_NO_WAIT are LOCKER_INVALID.
 * CALLBACKS  Run on a thread of the library with signals blocked, one at a time for each client, in
 *            order. A slow one delays other callbacks, and the calls that wait for those to be over
 *            (locker_unlock, locker_unwatch, locker_disconnect, a locker_lock that fails) up to their
 *            limit, and nothing else: the lease is kept alive. It must not throw. A child process that
 *            it starts inherits the blocked signals. In a callback a call that would wait gives LOCKER_BAD_CONTEXT:
 *            locker_connect, locker_lock, locker_get and locker_watch always would, the others do not
 *            with LOCKER_NO_WAIT; nor does locker_get_cached where memory has an answer. That no callback
 *            runs or comes any more is said only by LOCKER_OK of a locker_unlock, locker_unwatch or
 *            locker_disconnect that waited: after any other code, and after LOCKER_NO_WAIT, user_data has to
 *            live until free_user_data.
 * EVENT LOOP A client connected with options.dispatch = 1 has no callback thread: its callbacks run in
 *            locker_dispatch, on the thread that calls that, with the signals that it has. Call it when
 *            the descriptor of locker_client_fd is readable, as poll, select, epoll and what is made of
 *            them tell; examples/loop.c is a whole program. In such a client
 *            - what a call of yours ends (locker_unlock, locker_unwatch, locker_disconnect,
 *              locker_shutdown, a locker_lock that fails) is told nothing more, not even that it ended:
 *              once the call has spent the handle, with whatever code and also with LOCKER_NO_WAIT, it has freed
 *              the user data by free_user_data, and no callback comes;
 *            - only a callback that is running then, the very one that makes the call or one that another
 *              thread dispatches, goes on, and its user data is freed when it returns. For that of another
 *              thread the call waits, as for a callback thread;
 *            - nothing waits for you to dispatch, and no callback that is due is in the way of a call. One
 *              who dispatches late is told late, and of older states of a lock not at all (64 are kept);
 *            - a loop must not block: in it use locker_lock_start, LOCKER_NO_WAIT and locker_get_cached.
 *              locker_watch asks etcd once, up to the client's timeout_ms.
 * FORK       A child has no threads of the library: there, all calls give LOCKER_BAD_CONTEXT. Fork
 *            before the first locker_connect, or after a locker_shutdown that waited and was in time,
 *            and the child has its own.
 * EXIT       A process that ends without locker_disconnect keeps its locks until their lease ends.
 * VERSIONS   Within one LOCKER_ABI: no function goes or changes; options only grow at the end;
 *            codes may be added, so test for LOCKER_OK first and keep a default.
 */


#ifndef LOCKER_H
#define LOCKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The ABI version. A program built with another number must not use this library.
#define LOCKER_ABI 1

// As a timeout: do not wait at all.
#define LOCKER_NO_WAIT -1

// The longest lock name, in bytes, without its NUL.
#define LOCKER_NAME_MAX 255

// The most names of one locker_lock_all.
#define LOCKER_NAMES_MAX 60

// The longest value, in bytes, without its NUL.
#define LOCKER_VALUE_MAX 1023

// The longest reason, in bytes, without its NUL.
#define LOCKER_REASON_MAX 255

// What a function returns. Treat a number not listed here as a failure.
enum locker_code
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // It worked.
  LOCKER_OK = 0,
  // The wait ended first. Nothing is held.
  LOCKER_TIMEOUT = 1,
  // The guard was unlocked, or its client ended: disconnected, or since etcd's history went back.
  LOCKER_CANCELLED = 2,
  // The guard was held and is no longer. The error's detail is one of locker_loss.
  LOCKER_LOST = 3,
  // etcd cannot be reached or has no leader. Trying again may help.
  LOCKER_UNAVAILABLE = 4,
  // etcd refused: wrong credentials, or no permission on the key.
  LOCKER_DENIED = 5,
  // An argument is wrong; the message says which.
  LOCKER_INVALID = 6,
  // The handle is zero, already closed, or of another kind.
  LOCKER_BAD_HANDLE = 7,
  // A call that blocks was made inside a callback, or any call after fork().
  LOCKER_BAD_CONTEXT = 8,
  // A bug in locker.
  LOCKER_INTERNAL = 9,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum locker_code locker_code;
#else
typedef int32_t locker_code;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Where a guard stands: WAITING, then HELD and AT_RISK in turn, then ENDED, which is final.
// Treat a number not listed here as AT_RISK. It is held when HELD or AT_RISK.
enum locker_state
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // No such guard: never made, or already unlocked.
  LOCKER_NONE = 0,
  // In the queue, or on its way there.
  LOCKER_WAITING = 1,
  // Held, as far as this process can know. Let locker_guard_token decide what matters.
  LOCKER_HELD = 2,
  // Held, but its lease was not renewed for so long that it may soon be lost. Finish, or stop.
  LOCKER_AT_RISK = 3,
  // Lost, failed, cancelled or unlocked. Only locker_unlock is of use now.
  LOCKER_ENDED = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum locker_state locker_state;
#else
typedef int32_t locker_state;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How a lock was lost. Treat a number not listed here as LOCKER_LOSS_EXPIRED.
enum locker_loss
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The lease was not renewed in time, by this process's own clock: etcd was out of reach, or the
  // process or its machine stood still.
  LOCKER_LOSS_EXPIRED = 1,
  // etcd said that the lease is gone: revoked by hand, or ended by an etcd that lacks the fixes.
  LOCKER_LOSS_LEASE_GONE = 2,
  // Somebody deleted the key.
  LOCKER_LOSS_KEY_DELETED = 3,
  // etcd was wiped or restored from a backup. The client refuses all calls; connect another.
  LOCKER_LOSS_WENT_BACK = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum locker_loss locker_loss;
#else
typedef int32_t locker_loss;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How a lock is held. Treat a number not listed here as LOCKER_EXCLUSIVE.
enum locker_mode
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Nobody holds it.
  LOCKER_FREE = 0,
  // By one holder at a time.
  LOCKER_EXCLUSIVE = 1,
  // By several at the same time: see `shared` and `limit` of locker_lock_options.
  LOCKER_SHARED = 2,
  // By something that is not locker: etcdctl lock, Go's concurrency, a key written by hand.
  LOCKER_FOREIGN = 15,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum locker_mode locker_mode;
#else
typedef int32_t locker_mode;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Options start with their own size and are otherwise zero for the defaults:
// `locker_connect_options o = { .struct_size = sizeof o, .ttl_ms = 30000 };`
// Strings are copied before the call returns. NULL in place of options: all defaults.
// A wrong struct_size gives LOCKER_INVALID, and then nothing else of the options was looked at.
typedef struct locker_connect_options {
  size_t struct_size;
  // Put before every key. NULL: "/locker/". Empty: nothing, which is how to share a name with
  // `etcdctl lock NAME`. With a prefix "P/", a lock P of those with an empty prefix is busy while
  // this client lives.
  const char *prefix;
  // How long a dead process keeps its locks, at least 2000; rounded up to seconds. 0: 10 seconds.
  int64_t ttl_ms;
  // The limit of all that waits for etcd, not for another holder. 0: 5 seconds.
  int64_t timeout_ms;
  // An etcd user. NULL: none, and no password then.
  const char *username;
  const char *password;
  // PEM file of the authorities to trust with https endpoints. NULL: the system's.
  const char *ca_file;
  // PEM files of the client's certificate and its key. NULL: none.
  const char *cert_file;
  const char *key_file;
  // 1: the client's callbacks are run by locker_dispatch and by nothing else, see EVENT LOOP. 0: by a thread of
  // the library.
  int32_t dispatch;
  // Zero, for what is to come.
  int32_t reserved;
} locker_connect_options;

// A connection to an etcd cluster. Any thread may use it. Zero is never valid.
typedef struct locker_client {
  uint64_t id;
} locker_client;

// Why a call failed. The caller's own memory; nothing to free. Its layout is frozen.
typedef struct locker_error {
  // One of locker_code.
  int32_t code;
  // Of LOCKER_LOST one of locker_loss; else the gRPC status when etcd or the transport to it gave
  // one; else 0.
  int32_t detail;
  // UTF-8 with a NUL, for people; never parse it.
  char message[504];
} locker_error;

// Who holds a lock. Copy it freely; nothing to free. Its layout is frozen.
// All texts are UTF-8 with a NUL, and empty when not known.
typedef struct locker_info {
  // The holder's fencing token; 0 when nobody holds the lock.
  int64_t token;
  // When the holder asked for the lock, by its own clock, in milliseconds since 1970; 0: not known.
  int64_t since_ms;
  // For how long the holder's lease lasts if it is not kept alive from now on; -1: not known. Not told by
  // this release: always -1.
  int64_t lease_left_ms;
  // The revision of etcd at which it was so; 0: not known. It rises with every write to etcd, of whatever
  // key. Of two that were told, the one with the higher revision is the later one.
  int64_t revision;
  // How many hold it: more than one only if it is LOCKER_SHARED. All else here is of the one who has held it
  // for the longest time; in what locker_guard_info says of a guard that holds it is of this guard, and 1.
  uint32_t holders;
  // How many may hold it at the same time, if it is shared with a limit; else 0.
  uint32_t limit;
  // Zero, for what is to come.
  int64_t reserved[3];
  // The holder's process on `host`; 0: not known.
  uint32_t pid;
  // How many wait behind those who hold it: clients, of which one may want it many times.
  uint32_t waiters;
  // One of locker_mode.
  int32_t mode;
  // Zero, for what is to come.
  int32_t reserved_mode;
  char name[256];
  // The machine of the holder.
  char host[256];
  // The program of the holder.
  char program[256];
  // Why it is held, if the holder said so.
  char reason[256];
  // What the holder published; of a foreign holder, the value of its key.
  char value[1024];
} locker_info;

// One acquisition of one lock. Any thread may use it. Zero is never valid.
typedef struct locker_guard {
  uint64_t id;
} locker_guard;

// Called when a guard changes state, in order; LOCKER_ENDED is the last call. LOCKER_WAITING says that
// it lost its place in the queue and entered again; no other state comes twice running. `error` says why
// it ended, is at risk or entered again; it is NULL when locker_unlock ended it. (See EVENT LOOP for who is not
// told of what they end themselves.)
typedef void (*locker_change_fn)(void *user_data,
                                 struct locker_guard guard,
                                 locker_state state,
                                 const struct locker_error *error);

// Called once, after the last callback that got this `user_data` has returned.
typedef void (*locker_free_fn)(void *user_data);

// As locker_connect_options. The library owns user_data from the call on, even a failed one (but for a
// wrong struct_size): it calls free_user_data once, on a callback thread or the calling one.
typedef struct locker_lock_options {
  size_t struct_size;
  // What others read with locker_get. NULL: "<host>:<pid>".
  const char *value;
  // Why the lock is wanted, shown to those who find it busy. NULL: nothing.
  const char *reason;
  // How long to wait for other holders. 0: as long as it takes. LOCKER_NO_WAIT: not at all.
  int64_t timeout_ms;
  locker_change_fn on_change;
  void *user_data;
  locker_free_fn free_user_data;
  // To hold it together with others, at most so many at the same time: a counting semaphore. All that want a
  // lock at the same time must say the same limit, or the later one gets LOCKER_INVALID with both numbers;
  // so do `limit` and mere `shared` on one lock. 0: no limit.
  uint32_t limit;
  // To hold it together with all others who ask for it so: the read side of a read-write lock. Who wants it
  // alone waits until none of them is left, and those who come later wait behind him. A `limit` is shared by
  // itself. Not with several names.
  bool shared;
  // Zero, for what is to come.
  uint8_t reserved[3];
} locker_lock_options;

// Called when a lock changes hands. Exactly one of `info` and `error` is not NULL;
// an error is the last call: LOCKER_CANCELLED when the client is disconnected. Both live only until the
// callback returns. One that is slow misses older states (64 are kept), never the last.
typedef void (*locker_event_fn)(void *user_data,
                                const struct locker_info *info,
                                const struct locker_error *error);

// As locker_lock_options.
typedef struct locker_watch_options {
  size_t struct_size;
  // NULL: read events with locker_watch_next instead.
  locker_event_fn on_event;
  void *user_data;
  locker_free_fn free_user_data;
} locker_watch_options;

// A subscription to one lock. Any thread may use it. Zero is never valid.
typedef struct locker_watcher {
  uint64_t id;
} locker_watcher;

// Called for each line of the library's log, by a thread of its own. Levels: 1 error, 2 warning, 3 info,
// 4 debug.
typedef void (*locker_log_fn)(void *user_data, int32_t level, const char *message);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The ABI of the library that was loaded. Compare it with LOCKER_ABI.
uint32_t locker_abi(void);

// The release as text, such as "0.1.0". Static; do not free.
const char *locker_version(void);

// A short fixed name for a code, such as "timeout". Static; never NULL, whatever the number.
const char *locker_code_name(int32_t code);

// How many handles are open. A test that ends with more than 0 has leaked.
size_t locker_live_handles(void);

// Connects to an etcd cluster. `endpoints` is a comma-separated list of URLs, each with a port. If none of
// them answers within options->timeout_ms: LOCKER_UNAVAILABLE, with the one that was asked last in the
// message. End the client with locker_disconnect.
locker_code locker_connect(const char *endpoints,
                           const struct locker_connect_options *options,
                           struct locker_client *out,
                           struct locker_error *error);

// Ends a client, its guards and its watchers, whose handles are spent too, and waits for etcd to confirm
// and for callbacks that are running. LOCKER_UNAVAILABLE says that etcd has not confirmed: the locks end
// with their lease. LOCKER_TIMEOUT says that a callback is still running; with another code than LOCKER_OK
// it is not known whether one runs or comes: user_data has to live until free_user_data. The client's handle
// is spent in any case, but not by LOCKER_INVALID and LOCKER_BAD_CONTEXT, which did nothing.
locker_code locker_disconnect(struct locker_client client,
                              int64_t timeout_ms,
                              struct locker_error *error);

// Reads who holds the lock `name`. A token of 0 says nobody does. LOCKER_UNAVAILABLE if etcd has not
// answered in time, and so always with LOCKER_NO_WAIT.
locker_code locker_get(struct locker_client client,
                       const char *name,
                       int64_t timeout_ms,
                       struct locker_info *out,
                       struct locker_error *error);

// As locker_get, from memory where this client watches the lock or waits for it: then it asks nobody and
// waits for nothing, also in a callback. Else it asks etcd; with LOCKER_NO_WAIT it gives LOCKER_UNAVAILABLE.
// What it tells was so at its `revision`, which never goes back. It is behind by what is on its way, and
// never more than 10 seconds old: memory is of no use from the moment when the connection to etcd breaks, or
// within these 10 seconds when etcd falls silent, until the watch has come to the present again.
locker_code locker_get_cached(struct locker_client client,
                              const char *name,
                              int64_t timeout_ms,
                              struct locker_info *out,
                              struct locker_error *error);

// Acquires the lock `name`, first come first served. End the guard with locker_unlock.
// Two guards for one name exclude each other, also within one client and one thread, unless both share it.
// If it fails nothing is held, its place in the queue is given up behind the call, and on_change has been
// called for the last time; unless callbacks of the client are so slow that this was not so within its
// timeout_ms: what user_data points to has to live until free_user_data.
locker_code locker_lock(struct locker_client client,
                        const char *name,
                        const struct locker_lock_options *options,
                        struct locker_guard *out,
                        struct locker_error *error);

// As locker_lock without the wait: returns a guard in LOCKER_WAITING, for on_change,
// locker_wait or locker_unlock. When options->timeout_ms ends first, the guard ends with LOCKER_TIMEOUT.
locker_code locker_lock_start(struct locker_client client,
                              const char *name,
                              const struct locker_lock_options *options,
                              struct locker_guard *out,
                              struct locker_error *error);

// Acquires all these locks or none, in one request and with one token: as locker_lock, of `count` names, which
// are 1 to LOCKER_NAMES_MAX and none of them twice. The guard is held once it is the first in all their
// queues, and it ends as a whole, also when only one of the locks is lost. Two such requests never wait for
// each other, in whatever order they have their names; but who holds one guard and asks for another may wait
// for ever, as with any lock. A wrong name is told with its place: "names[2] is empty".
locker_code locker_lock_all(struct locker_client client,
                            const char *const *names,
                            size_t count,
                            const struct locker_lock_options *options,
                            struct locker_guard *out,
                            struct locker_error *error);

// As locker_lock_start, of several names: see locker_lock_all.
locker_code locker_lock_all_start(struct locker_client client,
                                  const char *const *names,
                                  size_t count,
                                  const struct locker_lock_options *options,
                                  struct locker_guard *out,
                                  struct locker_error *error);

// Waits until a guard is held. LOCKER_TIMEOUT leaves it in the queue.
locker_code locker_wait(struct locker_guard guard, int64_t timeout_ms, struct locker_error *error);

// Has on_change called for a guard that was made without, as if it had been made with it: also for what has
// changed since (64 changes are kept). The library owns user_data from the call on, even a failed one.
// LOCKER_INVALID if the guard has an on_change.
locker_code locker_on_change(struct locker_guard guard,
                             locker_change_fn on_change,
                             void *user_data,
                             locker_free_fn free_user_data,
                             struct locker_error *error);

// Ends a guard whatever its state: takes it out of the queue, or releases the lock, and waits for etcd to
// confirm and for its last on_change: hold no mutex that on_change takes. LOCKER_LOST says the lock was lost
// before. LOCKER_UNAVAILABLE says that etcd has not confirmed: the release is tried until the lease has ended.
// LOCKER_TIMEOUT says that on_change is still running; with another code than LOCKER_OK it is not known
// whether it runs or comes: user_data has to live until free_user_data. The handle is spent in any case, but
// not by LOCKER_INVALID and LOCKER_BAD_CONTEXT, which did nothing.
locker_code locker_unlock(struct locker_guard guard,
                          int64_t timeout_ms,
                          struct locker_error *error);

// The state of a guard, from memory. LOCKER_NONE for a stale handle.
locker_state locker_guard_state(struct locker_guard guard);

// The fencing token of a guard that is held, else 0. Each holder of a name gets a greater one: have what the
// lock protects refuse a token lower than one it has seen. Of several names it is one for all. Those who share
// a lock have different ones, which among them say nothing.
int64_t locker_guard_token(struct locker_guard guard);

// For how long a held guard stays held if etcd stops answering now, else 0.
int64_t locker_guard_remaining_ms(struct locker_guard guard);

// From memory: of a held guard what locker_get would say of it; of one that waits, or that ended waiting, who
// held the lock when last heard of (token 0 when not known). Of several names it is about the first when held,
// and else about the one that is in the way.
locker_code locker_guard_info(struct locker_guard guard,
                              struct locker_info *out,
                              struct locker_error *error);

// The name of one of a guard's locks, in the order of locker_lock_all; the first has index 0. Writes as much
// of it as `size` bytes have room for, with a NUL, and returns its whole length, as snprintf does. 0, and "":
// there are not so many, or the handle is stale.
// `char name[LOCKER_NAME_MAX + 1]; for (size_t i = 0; locker_guard_name(guard, i, name, sizeof name); i++) ...`
size_t locker_guard_name(struct locker_guard guard,
                         size_t index,
                         char *out,
                         size_t size);

// Subscribes to the lock `name`: the present holder, then each change. End it with locker_unwatch.
locker_code locker_watch(struct locker_client client,
                         const char *name,
                         const struct locker_watch_options *options,
                         struct locker_watcher *out,
                         struct locker_error *error);

// Waits for the next event of a watcher made without on_event: first the present holder, then each
// change. LOCKER_CANCELLED says that the watcher has ended.
locker_code locker_watch_next(struct locker_watcher watcher,
                              int64_t timeout_ms,
                              struct locker_info *out,
                              struct locker_error *error);

// Ends a watcher and waits for its running callback. After LOCKER_OK no callback runs, but after
// LOCKER_NO_WAIT one may; called from a callback of its own client it does not wait, and no further one
// runs. LOCKER_TIMEOUT says that the callback is still running; it is the last. The handle is spent, but
// not by LOCKER_INVALID and LOCKER_BAD_CONTEXT.
locker_code locker_unwatch(struct locker_watcher watcher,
                           int64_t timeout_ms,
                           struct locker_error *error);

// The descriptor of a client that was connected with options.dispatch = 1: readable, level-triggered, while
// locker_dispatch has something to do. It is the library's: poll it, with whatever does that, but never read
// nor close it. locker_disconnect and locker_shutdown close it, so take it out of the event loop before
// those. It is closed on exec; a child of fork that inherits it does not poll it. LOCKER_INVALID if the
// client was connected without dispatch.
locker_code locker_client_fd(struct locker_client client,
                             int *out,
                             struct locker_error *error);

// Runs callbacks of a client that was connected with options.dispatch = 1, on the calling thread, and waits
// for none to come: those that are due at the moment of the call, in order, at most `max` of them unless
// that is 0. `ran`, if it is not NULL, gets how many that were, which may be 0 when the descriptor was
// readable. What is left, or came meanwhile, makes the descriptor readable again, also for a loop that
// looks for edges (EPOLLET): one call for each time that it is reported will do, whatever `max`.
// Threads that dispatch one client at once take turns. LOCKER_BAD_CONTEXT in a callback, LOCKER_INVALID if
// the client was connected without dispatch.
locker_code locker_dispatch(struct locker_client client,
                            size_t max,
                            size_t *ran,
                            struct locker_error *error);

// Sends the library's log to `log`, up to `level`; NULL turns it off, which is the default. It does not
// wait for a `log` that was set before: that one may still be running until its user data is freed.
// When it is slow lines are dropped, and their number is told.
void locker_set_log(int32_t level,
                    locker_log_fn log,
                    void *user_data,
                    locker_free_fn free_user_data);

// Disconnects every client, turns the log off and stops the library's threads, for tests and before
// dlclose. Calls that wait elsewhere give LOCKER_CANCELLED. Waits for etcd and for running callbacks, 0: as
// long as the clients' timeout_ms; in a callback not at all. A later locker_connect starts anew.
void locker_shutdown(int64_t timeout_ms);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* LOCKER_H */
