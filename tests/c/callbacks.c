/* on_change and on_event: what is told, where, in which order, and what may be called there. */
#include "test.h"

/* Everything that a guard told, and how often its user data was freed. */
typedef struct story {
  count told, freed;
  struct {
    uint64_t guard;
    locker_state state;
    int32_t code; /* LOCKER_OK: no error */
  } said[16];
  void (*then)(locker_guard guard, locker_state state);
} story;

#define STORY {.told = COUNT, .freed = COUNT}

static void on_change(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  story *story = user_data;
  int n = counted(&story->told);
  CHECK(n < 16 && counted(&story->freed) == 0);
  story->said[n].guard = guard.id;
  story->said[n].state = state;
  story->said[n].code = error ? error->code : LOCKER_OK;
  if (story->then) story->then(guard, state);
  count_up(&story->told);
}

static void free_story(void *user_data) { count_up(&((story *)user_data)->freed); }

static locker_lock_options told_to(story *story) {
  return (locker_lock_options){
      .struct_size = sizeof(locker_lock_options), .on_change = on_change, .user_data = story, .free_user_data = free_story};
}

static void said(story *story, int n, locker_state state, int32_t code) {
  if (story->said[n].state != state || story->said[n].code != code)
    fprintf(stderr, "change %d: state %d code %d\n", n, story->said[n].state, story->said[n].code);
  CHECK(story->said[n].state == state && story->said[n].code == code);
}

static locker_client client;

static void changes_come_in_order(void) {
  story first = STORY, second = STORY;
  locker_lock_options one = told_to(&first), two = told_to(&second);
  locker_guard a, b;
  OK(locker_lock(client, "order", &one, &a, &error));
  OK(locker_lock_start(client, "order", &two, &b, &error));
  await(&first.told, 1);
  CHECK(counted(&second.told) == 0);
  OK(locker_unlock(a, 0, &error));
  /* No callback comes after this. */
  CHECK(counted(&first.told) == 2 && counted(&first.freed) == 1);
  said(&first, 0, LOCKER_HELD, LOCKER_OK);
  said(&first, 1, LOCKER_ENDED, LOCKER_OK);
  CHECK(first.said[0].guard == a.id && first.said[1].guard == a.id);
  await(&second.told, 1);
  OK(locker_unlock(b, 0, &error));
  CHECK(counted(&second.told) == 2 && counted(&second.freed) == 1);
  said(&second, 0, LOCKER_HELD, LOCKER_OK);
  said(&second, 1, LOCKER_ENDED, LOCKER_OK);
}

static void failure_is_told(void) {
  locker_guard holder = locked(client, "failure"), guard;
  story waits = STORY, tries = STORY, leaves = STORY;
  locker_lock_options options = told_to(&tries);
  options.timeout_ms = 50;
  FAILS(LOCKER_TIMEOUT, "failure", locker_lock(client, "failure", &options, &guard, &error));
  CHECK(counted(&tries.told) == 1 && counted(&tries.freed) == 1);
  said(&tries, 0, LOCKER_ENDED, LOCKER_TIMEOUT);

  options = told_to(&waits);
  options.timeout_ms = 50;
  OK(locker_lock_start(client, "failure", &options, &guard, &error));
  await(&waits.freed, 1);
  said(&waits, 0, LOCKER_ENDED, LOCKER_TIMEOUT);
  CHECK(locker_guard_state(guard) == LOCKER_ENDED && counted(&waits.told) == 1);
  locker_unlock(guard, 0, NULL);

  options = told_to(&leaves);
  OK(locker_lock_start(client, "failure", &options, &guard, &error));
  OK(locker_unlock(guard, 0, &error));
  CHECK(counted(&leaves.told) == 1 && counted(&leaves.freed) == 1);
  said(&leaves, 0, LOCKER_ENDED, LOCKER_OK);
  OK(locker_unlock(holder, 0, &error));
}

