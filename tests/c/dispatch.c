/* Callbacks that the host runs: what is told, on which thread, and that nothing is after the call that ended it. */
#include "loop.h"

#include <stddef.h>

static locker_client client;

/* --- who may */

static void only_a_client_for_it(void) {
  locker_client plain = connected(), other = {0};
  int fd = 77;
  size_t ran = 77;
  FAILS(LOCKER_INVALID, "without options.dispatch", locker_client_fd(plain, &fd, &error));
  FAILS(LOCKER_INVALID, "without options.dispatch", locker_dispatch(plain, 0, &ran, &error));
  FAILS(LOCKER_INVALID, "out is NULL", locker_client_fd(client, NULL, &error));
  const uint64_t none[] = {0, UINT64_MAX, locked(plain, "a guard").id};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    FAILS(LOCKER_BAD_HANDLE, "client", locker_client_fd((locker_client){none[i]}, &fd, &error));
    FAILS(LOCKER_BAD_HANDLE, "client", locker_dispatch((locker_client){none[i]}, 0, &ran, &error));
  }
  OK(locker_disconnect(plain, 0, &error));
  FAILS(LOCKER_BAD_HANDLE, "client", locker_client_fd(plain, &fd, &error));
  FAILS(LOCKER_BAD_HANDLE, "client", locker_dispatch(plain, 0, &ran, &error));
  CHECK(fd == 77 && ran == 77);
  CHECK(locker_dispatch(client, 0, NULL, NULL) == LOCKER_OK);

  locker_connect_options options = {.struct_size = sizeof options, .dispatch = 2};
  FAILS(LOCKER_INVALID, "options.dispatch", locker_connect(endpoints(), &options, &other, &error));
  options.dispatch = -1;
  FAILS(LOCKER_INVALID, "options.dispatch", locker_connect(endpoints(), &options, &other, &error));
  options.dispatch = 0, options.reserved = 1;
  FAILS(LOCKER_INVALID, "options.reserved", locker_connect(endpoints(), &options, &other, &error));
  /* A program that was compiled before there was a loop: what lies behind its options is not looked at. */
  options.struct_size = offsetof(locker_connect_options, dispatch), options.dispatch = 1;
  OK(locker_connect(endpoints(), &options, &other, &error));
  FAILS(LOCKER_INVALID, "without options.dispatch", locker_client_fd(other, &fd, &error));
  OK(locker_disconnect(other, 0, &error));
}

/* --- what is told */

static void changes_come_in_order_on_this_thread(void) {
  story first = STORY, second = STORY;
  CHECK(!due_within(client, 0));
  locker_guard a = started(client, "order", &first), b = started(client, "order", &second);
  OK(locker_wait(a, 0, &error));
  CHECK(counted(&first.told) == 0); /* for nobody has dispatched */
  loop_until(client, &first.told, 1);
  CHECK(first.states[0] == LOCKER_HELD && first.codes[0] == LOCKER_OK && counted(&second.told) == 0);
  OK(locker_unlock(a, LOCKER_NO_WAIT, &error));
  CHECK(counted(&first.told) == 1 && counted(&first.freed) == 1); /* at once, and that it ended is not told */
  loop_until(client, &second.told, 1);
  CHECK(second.states[0] == LOCKER_HELD);
  OK(locker_unlock(b, 0, &error));
  CHECK(counted(&second.told) == 1 && counted(&second.freed) == 1);
  /* A call that would wait is none of a callback's any more. */
  locker_info info;
  OK(locker_get(client, "order", 0, &info, &error));
  CHECK(threads("locker-call") == 0);
}

/* What nobody asked for: a wait that took too long, and a loss. */
static void other_ends_are_told(void) {
  story late = STORY, loses = STORY;
  locker_guard holder = locked(client, "late"), guard;
  locker_lock_options hasty = changes_to(&late);
  hasty.timeout_ms = 30;
  OK(locker_lock_start(client, "late", &hasty, &guard, &error));
  loop_until(client, &late.freed, 1);
  CHECK(counted(&late.told) == 1 && late.states[0] == LOCKER_ENDED && late.codes[0] == LOCKER_TIMEOUT);
  CHECK(locker_unlock(guard, 0, NULL) != LOCKER_BAD_HANDLE);
  OK(locker_unlock(holder, 0, &error));

  guard = started(client, "lost", &loses);
  loop_until(client, &loses.told, 1);
  delete_queue("lost");
  loop_until(client, &loses.freed, 1);
  int last = counted(&loses.told) - 1;
  CHECK(loses.states[last] == LOCKER_ENDED && loses.codes[last] == LOCKER_LOST);
  FAILS(LOCKER_LOST, "", locker_unlock(guard, LOCKER_NO_WAIT, &error));
  CHECK(counted(&late.freed) == 1 && counted(&loses.freed) == 1);
}

