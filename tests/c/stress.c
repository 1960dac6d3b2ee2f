/* Threads that do anything to anything at any time. Nothing hangs, nothing is used after its end, all is freed once. */
#include "test.h"

enum { THREADS = 8, STEPS = 300, CLIENTS = 3, SLOTS = 24, NAMES = 5 };

/* Handles that all threads use, and end under each other's hands. */
static _Atomic uint64_t clients[CLIENTS], guards[SLOTS], watchers[SLOTS];
static count given = COUNT, freed = COUNT;

typedef struct data {
  uint32_t canary;
  unsigned seed;
  bool ended;
} data;

static void *new_data(unsigned seed) {
  data *data = malloc(sizeof *data);
  CHECK(data);
  data->canary = 0xfeedbeef;
  data->seed = seed;
  data->ended = false;
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

static void on_change(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  data *data = user_data;
  CHECK(data->canary == 0xfeedbeef && !data->ended);
  data->ended = state == LOCKER_ENDED;
  CHECK(!error || (*error->message && error->code != LOCKER_OK));
  if (state == LOCKER_HELD && data->seed % 3 == 0) locker_unlock(guard, LOCKER_NO_WAIT, NULL);
  if (data->seed % 7 == 0) CHECK(locker_unlock(guard, 0, NULL) == LOCKER_BAD_CONTEXT);
}

static void on_event(void *user_data, const locker_info *info, const locker_error *error) {
  data *data = user_data;
  CHECK(data->canary == 0xfeedbeef && !info != !error);
  if (data->seed % 5 == 0) locker_unwatch((locker_watcher){watchers[data->seed % SLOTS]}, LOCKER_NO_WAIT, NULL);
}

static void may_give(locker_code code) {
  switch (code) {
  case LOCKER_OK:
  case LOCKER_TIMEOUT:
  case LOCKER_CANCELLED:
  case LOCKER_BAD_HANDLE:
  case LOCKER_UNAVAILABLE: /* on a machine that is too slow for the limits below */
  case LOCKER_LOST:
    return;
  default:
    fail(__FILE__, __LINE__, "a code that may come", locker_code_name(code));
  }
}

static int64_t limit(unsigned *seed) {
  static const int64_t limits[] = {LOCKER_NO_WAIT, 1, 5, 30};
  return limits[rand_r(seed) % 4];
}

static void step(unsigned *seed) {
  char name[16];
  snprintf(name, sizeof name, "n%d", rand_r(seed) % NAMES);
  _Atomic uint64_t *slot = &clients[rand_r(seed) % CLIENTS];
  int i = rand_r(seed) % SLOTS;
  locker_client client = {*slot};
  locker_guard guard = {guards[i]};
  locker_watcher watcher = {watchers[i]};
  locker_info info;
  locker_lock_options lock = {.struct_size = sizeof lock, .timeout_ms = limit(seed)};
  locker_watch_options watch = {.struct_size = sizeof watch};
  switch (rand_r(seed) % 16) {
  case 0:
  case 1:
  case 2:
  case 3:
    lock.on_change = on_change, lock.user_data = new_data(rand_r(seed)), lock.free_user_data = free_data;
    may_give(rand_r(seed) % 2 ? locker_lock(client, name, &lock, &guard, NULL)
                              : locker_lock_start(client, name, &lock, &guard, NULL));
    guards[i] = guard.id;
    break;
  case 4:
    may_give(locker_lock_start(client, name, &lock, &guard, NULL));
    guards[i] = guard.id;
    break;
  case 5:
  case 6:
    may_give(locker_unlock(guard, 0, NULL));
    break;
  case 7:
    may_give(locker_unlock(guard, LOCKER_NO_WAIT, NULL));
    break;
  case 8:
    may_give(locker_wait(guard, limit(seed), NULL));
    break;
  case 9:
    watch.on_event = on_event, watch.user_data = new_data(rand_r(seed)), watch.free_user_data = free_data;
    may_give(locker_watch(client, name, &watch, &watcher, NULL));
    watchers[i] = watcher.id;
    break;
  case 10:
    may_give(locker_watch(client, name, NULL, &watcher, NULL));
    watchers[i] = watcher.id;
    break;
  case 11: {
    locker_code code = locker_watch_next(watcher, limit(seed), &info, NULL);
    if (code != LOCKER_INVALID) may_give(code); /* it is one with on_event */
    break;
  }
  case 12:
    may_give(locker_unwatch(watcher, rand_r(seed) % 2 ? 0 : LOCKER_NO_WAIT, NULL));
    break;
  case 13:
    may_give(locker_get(client, name, 0, &info, NULL));
    break;
  case 14:
    may_give(locker_guard_info(guard, &info, NULL));
    CHECK(locker_guard_remaining_ms(guard) >= 0 && locker_guard_token(guard) >= 0);
    CHECK(locker_guard_state(guard) <= LOCKER_ENDED);
    break;
  case 15:
    if (rand_r(seed) % 8) break;
    may_give(locker_disconnect(client, rand_r(seed) % 2 ? 0 : LOCKER_NO_WAIT, NULL));
    *slot = connected().id;
    break;
  }
}

static void *steps(void *seed) {
  unsigned mine = (unsigned)(uintptr_t)seed;
  for (int i = 0; i < STEPS; i++) step(&mine);
  return NULL;
}

int main(int argc, char **argv) {
  unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : (unsigned)time(NULL);
  printf("seed %u\n", seed);
  fflush(stdout);
  for (int i = 0; i < CLIENTS; i++) clients[i] = connected().id;
  pthread_t all[THREADS];
  for (int i = 0; i < THREADS; i++) all[i] = thread(steps, (void *)(uintptr_t)(seed + i));
  for (int i = 0; i < THREADS; i++) pthread_join(all[i], NULL);
  /* Two threads may have connected into one slot: shutdown ends also the client that nobody knows any more. */
  locker_shutdown(0);
  await(&freed, counted(&given));
  CHECK(counted(&freed) == counted(&given) && counted(&given) > 0);
  CHECK(locker_live_handles() == 0 && threads(NULL) == 1);
}