/* A guard made without on_change is heard from when somebody asks, as if it had been made with it. */
static void a_guard_is_heard_later(void) {
  story late = STORY, second = STORY, fails = STORY, spent = STORY, none = STORY;
  locker_guard guard = locked(client, "later"), busy;
  OK(locker_on_change(guard, on_change, &late, free_story, &error));
  await(&late.told, 1);
  said(&late, 0, LOCKER_HELD, LOCKER_OK);
  FAILS(LOCKER_INVALID, "on_change", locker_on_change(guard, on_change, &second, free_story, &error));
  FAILS(LOCKER_INVALID, "on_change", locker_on_change(guard, NULL, &none, free_story, &error));
  CHECK(counted(&second.freed) == 1 && counted(&none.freed) == 1);

  locker_lock_options hasty = {.struct_size = sizeof hasty, .timeout_ms = 50};
  OK(locker_lock_start(client, "later", &hasty, &busy, &error));
  while (locker_guard_state(busy) != LOCKER_ENDED) FAILS(LOCKER_TIMEOUT, "later", locker_wait(busy, 1000, &error));
  OK(locker_on_change(busy, on_change, &fails, free_story, &error));
  await(&fails.freed, 1);
  CHECK(counted(&fails.told) == 1);
  said(&fails, 0, LOCKER_ENDED, LOCKER_TIMEOUT);
  locker_unlock(busy, 0, NULL);

  OK(locker_unlock(guard, 0, &error));
  CHECK(counted(&late.told) == 2 && counted(&late.freed) == 1);
  said(&late, 1, LOCKER_ENDED, LOCKER_OK);
  FAILS(LOCKER_BAD_HANDLE, "guard", locker_on_change(guard, on_change, &spent, free_story, &error));
  CHECK(counted(&spent.freed) == 1);
  CHECK(counted(&second.told) == 0 && counted(&none.told) == 0 && counted(&spent.told) == 0);
}

static void disconnect_is_told(void) {
  locker_client other = connected();
  story holds = STORY, waits = STORY;
  locker_lock_options one = told_to(&holds), two = told_to(&waits);
  locker_guard a, b;
  OK(locker_lock(other, "gone", &one, &a, &error));
  OK(locker_lock_start(other, "gone", &two, &b, &error));
  OK(locker_disconnect(other, 0, &error));
  CHECK(counted(&holds.freed) == 1 && counted(&waits.freed) == 1);
  said(&holds, 0, LOCKER_HELD, LOCKER_OK);
  said(&holds, 1, LOCKER_ENDED, LOCKER_CANCELLED);
  said(&waits, 0, LOCKER_ENDED, LOCKER_CANCELLED);
  CHECK(counted(&holds.told) == 2 && counted(&waits.told) == 1);
}

/* What a callback may call and what not. */
static locker_watcher watched;
static void call_everything(locker_guard guard, locker_state state) {
  if (state != LOCKER_HELD) return;
  locker_info info;
  locker_client c;
  locker_guard g;
  locker_watcher w;
  CHECK(locker_guard_state(guard) == LOCKER_HELD && locker_guard_token(guard) > 0);
  OK(locker_guard_info(guard, &info, &error));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_connect(endpoints(), NULL, &c, &error));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_lock(client, "other", NULL, &g, &error));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_get(client, "other", 0, &info, &error));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_watch(client, "other", NULL, &w, &error));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_wait(guard, 0, &error));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_unlock(guard, 0, &error));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_watch_next(watched, 10, &info, &error));
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_disconnect(client, 0, &error));
  OK(locker_wait(guard, LOCKER_NO_WAIT, &error));
  OK(locker_watch_next(watched, LOCKER_NO_WAIT, &info, &error));
  OK(locker_lock_start(client, "other", NULL, &g, &error));
  OK(locker_unlock(g, LOCKER_NO_WAIT, &error));
  OK(locker_unwatch(watched, 0, &error)); /* none of this client's callbacks can be running */
  OK(locker_unlock(guard, LOCKER_NO_WAIT, &error));
  CHECK(locker_guard_state(guard) == LOCKER_NONE);
  FAILS(LOCKER_BAD_HANDLE, "guard", locker_unlock(guard, LOCKER_NO_WAIT, &error));
}

static void nothing_waits_in_a_callback(void) {
  story story = STORY;
  story.then = call_everything;
  locker_lock_options options = told_to(&story);
  locker_guard guard;
  locker_info info;
  OK(locker_watch(client, "watched", NULL, &watched, &error));
  /* Something to read at once. */
  OK(locker_watch_next(watched, 0, &info, &error));
  locker_guard change = locked(client, "watched");
  locker_watcher second;
  OK(locker_watch(client, "watched", NULL, &second, &error));
  OK(locker_watch_next(second, 0, &info, &error));
  while (info.token != locker_guard_token(change)) OK(locker_watch_next(second, 0, &info, &error));
  OK(locker_unwatch(second, 0, &error));
  OK(locker_lock_start(client, "inside", &options, &guard, &error));
  await(&story.freed, 1);
  CHECK(counted(&story.told) == 2);
  said(&story, 1, LOCKER_ENDED, LOCKER_OK);
  OK(locker_unlock(change, 0, &error));
}

static locker_client doomed;
static void disconnect_own_client(locker_guard guard, locker_state state) {
  (void)guard;
  if (state == LOCKER_HELD) OK(locker_disconnect(doomed, LOCKER_NO_WAIT, &error));
}