static void a_watcher_is_told(void) {
  story watches = STORY;
  locker_watcher watcher = watching(client, "watched", &watches);
  loop_until(client, &watches.told, 1);
  CHECK(watches.token == 0);
  for (int i = 0; i < 3; i++) {
    locker_guard guard = locked(client, "watched");
    for (int told = counted(&watches.told); watches.token != locker_guard_token(guard); told++)
      loop_until(client, &watches.told, told + 1);
    OK(locker_unlock(guard, 0, &error));
    for (int told = counted(&watches.told); watches.token != 0; told++) loop_until(client, &watches.told, told + 1);
  }
  OK(locker_unwatch(watcher, 0, &error));
  CHECK(counted(&watches.freed) == 1);
}

static void a_guard_is_heard_later(void) {
  story late = STORY, none = STORY, spent = STORY;
  locker_guard guard = locked(client, "later");
  OK(locker_on_change(guard, tell_change, &late, free_story, &error));
  FAILS(LOCKER_INVALID, "on_change", locker_on_change(guard, tell_change, &none, free_story, &error));
  loop_until(client, &late.told, 1);
  CHECK(late.states[0] == LOCKER_HELD && counted(&none.freed) == 1);
  OK(locker_unlock(guard, 0, &error));
  FAILS(LOCKER_BAD_HANDLE, "guard", locker_on_change(guard, tell_change, &spent, free_story, &error));
  CHECK(counted(&late.told) == 1 && counted(&late.freed) == 1 && counted(&spent.freed) == 1);
}

/* --- after the end */

/* Ends with callbacks due: none of them comes, and the user data is freed when the call returns. */
static void nothing_is_told_after_the_end(int64_t timeout_ms) {
  story holds = STORY, watches = STORY;
  locker_guard guard = started(client, "end", &holds);
  locker_watcher watcher = watching(client, "end", &watches);
  OK(locker_wait(guard, 0, &error));
  CHECK(due_within(client, 60000));
  OK(locker_unlock(guard, timeout_ms, &error));
  CHECK(counted(&holds.told) == 0 && counted(&holds.freed) == 1);
  OK(locker_unwatch(watcher, timeout_ms, &error));
  CHECK(counted(&watches.told) == 0 && counted(&watches.freed) == 1);
  /* The descriptor may be readable for what is no more; it is not after that. */
  CHECK(dispatched(client, 0) == 0);
  locker_guard next = locked(client, "end");
  OK(locker_unlock(next, 0, &error));
  CHECK(!due_within(client, 50) && dispatched(client, 0) == 0);
}

static void a_client_ends(int64_t timeout_ms, bool by_shutdown) {
  locker_client own = connected_for_loop(0);
  int fd = fd_of(own);
  story holds = STORY, waits = STORY, watches = STORY, told = STORY;
  started(own, "client", &told);
  loop_until(own, &told.told, 1);
  started(own, "x", &holds);
  started(own, "x", &waits);
  watching(own, "x", &watches);
  CHECK(due_within(own, 60000));
  if (by_shutdown) locker_shutdown(timeout_ms);
  else OK(locker_disconnect(own, timeout_ms, &error));
  CHECK(counted(&holds.freed) == 1 && counted(&waits.freed) == 1);
  CHECK(counted(&watches.freed) == 1 && counted(&told.freed) == 1);
  CHECK(counted(&holds.told) == 0 && counted(&waits.told) == 0);
  CHECK(counted(&watches.told) == 0 && counted(&told.told) == 1);
  CHECK(fcntl(fd, F_GETFD) == -1 && errno == EBADF);
  FAILS(LOCKER_BAD_HANDLE, "client", locker_dispatch(own, 0, NULL, &error));
}

