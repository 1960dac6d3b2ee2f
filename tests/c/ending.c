/* Handles that were ended without a wait: the callbacks of those, too, are over when the client's end has been waited for. */
#include "loop.h"

#include <stdatomic.h>

/* What callbacks refer to: gone, for the sanitizer, when the client has. */
typedef struct target {
  count entered, returned, freed;
  bool ends_itself;
  volatile int touched;
} target;

static target *new_target(bool ends_itself) {
  target *target = malloc(sizeof *target);
  CHECK(target);
  *target = (struct target){.entered = COUNT, .returned = COUNT, .freed = COUNT, .ends_itself = ends_itself};
  return target;
}

/* Long enough for a call that does not wait for it to be over first. */
static void be_slow(target *target) {
  count_up(&target->entered);
  sleep_ms(100);
  target->touched++;
  count_up(&target->returned);
}

static void on_change(void *user_data, locker_guard guard, locker_state state, const locker_error *error_) {
  target *target = user_data;
  (void)error_;
  if (target->ends_itself && state == LOCKER_HELD) OK(locker_unlock(guard, LOCKER_NO_WAIT, &error));
  be_slow(target);
}

static void on_event(void *user_data, const locker_info *info, const locker_error *error) {
  (void)info, (void)error;
  be_slow(user_data);
}

static void free_target(void *user_data) { count_up(&((target *)user_data)->freed); }

static locker_guard guarded(locker_client client, target *target) {
  locker_lock_options options = {
      .struct_size = sizeof options, .on_change = on_change, .user_data = target, .free_user_data = free_target};
  locker_guard guard;
  OK(locker_lock_start(client, "ending", &options, &guard, &error));
  return guard;
}

static locker_watcher watched(locker_client client, target *target) {
  locker_watch_options options = {
      .struct_size = sizeof options, .on_event = on_event, .user_data = target, .free_user_data = free_target};
  locker_watcher watcher;
  OK(locker_watch(client, "ending", &options, &watcher, &error));
  return watcher;
}

/* Whose callbacks a call has waited for are over, and it is not used any more. */
static void is_over(target *target, int told) {
  CHECK(counted(&target->entered) == told && counted(&target->returned) == told && counted(&target->freed) == 1);
  free(target);
}

static void a_guard_was_unlocked(void) {
  locker_client client = connected();
  target *target = new_target(false);
  locker_guard guard = guarded(client, target);
  await(&target->entered, 1);
  OK(locker_unlock(guard, LOCKER_NO_WAIT, &error));
  OK(locker_disconnect(client, 0, &error));
  is_over(target, 2); /* HELD, ENDED */
}

static void a_callback_unlocked_its_guard(void) {
  locker_client client = connected();
  target *target = new_target(true);
  guarded(client, target);
  await(&target->entered, 1);
  OK(locker_disconnect(client, 0, &error));
  is_over(target, 2);
}

static void a_watcher_was_unwatched(void) {
  locker_client client = connected();
  target *target = new_target(false);
  locker_watcher watcher = watched(client, target);
  await(&target->entered, 1);
  OK(locker_unwatch(watcher, LOCKER_NO_WAIT, &error));
  OK(locker_disconnect(client, 0, &error));
  is_over(target, 1);
}

/* And a limit is kept. */
static void it_takes_too_long(void) {
  locker_client client = connected();
  target *target = new_target(false);
  locker_guard guard = guarded(client, target);
  await(&target->entered, 1);
  OK(locker_unlock(guard, LOCKER_NO_WAIT, &error));
  FAILS(LOCKER_TIMEOUT, "callback", locker_disconnect(client, 20, &error));
  await(&target->freed, 1);
  is_over(target, 2);
}

/* --- dispatched by another thread */

static locker_client dispatched_client;

static void *dispatch_once(void *unused) {
  (void)unused;
  CHECK(due_within(dispatched_client, 60000));
  locker_dispatch(dispatched_client, 0, NULL, NULL);
  return NULL;
}

typedef enum how { DISCONNECT, SHUTDOWN, DISCONNECT_THEN_SHUTDOWN } how;

static void the_callback_of_another_thread(bool watches, how how) {
  dispatched_client = connected_for_loop(0);
  target *target = new_target(!watches);
  locker_watcher watcher = {0};
  if (watches) watcher = watched(dispatched_client, target);
  else guarded(dispatched_client, target);
  pthread_t other = thread(dispatch_once, NULL);
  await(&target->entered, 1);
  if (watches) OK(locker_unwatch(watcher, LOCKER_NO_WAIT, &error));
  if (how == DISCONNECT_THEN_SHUTDOWN) OK(locker_disconnect(dispatched_client, LOCKER_NO_WAIT, &error));
  if (how == DISCONNECT) OK(locker_disconnect(dispatched_client, 0, &error));
  else locker_shutdown(0);
  is_over(target, 1);
  pthread_join(other, NULL);
}

int main(void) {
  a_guard_was_unlocked();
  a_callback_unlocked_its_guard();
  a_watcher_was_unwatched();
  it_takes_too_long();
  for (int watches = 0; watches < 2; watches++)
    for (how how = DISCONNECT; how <= DISCONNECT_THEN_SHUTDOWN; how++) the_callback_of_another_thread(watches, how);
  CHECK(locker_live_handles() == 0);
  locker_shutdown(0);
}
