/* Watchers, read and told. */
#include "test.h"

static locker_client client;
static locker_info info;

static void next_is_free(locker_watcher watcher) {
  OK(locker_watch_next(watcher, 0, &info, &error));
  CHECK(info.token == 0 && info.mode == LOCKER_FREE);
}

static void next_is_held_by(locker_watcher watcher, locker_guard guard) {
  OK(locker_watch_next(watcher, 0, &info, &error));
  CHECK(info.token == locker_guard_token(guard) && info.mode == LOCKER_EXCLUSIVE);
}

static void pulled(void) {
  locker_watcher watcher, late;
  OK(locker_watch(client, "pulled", NULL, &watcher, &error));
  next_is_free(watcher);
  CHECK(!strcmp(info.name, "pulled"));
  FAILS(LOCKER_TIMEOUT, "", locker_watch_next(watcher, LOCKER_NO_WAIT, &info, &error));
  FAILS(LOCKER_TIMEOUT, "", locker_watch_next(watcher, 30, &info, &error));
  locker_lock_options options = {.struct_size = sizeof options, .value = "first", .reason = "why not"};
  locker_guard first, second;
  OK(locker_lock(client, "pulled", &options, &first, &error));
  next_is_held_by(watcher, first);
  CHECK(!strcmp(info.value, "first") && !strcmp(info.reason, "why not") && info.pid == (uint32_t)getpid());
  OK(locker_watch(client, "pulled", NULL, &late, &error));
  next_is_held_by(late, first); /* who comes late begins with the present holder */
  OK(locker_unlock(first, 0, &error));
  next_is_free(watcher);
  next_is_free(late);
  second = locked(client, "pulled");
  next_is_held_by(watcher, second);
  OK(locker_unwatch(watcher, 0, &error));
  next_is_held_by(late, second);
  OK(locker_unwatch(late, LOCKER_NO_WAIT, &error));
  OK(locker_unlock(second, 0, &error));
}

/* Which holder a pushed watcher told last. */
typedef struct last {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  int64_t token;
  count freed;
} last;

#define LAST {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, -1, COUNT}

static void on_event(void *user_data, const locker_info *event, const locker_error *error) {
  last *last = user_data;
  CHECK(event && !error && counted(&last->freed) == 0);
  pthread_mutex_lock(&last->mutex);
  CHECK(last->token != event->token);
  last->token = event->token;
  pthread_cond_broadcast(&last->changed);
  pthread_mutex_unlock(&last->mutex);
}

static void free_last(void *user_data) { count_up(&((last *)user_data)->freed); }

static void await_token(last *last, int64_t token) {
  struct timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += 60;
  pthread_mutex_lock(&last->mutex);
  while (last->token != token) CHECK(pthread_cond_timedwait(&last->changed, &last->mutex, &end) == 0);
  pthread_mutex_unlock(&last->mutex);
}

static void pushed(void) {
  last last = LAST;
  locker_watch_options options = {
      .struct_size = sizeof options, .on_event = on_event, .user_data = &last, .free_user_data = free_last};
  locker_watcher watcher;
  OK(locker_watch(client, "pushed", &options, &watcher, &error));
  await_token(&last, 0);
  for (int i = 0; i < 10; i++) {
    locker_guard guard = locked(client, "pushed");
    await_token(&last, locker_guard_token(guard));
    OK(locker_unlock(guard, 0, &error));
    await_token(&last, 0);
  }
  OK(locker_unwatch(watcher, 0, &error));
  CHECK(counted(&last.freed) == 1);
  /* Nothing comes after that, or it would find freed == 1. */
  locker_guard guard = locked(client, "pushed");
  OK(locker_unlock(guard, 0, &error));
}

/* What a watcher makes known is told from memory, also in a callback, and not what nobody watches. */
static count cached_freed = COUNT, cached_told = COUNT;
static void get_in_callback(void *user_data, const locker_info *event, const locker_error *error_) {
  (void)user_data, (void)error_;
  if (!event || !event->token) return;
  locker_info cached;
  OK(locker_get_cached(client, "cached", 0, &cached, &error));
  /* It may be further on than the event. */
  CHECK(cached.revision >= event->revision && !strcmp(cached.name, "cached"));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_get_cached(client, "unwatched", 0, &cached, &error));
  FAILS(LOCKER_UNAVAILABLE, "memory", locker_get_cached(client, "unwatched", LOCKER_NO_WAIT, &cached, &error));
  count_up(&cached_told);
}