/* Calls that fail: refused, in vain, and of a client that ends. */
static void user_data_of_failed_calls(void) {
  story story = STORY;
  locker_lock_options options = changes_to(&story), hasty = options;
  hasty.timeout_ms = LOCKER_NO_WAIT;
  locker_watch_options watch = {
      .struct_size = sizeof watch, .on_event = tell_event, .user_data = &story, .free_user_data = free_story};
  locker_guard guard, holder = locked(client, "busy");
  locker_watcher watcher;
  int freed = 0;
  FAILS(LOCKER_INVALID, "name", locker_lock_start(client, "", &options, &guard, &error));
  CHECK(counted(&story.freed) == ++freed);
  FAILS(LOCKER_INVALID, "out", locker_lock(client, "busy", &options, NULL, &error));
  CHECK(counted(&story.freed) == ++freed);
  FAILS(LOCKER_INVALID, "name", locker_watch(client, NULL, &watch, &watcher, &error));
  CHECK(counted(&story.freed) == ++freed);
  FAILS(LOCKER_TIMEOUT, "busy", locker_lock(client, "busy", &hasty, &guard, &error));
  CHECK(counted(&story.freed) == ++freed && counted(&story.told) == 0);
  hasty.timeout_ms = 30;
  FAILS(LOCKER_TIMEOUT, "busy", locker_lock(client, "busy", &hasty, &guard, &error));
  CHECK(counted(&story.freed) == ++freed && counted(&story.told) == 0);
  OK(locker_unlock(holder, 0, &error));
  dispatched(client, 0);
  CHECK(counted(&story.freed) == freed && counted(&story.told) == 0);
}

/* --- in a callback */

static locker_client second;
static locker_watcher pulled;
static void call_everything(story *story, locker_guard guard) {
  locker_info info;
  locker_client c;
  locker_guard g;
  locker_watcher w;
  story->then = NULL;
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_dispatch(client, 0, NULL, &error));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_dispatch(second, 0, NULL, &error));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_connect(endpoints(), NULL, &c, &error));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_lock(client, "other", NULL, &g, &error));
  const char *names[] = {"other", "another"};
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_lock_all(client, names, 2, NULL, &g, &error));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_get(client, "other", 0, &info, &error));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_watch(client, "other", NULL, &w, &error));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_wait(guard, 0, &error));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_unlock(guard, 0, &error));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_watch_next(pulled, 10, &info, &error));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_disconnect(client, 0, &error));
  CHECK(fd_of(client) >= 0 && locker_guard_state(guard) == LOCKER_HELD);
  OK(locker_wait(guard, LOCKER_NO_WAIT, &error));
  OK(locker_lock_start(client, "other", NULL, &g, &error));
  OK(locker_unlock(g, LOCKER_NO_WAIT, &error));
  OK(locker_lock_all_start(client, names, 2, NULL, &g, &error));
  OK(locker_unlock(g, LOCKER_NO_WAIT, &error));
  OK(locker_unlock(guard, LOCKER_NO_WAIT, &error));
  FAILS(LOCKER_BAD_HANDLE, "guard", locker_unlock(guard, LOCKER_NO_WAIT, &error));
  CHECK(counted(&story->freed) == 0); /* for this runs with it */
}

static void nothing_waits_in_a_callback(void) {
  story story = STORY;
  OK(locker_watch(client, "pulled", NULL, &pulled, &error));
  second = connected_for_loop(0);
  story.then = call_everything;
  started(client, "inside", &story);
  loop_until(client, &story.told, 1);
  CHECK(counted(&story.told) == 1 && counted(&story.freed) == 1); /* when the callback had returned */
  OK(locker_disconnect(second, 0, &error));
  OK(locker_unwatch(pulled, 0, &error));
}

/* A watcher, a guard and a client that end in their own callback, and one that ends another. */
static locker_watcher own_watcher;
static void unwatch_own(story *story, locker_guard none) {
  (void)none;
  OK(locker_unwatch(own_watcher, 0, &error));
  CHECK(counted(&story->freed) == 0);
}

static locker_client own_client;
static void disconnect_own(story *story, locker_guard guard) {
  int fd = fd_of(own_client);
  OK(locker_disconnect(own_client, LOCKER_NO_WAIT, &error));
  CHECK(counted(&story->freed) == 0 && locker_guard_state(guard) == LOCKER_NONE && fcntl(fd, F_GETFD) == -1);
}

static void shut_down(story *story, locker_guard guard) {
  (void)guard;
  locker_shutdown(0);
  CHECK(counted(&story->freed) == 0 && locker_live_handles() == 0);
}

static story *other_story;
static locker_guard other_guard;
static void end_other(story *story, locker_guard guard) {
  (void)story, (void)guard;
  OK(locker_unlock(other_guard, LOCKER_NO_WAIT, &error));
  CHECK(counted(&other_story->freed) == 1 && counted(&other_story->told) == 0);
}

