/* user_data is freed once, and not before the last callback, on every way that a call can go. */
#include "test.h"

static locker_client client;
static count freed = COUNT;
static const char not_utf8[] = {(char)0xff, 0};

static void on_change(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  (void)user_data, (void)guard, (void)state, (void)error;
}

static void on_event(void *user_data, const locker_info *info, const locker_error *error) {
  (void)user_data, (void)info, (void)error;
}

#define LOCK_OPTIONS                                                                                                   \
  .struct_size = sizeof(locker_lock_options), .on_change = on_change, .user_data = &freed, .free_user_data = count_free
#define WATCH_OPTIONS                                                                                                  \
  .struct_size = sizeof(locker_watch_options), .on_event = on_event, .user_data = &freed, .free_user_data = count_free

/* The call frees once before it returns. */
#define FREES(call)                                                                                                    \
  do {                                                                                                                 \
    int before = counted(&freed);                                                                                      \
    call;                                                                                                              \
    CHECK(counted(&freed) == before + 1);                                                                              \
  } while (0)

static void refused_locks(void) {
  typedef locker_code lock_fn(locker_client, const char *, const locker_lock_options *, locker_guard *, locker_error *);
  lock_fn *locks[] = {locker_lock, locker_lock_start};
  char long_name[LOCKER_NAME_MAX + 2], long_value[LOCKER_VALUE_MAX + 2];
  memset(long_name, 'n', sizeof long_name), long_name[sizeof long_name - 1] = 0;
  memset(long_value, 'v', sizeof long_value), long_value[sizeof long_value - 1] = 0;
  locker_client nobody = {0}, gone = connected();
  OK(locker_disconnect(gone, 0, &error));
  for (int i = 0; i < 2; i++) {
    lock_fn *lock = locks[i];
    locker_guard guard;
    locker_lock_options good = {LOCK_OPTIONS};
    locker_lock_options bad_value = {LOCK_OPTIONS, .value = not_utf8}, big_value = {LOCK_OPTIONS, .value = long_value};
    locker_lock_options bad_reason = {LOCK_OPTIONS, .reason = not_utf8}, bad_time = {LOCK_OPTIONS, .timeout_ms = -2};
    struct {
      locker_lock_options known;
      int64_t added;
    } newer = {{LOCK_OPTIONS}, 1};
    newer.known.struct_size = sizeof newer;
    FREES(FAILS(LOCKER_BAD_HANDLE, "client", lock(nobody, "x", &good, &guard, &error)));
    FREES(FAILS(LOCKER_BAD_HANDLE, "client", lock(gone, "x", &good, &guard, &error)));
    FREES(FAILS(LOCKER_INVALID, "name", lock(client, NULL, &good, &guard, &error)));
    FREES(FAILS(LOCKER_INVALID, "name", lock(client, not_utf8, &good, &guard, &error)));
    FREES(FAILS(LOCKER_INVALID, "name", lock(client, "", &good, &guard, &error)));
    FREES(FAILS(LOCKER_INVALID, "name", lock(client, long_name, &good, &guard, &error)));
    FREES(FAILS(LOCKER_INVALID, "out", lock(client, "x", &good, NULL, &error)));
    FREES(FAILS(LOCKER_INVALID, "value", lock(client, "x", &bad_value, &guard, &error)));
    FREES(FAILS(LOCKER_INVALID, "value", lock(client, "x", &big_value, &guard, &error)));
    FREES(FAILS(LOCKER_INVALID, "reason", lock(client, "x", &bad_reason, &guard, &error)));
    FREES(FAILS(LOCKER_INVALID, "timeout_ms", lock(client, "x", &bad_time, &guard, &error)));
    FREES(FAILS(LOCKER_INVALID, "newer", lock(client, "x", &newer.known, &guard, &error)));
  }
}

static void refused_watches(void) {
  locker_client nobody = {0};
  locker_watcher watcher;
  locker_watch_options good = {WATCH_OPTIONS};
  struct {
    locker_watch_options known;
    int64_t added;
  } newer = {{WATCH_OPTIONS}, 1};
  newer.known.struct_size = sizeof newer;
  FREES(FAILS(LOCKER_BAD_HANDLE, "client", locker_watch(nobody, "x", &good, &watcher, &error)));
  FREES(FAILS(LOCKER_INVALID, "name", locker_watch(client, NULL, &good, &watcher, &error)));
  FREES(FAILS(LOCKER_INVALID, "name", locker_watch(client, not_utf8, &good, &watcher, &error)));
  FREES(FAILS(LOCKER_INVALID, "name", locker_watch(client, "", &good, &watcher, &error)));
  FREES(FAILS(LOCKER_INVALID, "out", locker_watch(client, "x", &good, NULL, &error)));
  FREES(FAILS(LOCKER_INVALID, "newer", locker_watch(client, "x", &newer.known, &watcher, &error)));
}

