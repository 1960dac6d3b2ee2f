/* Watchers and guards that end while events come for them: no callback after the call that ended them has returned, and none
 * with what was freed. The sanitizer looks at the latter: user data is freed as soon as the library says so. */
#include "test.h"

#include <stdatomic.h>

enum { CLOSERS = 3 };
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

static void open_and_close_watcher(locker_client mine, _Atomic bool *closed, bool waits) {
  locker_watch_options options = {
      .struct_size = sizeof options, .on_event = on_event, .user_data = new_data(closed), .free_user_data = free_data};
  locker_watcher watcher;
  OK(locker_watch(mine, "busy", &options, &watcher, &error));
  OK(locker_unwatch(watcher, waits ? 0 : LOCKER_NO_WAIT, &error));
}

static void open_and_close_guard(locker_client mine, _Atomic bool *closed, bool waits) {
  locker_lock_options options = {
      .struct_size = sizeof options, .on_change = on_change, .user_data = new_data(closed), .free_user_data = free_data};
  locker_guard guard;
  OK(locker_lock_start(mine, "busy", &options, &guard, &error));
  OK(locker_unlock(guard, waits ? 0 : LOCKER_NO_WAIT, &error));
}

/* Of those that are not waited for a callback may still come. */
static void *open_and_close(void *number) {
  locker_client mine = connected();
  static _Atomic bool closed[CLOSERS][2];
  for (long i; (i = atomic_fetch_sub(&left, 1)) > 0;) {
    bool waits = i % 4;
    _Atomic bool *mark = &closed[(uintptr_t)number][0];
    _Atomic bool *never = &closed[(uintptr_t)number][1];
    *mark = false;
    (i % 3 ? open_and_close_watcher : open_and_close_guard)(mine, waits ? mark : never, waits);
    if (waits) *mark = true;
  }
  OK(locker_disconnect(mine, 0, &error));
  return NULL;
}

int main(void) {
  client = connected();
  left = trials(38, "watchers and guards closed while events come", 100000);
  pthread_t changer = thread(change, NULL), closers[CLOSERS];
  for (uintptr_t i = 0; i < CLOSERS; i++) closers[i] = thread(open_and_close, (void *)i);
  for (int i = 0; i < CLOSERS; i++) pthread_join(closers[i], NULL);
  stop = true;
  pthread_join(changer, NULL);
  leave(client);
  CHECK(counted(&freed) == counted(&given) && counted(&given) == row.ran);
  row_ok("%ld events, none after the end, all freed once", events);
}
