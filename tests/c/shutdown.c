/* locker_shutdown ends everything, and a later connect begins anew. */
#include "test.h"

static locker_client client;
static count freed = COUNT, held = COUNT, seen = COUNT;

static void on_change(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  (void)user_data, (void)guard, (void)error;
  if (state == LOCKER_HELD) count_up(&held);
}

static void on_event(void *user_data, const locker_info *info, const locker_error *error) {
  (void)user_data, (void)info, (void)error;
  count_up(&seen);
}

static void on_log(void *user_data, int32_t level, const char *message) {
  (void)user_data, (void)level, (void)message;
}

static void *wait_for_it(void *guard) {
  locker_code code = locker_wait(*(locker_guard *)guard, 0, NULL);
  CHECK(code == LOCKER_CANCELLED || code == LOCKER_BAD_HANDLE);
  return NULL;
}

static void everything_ends(void) {
  int before = counted(&freed), held_before = counted(&held), seen_before = counted(&seen);
  locker_set_log(4, on_log, &freed, count_free);
  client = connected();
  locker_client second = connected();
  locker_lock_options lock = {
      .struct_size = sizeof lock, .on_change = on_change, .user_data = &freed, .free_user_data = count_free};
  locker_watch_options watch = {
      .struct_size = sizeof watch, .on_event = on_event, .user_data = &freed, .free_user_data = count_free};
  locker_guard guard, waits;
  locker_watcher watcher;
  OK(locker_lock(client, "x", &lock, &guard, &error));
  OK(locker_lock_start(second, "x", &lock, &waits, &error));
  OK(locker_watch(second, "x", &watch, &watcher, &error));
  pthread_t waiter = thread(wait_for_it, &waits);
  /* Once it has called a thread has its name. */
  await(&held, held_before + 1);
  await(&seen, seen_before + 1);
  CHECK(threads("locker") == 1 && threads("locker-call") == 2);
  locker_shutdown(0);
  pthread_join(waiter, NULL);
  CHECK(counted(&freed) == before + 4);
  CHECK(locker_live_handles() == 0 && threads(NULL) == 1);
  CHECK(locker_guard_state(guard) == LOCKER_NONE);
  FAILS(LOCKER_BAD_HANDLE, "client", locker_disconnect(client, 0, &error));
}

static void what_was_held_is_free(void) {
  client = connected();
  locker_lock_options hasty = {.struct_size = sizeof hasty, .timeout_ms = LOCKER_NO_WAIT};
  locker_guard guard;
  OK(locker_lock(client, "x", &hasty, &guard, &error));
  OK(locker_unlock(guard, 0, &error));
  leave(client);
}

/* Every call after it, with handles from before. */
static void calls_after_it(void) {
  client = connected();
  locker_guard guard = locked(client, "after");
  locker_watcher watcher;
  OK(locker_watch(client, "after", NULL, &watcher, &error));
  locker_shutdown(0);
  int before = counted(&freed), fd;
  locker_info info;
  locker_lock_options lock = {
      .struct_size = sizeof lock, .on_change = on_change, .user_data = &freed, .free_user_data = count_free};
  locker_watch_options watch = {
      .struct_size = sizeof watch, .on_event = on_event, .user_data = &freed, .free_user_data = count_free};
  FAILS(LOCKER_BAD_HANDLE, "client", locker_lock(client, "x", &lock, &guard, &error));
  FAILS(LOCKER_BAD_HANDLE, "client", locker_lock_start(client, "x", &lock, &guard, &error));
  FAILS(LOCKER_BAD_HANDLE, "client", locker_watch(client, "x", &watch, &watcher, &error));
  FAILS(LOCKER_BAD_HANDLE, "guard", locker_on_change(guard, on_change, &freed, count_free, &error));
  CHECK(counted(&freed) == before + 4);
  FAILS(LOCKER_BAD_HANDLE, "client", locker_get(client, "x", 0, &info, &error));
  FAILS(LOCKER_BAD_HANDLE, "client", locker_get_cached(client, "x", 0, &info, &error));
  FAILS(LOCKER_BAD_HANDLE, "client", locker_client_fd(client, &fd, &error));
  FAILS(LOCKER_BAD_HANDLE, "client", locker_dispatch(client, 0, NULL, &error));
  FAILS(LOCKER_BAD_HANDLE, "client", locker_disconnect(client, 0, &error));
  FAILS(LOCKER_BAD_HANDLE, "guard", locker_wait(guard, 0, &error));
  FAILS(LOCKER_BAD_HANDLE, "guard", locker_guard_info(guard, &info, &error));
  FAILS(LOCKER_BAD_HANDLE, "guard", locker_unlock(guard, 0, &error));
  FAILS(LOCKER_BAD_HANDLE, "watcher", locker_watch_next(watcher, 0, &info, &error));
  FAILS(LOCKER_BAD_HANDLE, "watcher", locker_unwatch(watcher, 0, &error));
  CHECK(locker_guard_state(guard) == LOCKER_NONE && locker_guard_token(guard) == 0);
  CHECK(locker_guard_remaining_ms(guard) == 0 && locker_live_handles() == 0);
  locker_shutdown(0);
  CHECK(threads(NULL) == 1); /* and none of these has made one */
}

