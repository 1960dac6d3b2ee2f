/* What a host may do with its own threads and descriptors: cancel, end late, look at what is open. */
#include "loop.h"

/* --- descriptors */

/* As many as are open, and which they are, for those who look at a failure. */
static int open_files(void) {
  int found = 0;
  DIR *files = opendir("/proc/self/fd");
  CHECK(files);
  while (readdir(files)) found++;
  closedir(files);
  return found;
}

static void no_descriptor_is_left(void) {
  int before = open_files();
  locker_client plain = connected(), loop = connected_for_loop(0);
  locker_guard guard = locked(plain, "files");
  CHECK(open_files() > before);
  OK(locker_unlock(guard, 0, &error));
  OK(locker_disconnect(plain, 0, &error));
  OK(locker_disconnect(loop, 0, &error));
  locker_shutdown(0);
  if (open_files() != before && system("ls -l /proc/$PPID/fd >&2")) perror("ls");
  CHECK(open_files() == before);
}

/* --- pthread_cancel */

static locker_client client;
static count may_go = COUNT;

typedef enum call { GET, LOCK, START, DISPATCH, CALLS } call;

static void listen(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  (void)user_data, (void)guard, (void)state, (void)error;
  sleep_ms(1); /* where a thread is cancelled */
}

static void make_call(call call) {
  locker_lock_options options = {.struct_size = sizeof options, .timeout_ms = 50, .on_change = listen};
  locker_guard guard;
  locker_info info;
  locker_error error;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
  await(&may_go, 1);
  pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
  switch (call) {
  case GET: CHECK(locker_get(client, "cancel", 0, &info, &error) == LOCKER_OK); break;
  case LOCK: CHECK(locker_lock(client, "cancel", &options, &guard, &error) == LOCKER_TIMEOUT); break;
  case START: CHECK(locker_lock_start(client, "cancel", &options, &guard, &error) == LOCKER_OK); break;
  case DISPATCH: CHECK(locker_dispatch(client, 0, NULL, &error) == LOCKER_OK); break;
  case CALLS: break;
  }
}

/* Is cancelled when it makes the call, and ends after that: here, where the stack has nothing that the sanitizer marked. */
static void *make_call_and_end(void *argument) {
  make_call((call)(uintptr_t)argument);
  pthread_testcancel();
  return NULL;
}

static void a_cancelled_thread_ends_after_its_call(call call) {
  void *result = NULL;
  client = connected_for_loop(0);
  locker_lock_options options = {.struct_size = sizeof options, .on_change = listen};
  locker_guard guard;
  OK(locker_lock(client, "cancel", &options, &guard, &error));
  CHECK(due_within(client, 60000));
  may_go.value = 0;
  pthread_t other = thread(make_call_and_end, (void *)(uintptr_t)call);
  CHECK(pthread_cancel(other) == 0);
  count_up(&may_go);
  pthread_join(other, &result);
  CHECK(result == PTHREAD_CANCELED);
  OK(locker_disconnect(client, 0, &error));
}

/* --- a thread's last code: when what belongs to the thread is being destroyed, in several rounds */

static pthread_key_t key;
static locker_watcher watcher;
static count unwatched = COUNT, late = COUNT;

static void unwatch_there(void *user_data, locker_guard guard, locker_state state, const locker_error *error_) {
  (void)user_data, (void)guard, (void)error_;
  if (state != LOCKER_HELD) return;
  OK(locker_unwatch(watcher, 0, &error)); /* which a callback of its own client may do */
  count_up(&unwatched);
}

static void say_nothing(void *user_data, const locker_info *info, const locker_error *error) {
  (void)user_data, (void)info, (void)error;
}

static void dispatch_late(void *round) {
  if ((uintptr_t)round < 3) {
    CHECK(pthread_setspecific(key, (void *)((uintptr_t)round + 1)) == 0);
    return;
  }
  locker_watch_options watch = {.struct_size = sizeof watch, .on_event = say_nothing};
  locker_lock_options options = {.struct_size = sizeof options, .on_change = unwatch_there};
  locker_guard guard;
  OK(locker_watch(client, "late", &watch, &watcher, &error));
  OK(locker_lock(client, "late", &options, &guard, &error));
  while (counted(&unwatched) == 0)
    if (due_within(client, 1000)) dispatched(client, 0);
  OK(locker_unlock(guard, 0, &error));
  count_up(&late);
}

static void *end_late(void *unused) {
  (void)unused;
  locker_info info;
  /* So that there is something to be destroyed. */
  OK(locker_get(client, "late", 0, &info, &error));
  dispatched(client, 0);
  CHECK(pthread_setspecific(key, (void *)1) == 0);
  return NULL;
}

static void a_thread_dispatches_in_its_last_moment(void) {
  client = connected_for_loop(0);
  CHECK(pthread_key_create(&key, dispatch_late) == 0);
  pthread_join(thread(end_late, NULL), NULL);
  CHECK(counted(&late) == 1);
  OK(locker_disconnect(client, 0, &error));
}

/* --- a call that does not wait takes less than the millisecond of a timer */

static void what_does_not_wait_takes_no_time(void) {
  enum { ROUNDS = 500 };
  client = connected();
  locker_guard holder = locked(client, "now"), waits;
  locker_watcher reads;
  locker_info info;
  locker_error error_;
  OK(locker_lock_start(client, "now", NULL, &waits, &error));
  OK(locker_watch(client, "now", NULL, &reads, &error));
  while (locker_watch_next(reads, 200, &info, &error_) == LOCKER_OK) {
  }
  int64_t best = INT64_MAX;
  for (int i = 0; i < 5; i++) {
    int64_t begin = now_ms();
    for (int k = 0; k < ROUNDS; k++) {
      CHECK(locker_watch_next(reads, LOCKER_NO_WAIT, &info, &error_) == LOCKER_TIMEOUT);
      FAILS(LOCKER_TIMEOUT, "now", locker_wait(waits, LOCKER_NO_WAIT, &error));
    }
    if (now_ms() - begin < best) best = now_ms() - begin;
  }
  /* With timers it would be 1000. */
  CHECK(best < ROUNDS || getenv("LOCKER_VALGRIND_RUNS"));
  OK(locker_unlock(waits, 0, &error));
  OK(locker_unlock(holder, 0, &error));
  leave(client);
}

int main(void) {
  no_descriptor_is_left();
  for (call call = GET; call < CALLS; call++) a_cancelled_thread_ends_after_its_call(call);
  a_thread_dispatches_in_its_last_moment();
  what_does_not_wait_takes_no_time();
  locker_shutdown(0);
}