static void client_ends_in_its_own_callback(void) {
  doomed = connected();
  story story = STORY;
  story.then = disconnect_own_client;
  locker_lock_options options = told_to(&story);
  locker_guard guard;
  OK(locker_lock_start(doomed, "doomed", &options, &guard, &error));
  await(&story.freed, 1);
  said(&story, 1, LOCKER_ENDED, LOCKER_CANCELLED);
  CHECK(locker_guard_state(guard) == LOCKER_NONE);
  /* What it held is free again. */
  locker_guard next = locked(client, "doomed");
  OK(locker_unlock(next, 0, &error));
}

/* HELD, ENDED by locker_unlock, and between them what a slow machine does to a short lease. */
static void was_held(story *story) {
  int last = counted(&story->told) - 1;
  CHECK(last >= 1);
  said(story, 0, LOCKER_HELD, LOCKER_OK);
  for (int i = 1; i < last; i++)
    said(story, i, i % 2 ? LOCKER_AT_RISK : LOCKER_HELD, i % 2 ? LOCKER_UNAVAILABLE : LOCKER_OK);
  said(story, last, LOCKER_ENDED, LOCKER_OK);
}

/* A callback that does not return until it is told to. */
static count entered = COUNT, leave_now = COUNT;
static void hang(locker_guard guard, locker_state state) {
  (void)guard;
  if (state != LOCKER_HELD) return;
  count_up(&entered);
  await(&leave_now, 1);
}

static void slow_callback_costs_no_lease(void) {
  locker_client hasty = connect_with(2000, 0);
  story slow = STORY, behind = STORY, elsewhere = STORY;
  slow.then = hang;
  locker_lock_options options = told_to(&slow);
  locker_guard guard, second, third;
  OK(locker_lock(hasty, "slow", &options, &guard, &error));
  await(&entered, 1);
  options = told_to(&behind);
  OK(locker_lock(hasty, "behind it", &options, &second, &error));
  options = told_to(&elsewhere);
  OK(locker_lock(client, "elsewhere", &options, &third, &error));
  await(&elsewhere.told, 1); /* another client's callbacks do not wait */

  long seconds = trials(35, "seconds in a callback, at a TTL of 2", 60);
  for (int64_t end = now_ms() + seconds * 1000; now_ms() < end; sleep_ms(20)) CHECK(locker_guard_remaining_ms(guard) > 0);
  CHECK(locker_guard_state(guard) == LOCKER_HELD && counted(&behind.told) == 0);
  row_ok("the lease is kept alive, another client's callbacks come, this one's wait");
  FAILS(LOCKER_TIMEOUT, "callback", locker_unlock(second, 50, &error));
  FAILS(LOCKER_BAD_HANDLE, "guard", locker_unlock(second, 0, &error));
  locker_info info;
  OK(locker_get(hasty, "behind it", 0, &info, &error));
  CHECK(info.token == 0);
  CHECK(counted(&behind.freed) == 0);
  count_up(&leave_now);
  await(&behind.freed, 1);
  was_held(&behind);
  OK(locker_unlock(guard, 0, &error));
  CHECK(counted(&slow.freed) == 1);
  was_held(&slow);
  OK(locker_unlock(third, 0, &error));
  OK(locker_disconnect(hasty, 0, &error));
}

/* One at a time for each client, whatever happens at once. */
static count running = COUNT;
static bool inside;
static void alone(locker_guard guard, locker_state state) {
  (void)guard, (void)state;
  CHECK(!inside);
  inside = true;
  count_up(&running);
  CHECK(inside);
  inside = false;
}

static void *lock_and_unlock(void *name) {
  for (int i = 0; i < 20; i++) {
    story story = STORY;
    story.then = alone;
    locker_lock_options options = told_to(&story);
    locker_guard guard;
    OK(locker_lock(client, name, &options, &guard, &error));
    OK(locker_unlock(guard, 0, &error));
    CHECK(counted(&story.told) == 2 && counted(&story.freed) == 1);
  }
  return NULL;
}

static void one_callback_at_a_time(void) {
  static char names[6][8] = {"t0", "t1", "t2", "t0", "t1", "t2"};
  pthread_t all[6];
  for (int i = 0; i < 6; i++) all[i] = thread(lock_and_unlock, names[i]);
  for (int i = 0; i < 6; i++) pthread_join(all[i], NULL);
  CHECK(counted(&running) == 6 * 20 * 2);
}

int main(void) {
  client = connected();
  changes_come_in_order();
  failure_is_told();
  a_guard_is_heard_later();
  disconnect_is_told();
  nothing_waits_in_a_callback();
  client_ends_in_its_own_callback();
  slow_callback_costs_no_lease();
  one_callback_at_a_time();
  leave(client);
}