static void told_from_memory(void) {
  locker_info cached = {.token = 77};
  FAILS(LOCKER_UNAVAILABLE, "memory", locker_get_cached(client, "cached", LOCKER_NO_WAIT, &cached, &error));
  CHECK(cached.token == 77);
  OK(locker_get_cached(client, "cached", 0, &cached, &error)); /* from etcd */
  CHECK(cached.token == 0 && cached.revision > 0);

  locker_watch_options options = {.struct_size = sizeof options,
                                  .on_event = get_in_callback,
                                  .user_data = &cached_freed,
                                  .free_user_data = count_free};
  locker_watcher watcher;
  OK(locker_watch(client, "cached", &options, &watcher, &error));
  locker_guard guard = locked(client, "cached");
  await(&cached_told, 1);
  OK(locker_get_cached(client, "cached", LOCKER_NO_WAIT, &cached, &error));
  OK(locker_get(client, "cached", 0, &info, &error));
  CHECK(cached.token == locker_guard_token(guard) && cached.revision >= cached.token && cached.revision <= info.revision);
  info.revision = cached.revision;
  CHECK(!memcmp(&cached, &info, sizeof info));
  OK(locker_unlock(guard, 0, &error));
  OK(locker_unwatch(watcher, 0, &error));
}

/* A watcher that ends in its own callback. */
static locker_watcher own;
static count own_told = COUNT, own_freed = COUNT, own_known = COUNT;
static void unwatch_own(void *user_data, const locker_info *event, const locker_error *error_) {
  (void)user_data, (void)error_;
  CHECK(event && counted(&own_told) == 0);
  await(&own_known, 1);
  OK(locker_unwatch(own, 0, &error));
  FAILS(LOCKER_BAD_HANDLE, "watcher", locker_unwatch(own, 0, &error));
  count_up(&own_told);
}

static void ends_in_its_own_callback(void) {
  locker_watch_options options = {
      .struct_size = sizeof options, .on_event = unwatch_own, .user_data = &own_freed, .free_user_data = count_free};
  OK(locker_watch(client, "own", &options, &own, &error));
  count_up(&own_known);
  await(&own_freed, 1);
  locker_guard guard = locked(client, "own");
  OK(locker_unlock(guard, 0, &error));
  CHECK(counted(&own_told) == 1 && counted(&own_freed) == 1);
}

/* A watcher of another client may have a callback running: only LOCKER_NO_WAIT does not wait for it. */
static locker_watcher foreign;
static count foreign_done = COUNT;
static void unwatch_foreign(void *user_data, locker_guard guard, locker_state state, const locker_error *error_) {
  (void)user_data, (void)guard, (void)error_;
  if (state != LOCKER_HELD) return;
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_unwatch(foreign, 0, &error));
  OK(locker_unwatch(foreign, LOCKER_NO_WAIT, &error));
  count_up(&foreign_done);
}

static void ends_in_a_foreign_callback(void) {
  locker_client other = connected();
  last last = LAST;
  locker_watch_options options = {
      .struct_size = sizeof options, .on_event = on_event, .user_data = &last, .free_user_data = free_last};
  OK(locker_watch(other, "foreign", &options, &foreign, &error));
  locker_lock_options lock = {.struct_size = sizeof lock, .on_change = unwatch_foreign};
  locker_guard guard;
  OK(locker_lock(client, "elsewhere", &lock, &guard, &error));
  await(&foreign_done, 1);
  await(&last.freed, 1);
  OK(locker_unlock(guard, 0, &error));
  OK(locker_disconnect(other, 0, &error));
}

/* A callback that runs too long for the one who ends it. */
static count entered = COUNT, leave_now = COUNT, slow_freed = COUNT;
static void slow_event(void *user_data, const locker_info *event, const locker_error *error) {
  (void)user_data, (void)event, (void)error;
  count_up(&entered);
  await(&leave_now, 1);
}

static void unwatch_waits_for_the_callback(void) {
  locker_watch_options options = {
      .struct_size = sizeof options, .on_event = slow_event, .user_data = &slow_freed, .free_user_data = count_free};
  locker_watcher watcher;
  OK(locker_watch(client, "slow", &options, &watcher, &error));
  await(&entered, 1);
  locker_guard guard = locked(client, "slow"); /* an event that comes behind, and is not told any more */
  FAILS(LOCKER_TIMEOUT, "callback", locker_unwatch(watcher, 50, &error));
  CHECK(counted(&slow_freed) == 0);
  count_up(&leave_now);
  await(&slow_freed, 1);
  CHECK(counted(&entered) == 1);
  OK(locker_unlock(guard, 0, &error));
}