static void a_handle_ends_in_a_callback(void) {
  story watches = STORY, ends = STORY, first = STORY, other = STORY;
  watches.then = unwatch_own;
  own_watcher = watching(client, "own", &watches);
  loop_until(client, &watches.freed, 1);
  CHECK(counted(&watches.told) == 1);

  own_client = connected_for_loop(0);
  ends.then = disconnect_own;
  started(own_client, "own", &ends);
  CHECK(due_within(own_client, 60000) && dispatched(own_client, 0) == 1);
  CHECK(counted(&ends.told) == 1 && counted(&ends.freed) == 1);

  /* Both are due at once; the first ends the second. */
  first.then = end_other, other_story = &other;
  locker_guard guard = started(client, "first", &first);
  CHECK(due_within(client, 60000));
  other_guard = started(client, "second", &other);
  OK(locker_wait(other_guard, 0, &error));
  loop_until(client, &first.told, 1);
  dispatched(client, 0);
  CHECK(counted(&other.told) == 0 && counted(&other.freed) == 1);
  OK(locker_unlock(guard, 0, &error));
}

static void shutdown_in_a_callback(void) {
  client = connected_for_loop(0);
  story story = STORY;
  story.then = shut_down;
  started(client, "shutdown", &story);
  CHECK(due_within(client, 60000) && dispatched(client, 0) == 1);
  CHECK(counted(&story.told) == 1 && counted(&story.freed) == 1);
  locker_shutdown(0);
  CHECK(threads(NULL) == 1);
}

/* The callback of a client with a thread is a callback, too. */
static count refused = COUNT;
static void dispatch_elsewhere(void *user_data, locker_guard guard, locker_state state, const locker_error *error_) {
  (void)user_data, (void)guard, (void)error_;
  if (state != LOCKER_HELD) return;
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_dispatch(client, 0, NULL, &error));
  count_up(&refused);
}

static void not_in_the_callback_of_another(void) {
  locker_client plain = connected();
  locker_lock_options options = {.struct_size = sizeof options, .on_change = dispatch_elsewhere};
  locker_guard guard;
  OK(locker_lock(plain, "plain", &options, &guard, &error));
  await(&refused, 1);
  OK(locker_disconnect(plain, 0, &error));
}

/* --- a loop that is slow */

static int64_t busy_until;
static void be_slow(story *story, locker_guard guard) {
  story->then = NULL;
  while (now_ms() < busy_until) {
    sleep_ms(20);
    CHECK(locker_guard_remaining_ms(guard) > 0);
  }
}

/* Neither a callback that takes longer than the lease nor a loop that does not come costs a lock or keeps a call waiting. */
static void slow_loop_costs_no_lease(void) {
  locker_client hasty = connected_for_loop(2000);
  story slow = STORY, behind = STORY;
  slow.then = be_slow;
  locker_guard guard = started(hasty, "slow", &slow), other = started(hasty, "behind it", &behind);
  OK(locker_wait(other, 0, &error));
  busy_until = now_ms() + 3000;
  loop_until(hasty, &slow.told, 1);
  CHECK(locker_guard_state(guard) == LOCKER_HELD && now_ms() >= busy_until);
  for (int64_t end = now_ms() + 2500; now_ms() < end; sleep_ms(50)) CHECK(locker_guard_remaining_ms(other) > 0);
  OK(locker_unlock(other, 0, &error));
  CHECK(counted(&behind.freed) == 1);
  OK(locker_disconnect(hasty, 0, &error));
  CHECK(counted(&slow.freed) == 1);
}

int main(void) {
  client = connected_for_loop(0);
  only_a_client_for_it();
  changes_come_in_order_on_this_thread();
  other_ends_are_told();
  a_watcher_is_told();
  a_guard_is_heard_later();
  nothing_is_told_after_the_end(0);
  nothing_is_told_after_the_end(LOCKER_NO_WAIT);
  a_client_ends(0, false);
  a_client_ends(LOCKER_NO_WAIT, false);
  user_data_of_failed_calls();
  nothing_waits_in_a_callback();
  a_handle_ends_in_a_callback();
  not_in_the_callback_of_another();
  slow_loop_costs_no_lease();
  CHECK(threads("locker") == 1 && threads("locker-call") == 0);
  leave(client);
  a_client_ends(0, true);
  a_client_ends(LOCKER_NO_WAIT, true);
  shutdown_in_a_callback();
}
