/* Watchers and guards that end while events come for them: no callback after the call that ended them has returned, and none
 * with what was freed. The sanitizer looks at the latter: user data is freed as soon as the library says so. */
#include "loop.h"

#include <stdatomic.h>

enum { CLOSERS = 6 };
static locker_client client;
static _Atomic bool stop;
static _Atomic long left, events;
static count given = COUNT, freed = COUNT;

typedef struct data {
  uint32_t canary;
  _Atomic bool *closed; /* outlives this: whoever ended it says here that no callback may come */
} data;

static void *new_data(_Atomic bool *closed) {
  data *data = malloc(sizeof *data);
  CHECK(data);
  *data = (struct data){0xfeedbeef, closed};
  count_up(&given);
  return data;
}

static void free_data(void *user_data) {
  data *data = user_data;
  CHECK(data->canary == 0xfeedbeef);
  data->canary = 0;
  free(data);
  count_up(&freed);
}

static void told(data *data) {
  CHECK(data->canary == 0xfeedbeef && !*data->closed);
  events++;
  CHECK(!*data->closed);
}

static void on_event(void *user_data, const locker_info *info, const locker_error *error) {
  CHECK(!info != !error);
  told(user_data);
}

static void on_change(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  (void)guard, (void)state, (void)error;
  told(user_data);
}

/* Changes for all who watch. */
static void *change(void *unused) {
  (void)unused;
  while (!stop) {
    locker_guard guard = locked(client, "busy");
    OK(locker_unlock(guard, 0, &error));
  }
  return NULL;
}

/* What the closer of this thread has open. */
static _Thread_local struct {
  locker_guard guard;
  locker_watcher watcher;
} open_now;

static void open_watcher(locker_client mine, data *data) {
  locker_watch_options options = {
      .struct_size = sizeof options, .on_event = on_event, .user_data = data, .free_user_data = free_data};
  OK(locker_watch(mine, "busy", &options, &open_now.watcher, &error));
}

static void open_guard(locker_client mine, data *data) {
  locker_lock_options options = {
      .struct_size = sizeof options, .on_change = on_change, .user_data = data, .free_user_data = free_data};
  OK(locker_lock_start(mine, "busy", &options, &open_now.guard, &error));
}

static void close_it(bool watches, bool waits) {
  int64_t timeout_ms = waits ? 0 : LOCKER_NO_WAIT;
  if (watches) OK(locker_unwatch(open_now.watcher, timeout_ms, &error));
  else OK(locker_unlock(open_now.guard, timeout_ms, &error));
}

/* How callbacks run while a closer is at work: by the library's thread, by its own, or by a third. */
typedef enum kind { LIBRARY, OWN_LOOP, OTHER_LOOP } kind;

/* Whether no callback may come when the call has returned: on a thread that dispatches for itself, whatever it was. */
static bool is_final(kind kind, long i) { return kind == OWN_LOOP || i % 4; }

static void run_what_is_due(locker_client mine, long i) {
  if (i % 2) due_within(mine, (int)(i % 3));
  dispatched(mine, (size_t)(i % 5));
}

typedef struct loop {
  locker_client client;
  _Atomic bool stop;
} loop;

static void *run_loop(void *argument) {
  loop *loop = argument;
  while (!loop->stop)
    if (due_within(loop->client, 5)) dispatched(loop->client, 0);
  return NULL;
}

static void open_and_close(locker_client mine, kind kind) {
  /* Those that are not waited for have a mark that is never set: a callback may still come. */
  static _Atomic bool never;
  static _Thread_local _Atomic bool mark;
  for (long i; (i = atomic_fetch_sub(&left, 1)) > 0;) {
    bool final = is_final(kind, i), waits = i % 4;
    mark = false;
    data *data = new_data(final ? &mark : &never);
    (i % 3 ? open_watcher : open_guard)(mine, data);
    if (kind == OWN_LOOP) run_what_is_due(mine, i);
    close_it(i % 3, waits);
    if (final) mark = true;
  }
}

static void *closer(void *argument) {
  kind kind = (enum kind)(uintptr_t)argument;
  loop loop = {.client = kind == LIBRARY ? connected() : connected_for_loop(0)};
  pthread_t other = pthread_self();
  if (kind == OTHER_LOOP) other = thread(run_loop, &loop);
  open_and_close(loop.client, kind);
  loop.stop = true;
  if (kind == OTHER_LOOP) pthread_join(other, NULL);
  OK(locker_disconnect(loop.client, 0, &error));
  return NULL;
}

int main(void) {
  client = connected();
  left = trials(38, "watchers and guards closed while events come", 100000);
  pthread_t changer = thread(change, NULL), closers[CLOSERS];
  for (uintptr_t i = 0; i < CLOSERS; i++) closers[i] = thread(closer, (void *)(i % 3));
  for (int i = 0; i < CLOSERS; i++) pthread_join(closers[i], NULL);
  stop = true;
  pthread_join(changer, NULL);
  leave(client);
  CHECK(counted(&freed) == counted(&given) && counted(&given) == row.ran);
  row_ok("%ld events, none after the end, all freed once", events);
}