static void not_waited_for(void) {
  client = connected();
  locked(client, "x");
  locker_shutdown(LOCKER_NO_WAIT);
  CHECK(locker_live_handles() == 0);
  locker_shutdown(0);
  CHECK(threads(NULL) == 1);
  what_was_held_is_free();
  client = connected();
  locked(client, "x");
  locker_shutdown(LOCKER_NO_WAIT);
  client = connected(); /* on a runtime of its own */
  locker_guard guard = locked(client, "x");
  OK(locker_unlock(guard, 0, &error));
  leave(client);
}

/* What a disconnect left to be done behind it is done before the threads end. */
static void a_disconnect_behind_the_call_is_finished(void) {
  locker_client other = connected();
  locked(other, "x");
  OK(locker_disconnect(other, LOCKER_NO_WAIT, &error));
  locker_shutdown(0);
  CHECK(threads(NULL) == 1);
  what_was_held_is_free();
}

/* In a callback nothing is waited for. */
static count called = COUNT, own_freed = COUNT;
static void shut_down(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  (void)user_data, (void)guard, (void)error;
  if (state != LOCKER_HELD) return;
  locker_shutdown(0);
  CHECK(locker_live_handles() == 0);
  count_up(&called);
}

static void in_a_callback(void) {
  client = connected();
  locker_lock_options lock = {
      .struct_size = sizeof lock, .on_change = shut_down, .user_data = &own_freed, .free_user_data = count_free};
  locker_guard guard;
  OK(locker_lock_start(client, "y", &lock, &guard, &error));
  await(&called, 1);
  await(&own_freed, 1);
}

/* A callback that does not end does not keep it for longer than it was given. */
static count entered = COUNT, leave_now = COUNT;
static void hang(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  (void)user_data, (void)guard, (void)error;
  if (state != LOCKER_HELD) return;
  count_up(&entered);
  await(&leave_now, 1);
}

static void callback_does_not_end(void) {
  int before = counted(&freed);
  client = connected();
  locker_lock_options lock = {
      .struct_size = sizeof lock, .on_change = hang, .user_data = &freed, .free_user_data = count_free};
  locker_guard guard;
  OK(locker_lock(client, "z", &lock, &guard, &error));
  await(&entered, 1);
  int64_t begin = now_ms();
  locker_shutdown(300);
  CHECK(now_ms() - begin < 3000);
  CHECK(counted(&freed) == before && threads("locker") == 0 && threads("locker-call") == 1);
  /* A later one waits for what this one did not. */
  begin = now_ms();
  locker_shutdown(300);
  CHECK(now_ms() - begin >= 300 && threads("locker-call") == 1);
  count_up(&leave_now);
  locker_shutdown(0);
  CHECK(counted(&freed) == before + 1 && threads(NULL) == 1);
}

int main(void) {
  CHECK(threads(NULL) == 1);
  locker_shutdown(0); /* nothing to end */
  locker_shutdown(-5);
  for (int i = 0; i < 3; i++) everything_ends();
  what_was_held_is_free();
  calls_after_it();
  not_waited_for();
  a_disconnect_behind_the_call_is_finished();
  in_a_callback();
  callback_does_not_end();
  locker_shutdown(0);
}