/* Of a struct whose size is wrong nothing can be known, so it stays with the caller. */
static void wrong_struct_size(void) {
  int before = counted(&freed);
  locker_lock_options lock = {LOCK_OPTIONS};
  locker_watch_options watch = {WATCH_OPTIONS};
  lock.struct_size = watch.struct_size = 0;
  locker_guard guard;
  locker_watcher watcher;
  FAILS(LOCKER_INVALID, "struct_size", locker_lock(client, "x", &lock, &guard, &error));
  FAILS(LOCKER_INVALID, "struct_size", locker_lock_start(client, "x", &lock, &guard, &error));
  FAILS(LOCKER_INVALID, "struct_size", locker_watch(client, "x", &watch, &watcher, &error));
  CHECK(counted(&freed) == before);
}

/* Nothing will be called with it. */
static void no_callback(void) {
  locker_guard guard;
  locker_watcher watcher;
  locker_lock_options lock = {LOCK_OPTIONS};
  locker_watch_options watch = {WATCH_OPTIONS};
  lock.on_change = NULL;
  watch.on_event = NULL;
  FREES(OK(locker_lock(client, "none", &lock, &guard, &error)); OK(locker_unlock(guard, 0, &error)));
  FREES(OK(locker_lock_start(client, "none", &lock, &guard, &error)); OK(locker_unlock(guard, 0, &error)));
  FREES(OK(locker_watch(client, "none", &watch, &watcher, &error)); OK(locker_unwatch(watcher, 0, &error)));
}

static void ends(void) {
  locker_guard guard;
  locker_watcher watcher;
  locker_lock_options lock = {LOCK_OPTIONS};
  locker_watch_options watch = {WATCH_OPTIONS};
  FREES(OK(locker_lock(client, "x", &lock, &guard, &error)); OK(locker_unlock(guard, 0, &error)));
  FREES(OK(locker_lock_start(client, "x", &lock, &guard, &error)); OK(locker_unlock(guard, 0, &error)));
  FREES(OK(locker_watch(client, "x", &watch, &watcher, &error)); OK(locker_unwatch(watcher, 0, &error)));

  locker_guard holder = locked(client, "busy");
  locker_lock_options hasty = {LOCK_OPTIONS, .timeout_ms = LOCKER_NO_WAIT};
  FREES(FAILS(LOCKER_TIMEOUT, "busy", locker_lock(client, "busy", &hasty, &guard, &error)));
  OK(locker_unlock(holder, 0, &error));

  int before = counted(&freed);
  OK(locker_lock(client, "x", &lock, &guard, &error));
  OK(locker_unlock(guard, LOCKER_NO_WAIT, &error));
  await(&freed, before + 1);
  OK(locker_watch(client, "x", &watch, &watcher, &error));
  OK(locker_unwatch(watcher, LOCKER_NO_WAIT, &error));
  await(&freed, before + 2);
  CHECK(counted(&freed) == before + 2);
}

static void ends_with_its_client(void) {
  int before = counted(&freed);
  locker_guard guard;
  locker_watcher watcher;
  locker_lock_options lock = {LOCK_OPTIONS};
  locker_watch_options watch = {WATCH_OPTIONS};
  locker_client other = connected();
  OK(locker_lock(other, "y", &lock, &guard, &error));
  OK(locker_lock_start(other, "y", &lock, &guard, &error));
  OK(locker_watch(other, "y", &watch, &watcher, &error));
  OK(locker_disconnect(other, 0, &error));
  CHECK(counted(&freed) == before + 3);

  other = connected();
  OK(locker_lock(other, "y", &lock, &guard, &error));
  OK(locker_watch(other, "y", &watch, &watcher, &error));
  OK(locker_disconnect(other, LOCKER_NO_WAIT, &error));
  await(&freed, before + 5);
  CHECK(counted(&freed) == before + 5);
}

/* Refused because of where they are called: in a callback. */
static count done = COUNT;
static void call_in_callback(void *user_data, locker_guard guard, locker_state state, const locker_error *error_) {
  (void)user_data, (void)error_;
  if (state != LOCKER_HELD) return;
  locker_watcher watcher;
  locker_lock_options lock = {LOCK_OPTIONS};
  locker_watch_options watch = {WATCH_OPTIONS};
  FREES(FAILS(LOCKER_BAD_CONTEXT, "callback", locker_lock(client, "x", &lock, &guard, &error)));
  FREES(FAILS(LOCKER_BAD_CONTEXT, "callback", locker_watch(client, "x", &watch, &watcher, &error)));
  count_up(&done);
}

static void in_a_callback(void) {
  locker_guard guard;
  locker_lock_options lock = {.struct_size = sizeof lock, .on_change = call_in_callback};
  OK(locker_lock(client, "z", &lock, &guard, &error));
  OK(locker_unlock(guard, 0, &error));
  CHECK(counted(&done) == 1);
}

int main(void) {
  client = connected();
  refused_locks();
  refused_watches();
  wrong_struct_size();
  no_callback();
  ends();
  ends_with_its_client();
  in_a_callback();
  int before = counted(&freed);
  leave(client);
  CHECK(counted(&freed) == before);
}