/* An event that waits for its turn behind another callback is not told to a watcher that has ended meanwhile. */
static count occupied = COUNT, vacate = COUNT, never = COUNT, never_freed = COUNT;
static void occupy(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  (void)user_data, (void)guard, (void)error;
  if (state != LOCKER_HELD) return;
  count_up(&occupied);
  await(&vacate, 1);
}

static void never_told(void *user_data, const locker_info *event, const locker_error *error) {
  (void)user_data, (void)event, (void)error;
  count_up(&never);
}

static void ends_before_its_turn(void) {
  locker_lock_options lock = {.struct_size = sizeof lock, .on_change = occupy};
  locker_guard guard;
  OK(locker_lock(client, "occupied", &lock, &guard, &error));
  await(&occupied, 1);
  locker_watch_options options = {
      .struct_size = sizeof options, .on_event = never_told, .user_data = &never_freed, .free_user_data = count_free};
  locker_watcher watcher;
  OK(locker_watch(client, "never", &options, &watcher, &error));
  OK(locker_get(client, "never", 0, &info, &error)); /* meanwhile the library's thread has seen the first event */
  FAILS(LOCKER_TIMEOUT, "callback", locker_unwatch(watcher, 50, &error));
  count_up(&vacate);
  await(&never_freed, 1);
  CHECK(counted(&never) == 0);
  OK(locker_unlock(guard, 0, &error));
}

/* One who reads is woken by the end of the watcher, and of the client. */
typedef struct reader {
  locker_watcher watcher;
  count reads;
  locker_code code;
} reader;

static void *read_to_the_end(void *argument) {
  reader *reader = argument;
  locker_info event;
  while ((reader->code = locker_watch_next(reader->watcher, 0, &event, NULL)) == LOCKER_OK) count_up(&reader->reads);
  return NULL;
}

static void readers_wake(void) {
  locker_client other = connected();
  reader readers[] = {{.reads = COUNT}, {.reads = COUNT}};
  pthread_t all[2];
  for (int i = 0; i < 2; i++) {
    OK(locker_watch(other, "readers", NULL, &readers[i].watcher, &error));
    all[i] = thread(read_to_the_end, &readers[i]);
    await(&readers[i].reads, 1);
  }
  OK(locker_unwatch(readers[0].watcher, 0, &error));
  pthread_join(all[0], NULL);
  CHECK(readers[0].code == LOCKER_CANCELLED || readers[0].code == LOCKER_BAD_HANDLE);
  OK(locker_disconnect(other, 0, &error));
  pthread_join(all[1], NULL);
  CHECK(readers[1].code == LOCKER_CANCELLED || readers[1].code == LOCKER_BAD_HANDLE);
}

/* A client that is disconnected is told to its watchers, once and last; a watcher that was ended is told nothing. */
typedef struct ending {
  count seen, cancelled, freed;
} ending;

static void on_ending(void *user_data, const locker_info *event, const locker_error *error) {
  ending *ending = user_data;
  CHECK(!event != !error && counted(&ending->cancelled) == 0);
  if (error) CHECK(error->code == LOCKER_CANCELLED && strstr(error->message, "disconnected"));
  count_up(event ? &ending->seen : &ending->cancelled);
}

static void free_ending(void *user_data) { count_up(&((ending *)user_data)->freed); }

static void disconnect_is_told(int64_t timeout_ms) {
  ending unwatched = {COUNT, COUNT, COUNT}, left = {COUNT, COUNT, COUNT};
  locker_client other = connected();
  locker_watch_options options = {.struct_size = sizeof options, .on_event = on_ending, .free_user_data = free_ending};
  locker_watcher watcher;
  options.user_data = &left;
  OK(locker_watch(other, "left", &options, &watcher, &error));
  options.user_data = &unwatched;
  OK(locker_watch(other, "left", &options, &watcher, &error));
  await(&left.seen, 1);
  await(&unwatched.seen, 1);
  OK(locker_unwatch(watcher, 0, &error));
  OK(locker_disconnect(other, timeout_ms, &error));
  if (timeout_ms == LOCKER_NO_WAIT) await(&left.freed, 1);
  CHECK(counted(&left.cancelled) == 1 && counted(&left.freed) == 1);
  CHECK(counted(&unwatched.cancelled) == 0 && counted(&unwatched.freed) == 1);
}

int main(void) {
  client = connected();
  pulled();
  pushed();
  told_from_memory();
  ends_in_its_own_callback();
  ends_in_a_foreign_callback();
  unwatch_waits_for_the_callback();
  ends_before_its_turn();
  readers_wake();
  disconnect_is_told(0);
  disconnect_is_told(LOCKER_NO_WAIT);
  leave(client);
}
