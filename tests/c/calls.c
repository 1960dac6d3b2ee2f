/* Any call, with any handle and any argument, from threads and callbacks at once. Nothing crashes or hangs, a handle
 * answers for what it was made for, a spent one for nothing, bad arguments are refused, and all is freed once.
 *
 * A part of the calls is given what is good and so takes locks in etcd. The seed is printed; `calls SEED` runs with it,
 * though threads meet differently each time. */
#include "test.h"

#include <stdatomic.h>

enum { THREADS = 8, NAMES = 5, CLIENTS = 3, SLOTS = 8, KNOWN = 1 << 20 };
static const char *const names[NAMES] = {"n0", "n1", "n2", "n/3", "n%4"};

/* What is known of each handle that was ever given: its kind and name once it was returned, and whether a call that has
 * returned spent it. */
enum { NO_KIND, CLIENT, GUARD, WATCHER, KIND = 3, NAME_SHIFT = 2, NAME = 7 << NAME_SHIFT, SPENT = 32 };
static _Atomic uint32_t ledger[KNOWN];
static _Atomic int64_t tokens[KNOWN];
static _Atomic uint64_t newest;

/* Handles that all threads use, and end under each other's hands. */
static _Atomic uint64_t clients[CLIENTS], guards[SLOTS], watchers[SLOTS];

static count given = COUNT, freed = COUNT;
static _Atomic long holds, from_callbacks;
static double good; /* the part of the calls that is given what is good */

/* --- what is random */

typedef struct dice {
  uint64_t state;
} dice;

static uint64_t roll(dice *dice) { /* splitmix64 */
  uint64_t z = dice->state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

static int below(dice *dice, int end) { return (int)(roll(dice) % (uint64_t)end); }
static bool chance(dice *dice, double part) { return (double)(roll(dice) >> 11) < part * (double)(1ULL << 53); }

static char too_long[LOCKER_NAME_MAX + 2];

/* --- one call: who makes it, with what, and what may come of it */

typedef struct call {
  dice *dice;
  bool in_callback;
  bool good;       /* made with what is good */
  bool bad;        /* an argument is not */
  bool strange;    /* it was given a handle that was spent, or is of another kind */
  int name;        /* the number of its name, if that is good */
  locker_error error, *to_error;
} call;

static uint64_t slot(call *call, int kind) {
  if (kind == CLIENT) return clients[below(call->dice, CLIENTS)];
  return (kind == GUARD ? guards : watchers)[below(call->dice, SLOTS)];
}

static uint64_t any_handle(call *call, int kind) {
  switch (below(call->dice, 4)) {
  case 0:
    return 0;
  case 1:
    return roll(call->dice);
  case 2:
    return slot(call, 1 + kind % 3); /* of another kind */
  default:
    return roll(call->dice) % (newest + 2);
  }
}

static uint32_t known(uint64_t id) { return id < KNOWN ? ledger[id] : 0; }

static uint64_t handle(call *call, int kind) {
  /* Also with bad arguments, so that it is these that are refused. */
  uint64_t id = call->good || (call->bad && below(call->dice, 2)) ? slot(call, kind) : any_handle(call, kind);
  uint32_t is = known(id);
  call->strange = id == 0 || is & SPENT || (is & KIND && (is & KIND) != (uint32_t)kind);
  return id;
}

static void made(uint64_t id, int kind, int name) {
  CHECK(id != 0);
  if (id >= KNOWN) return;
  ledger[id] |= (uint32_t)(kind | name << NAME_SHIFT);
  for (uint64_t now = newest; now < id && !atomic_compare_exchange_weak(&newest, &now, id);) {
  }
}

static void spent(uint64_t id) {
  if (id < KNOWN) ledger[id] |= SPENT;
}

static const char *name(call *call) {
  static const char not_utf8[] = {'a', (char)0xff, 0};
  static const char *const bad[] = {NULL, "", not_utf8, too_long};
  if (call->good || !chance(call->dice, 0.3)) return names[call->name = below(call->dice, NAMES)];
  call->bad = true;
  return bad[below(call->dice, 4)];
}

static int64_t limit(call *call) {
  static const int64_t limits[] = {LOCKER_NO_WAIT, 1, 5, 30}, bad[] = {-2, INT64_MIN, INT64_MAX, 1LL << 50};
  if (call->good || !chance(call->dice, 0.2)) return limits[call->in_callback ? 0 : below(call->dice, 4)];
  call->bad = true;
  return bad[below(call->dice, 4)];
}

/* `out`, or now and then NULL. */
static void *out(call *call, void *out) {
  if (call->good || !chance(call->dice, 0.05)) return out;
  call->bad = true;
  return NULL;
}

/* Every third place is that of a client whose callbacks run in locker_dispatch. */
static locker_connect_options for_place(int place) {
  return (locker_connect_options){
      .struct_size = sizeof(locker_connect_options), .prefix = prefix(), .dispatch = place % 3 == 2};
}

static locker_error *error(call *call) { return call->to_error = below(call->dice, 2) ? &call->error : NULL; }

/* Checks the code of a call, and gives whether it worked. */
static bool worked(call *call, const char *function, locker_code code) {
  if (call->to_error && code != LOCKER_OK) {
    CHECK(call->error.code == code && memchr(call->error.message, 0, sizeof call->error.message));
    CHECK(*call->error.message);
  }
  bool refused = code == LOCKER_INVALID || code == LOCKER_BAD_HANDLE || (call->in_callback && code == LOCKER_BAD_CONTEXT);
  if (call->bad || call->strange) {
    /* A locker_get that does not wait says so before it looks at the name, and one whose client ends says that. */
    if (!refused && code != LOCKER_CANCELLED && code != LOCKER_UNAVAILABLE)
      fail(__FILE__, __LINE__, function, locker_code_name(code));
    if (!call->bad) CHECK(code != LOCKER_INVALID);
    return false;
  }
  switch (code) {
  case LOCKER_OK:
    return true;
  case LOCKER_TIMEOUT:
  case LOCKER_CANCELLED:
  case LOCKER_BAD_HANDLE:
  case LOCKER_UNAVAILABLE: /* on a machine that is too slow for these limits, too */
  case LOCKER_LOST:
    return false;
  case LOCKER_INVALID: /* of one with on_event, of one that has on_change, of one that was not connected for it */
    CHECK(!strcmp(function, "watch_next") || !strcmp(function, "on_change") || !strcmp(function, "dispatch"));
    return false;
  default:
    if (!refused) fail(__FILE__, __LINE__, function, locker_code_name(code));
    return false;
  }
}

/* A handle that goes into a slot; the one that was there ends, or names would stay taken. */
static void keep(call *call, _Atomic uint64_t *slots, uint64_t id, int kind) {
  made(id, kind, call->name);
  uint64_t before = atomic_exchange(&slots[below(call->dice, SLOTS)], id);
  locker_code code = kind == GUARD ? locker_unlock((locker_guard){before}, LOCKER_NO_WAIT, NULL)
                                   : locker_unwatch((locker_watcher){before}, LOCKER_NO_WAIT, NULL);
  CHECK(code != LOCKER_INVALID && code != LOCKER_BAD_CONTEXT && code != LOCKER_INTERNAL);
  spent(before);
}

/* --- callbacks, which call, too */

typedef struct data {
  uint32_t canary;
  dice dice;
  bool ended;
} data;

static data *new_data(dice *dice) {
  data *data = malloc(sizeof *data);
  CHECK(data);
  *data = (struct data){.canary = 0xfeedbeef, .dice = {roll(dice)}};
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

static void any_call(dice *dice, bool in_callback);
static void call_back(dice *dice) {
  from_callbacks++;
  any_call(dice, true);
}

static void on_change(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  data *data = user_data;
  CHECK(data->canary == 0xfeedbeef && !data->ended);
  data->ended = state == LOCKER_ENDED;
  CHECK(!error || (*error->message && error->code != LOCKER_OK));
  if (state == LOCKER_HELD && below(&data->dice, 3) == 0) locker_unlock(guard, LOCKER_NO_WAIT, NULL);
  call_back(&data->dice);
}

static void on_event(void *user_data, const locker_info *info, const locker_error *error) {
  data *data = user_data;
  CHECK(data->canary == 0xfeedbeef && !data->ended && !info != !error);
  data->ended = error;
  call_back(&data->dice);
}

static void on_log(void *user_data, int32_t level, const char *message) {
  data *data = user_data;
  CHECK(data->canary == 0xfeedbeef && level >= 1 && level <= 4 && message);
  call_back(&data->dice);
}

/* --- every function of the header */

static void lock(call *call) {
  static const char not_utf8[] = {(char)0xff, 0};
  static const size_t sizes[] = {0, 8, offsetof(locker_lock_options, limit) - 1, SIZE_MAX};
  locker_lock_options o = {.struct_size = sizeof o, .value = "calls.c", .timeout_ms = limit(call)};
  data *data = below(call->dice, 2) ? new_data(call->dice) : NULL;
  if (data) o.on_change = on_change, o.user_data = data, o.free_user_data = free_data;
  const char *lock_name = name(call);
  if (!call->good && chance(call->dice, 0.1)) o.reason = not_utf8, call->bad = true;
  bool wrong_size = !call->good && chance(call->dice, 0.1);
  if (wrong_size) o.struct_size = sizes[below(call->dice, 4)], call->bad = true;
  if (!call->good && chance(call->dice, 0.05)) o.reserved[below(call->dice, 3)] = 1, call->bad = true;
  /* Several now and then, of which the first is the guard's; else some that may be shared, each with one limit. */
  const char *several[] = {lock_name, names[(call->name + 1) % NAMES]};
  size_t many = below(call->dice, 4) ? 0 : 1 + (size_t)below(call->dice, 2);
  if (!call->good && many == 2 && chance(call->dice, 0.1)) several[1] = lock_name, call->bad = true;
  if (!call->good && many > 0 && chance(call->dice, 0.1)) many = SIZE_MAX, call->bad = true;
  if (many < 2 && below(call->dice, 2)) o.shared = call->name == 4, o.limit = call->name == 3 ? 2 : 0;
  locker_client client = {handle(call, CLIENT)};
  locker_guard guard = {77};
  locker_guard *to = out(call, &guard);
  bool starts = below(call->dice, 2);
  const locker_lock_options *options = data || !starts || call->bad ? &o : NULL;
  bool is = worked(call, starts ? "lock_start" : "lock",
                   many == 0 ? (starts ? locker_lock_start : locker_lock)(client, lock_name, options, to, error(call))
                             : (starts ? locker_lock_all_start : locker_lock_all)(client, several, many, options, to,
                                                                                  error(call)));
  if (is && !starts && !call->in_callback) holds++;
  if (is) keep(call, guards, guard.id, GUARD);
  else CHECK(guard.id == 77);
  if (data && wrong_size) free_data(data); /* it stayed ours */
}

static void wait_for_it(call *call) {
  int64_t ms = limit(call);
  worked(call, "wait", locker_wait((locker_guard){handle(call, GUARD)}, ms, error(call)));
}

static void hear(call *call) {
  bool nothing = !call->good && chance(call->dice, 0.1);
  if (nothing) call->bad = true;
  locker_guard guard = {handle(call, GUARD)};
  worked(call, "on_change",
         locker_on_change(guard, nothing ? NULL : on_change, new_data(call->dice), free_data, error(call)));
}

static void unlock(call *call) {
  int64_t ms = limit(call);
  locker_guard guard = {handle(call, GUARD)};
  if (!worked(call, "unlock", locker_unlock(guard, ms, error(call)))) return;
  spent(guard.id);
  CHECK(locker_unlock(guard, LOCKER_NO_WAIT, NULL) == LOCKER_BAD_HANDLE);
}

static void look_at_guard(call *call) {
  locker_info info = {.token = -1};
  locker_info *to = out(call, &info);
  locker_guard guard = {handle(call, GUARD)};
  if (worked(call, "guard_info", locker_guard_info(guard, to, error(call)))) {
    /* Of one of several that waits it may be the other that is in the way. */
    uint32_t is = known(guard.id), its = (is & NAME) >> NAME_SHIFT;
    CHECK(!is || !strcmp(info.name, names[its]) || !strcmp(info.name, names[(its + 1) % NAMES]));
    char its_name[8];
    size_t length = locker_guard_name(guard, 0, its_name, sizeof its_name);
    CHECK(!is || length == 0 || !strcmp(its_name, names[its])); /* 0: it has ended meanwhile */
  } else {
    CHECK(info.token == -1);
  }
  int64_t token = locker_guard_token(guard), left = locker_guard_remaining_ms(guard), none = 0;
  locker_state state = locker_guard_state(guard);
  CHECK(token >= 0 && left >= 0 && state >= LOCKER_NONE && state <= LOCKER_ENDED);
  if (call->strange) CHECK(token == 0 && left == 0 && state == LOCKER_NONE);
  /* A guard has one token in its life. */
  if (token && guard.id < KNOWN)
    CHECK(atomic_compare_exchange_strong(&tokens[guard.id], &none, token) || none == token);
}

static void watch(call *call) {
  locker_watch_options o = {.struct_size = sizeof o};
  data *data = below(call->dice, 2) ? new_data(call->dice) : NULL;
  if (data) o.on_event = on_event, o.user_data = data, o.free_user_data = free_data;
  const char *lock_name = name(call);
  bool wrong_size = !call->good && chance(call->dice, 0.1);
  if (wrong_size) o.struct_size = (size_t)below(call->dice, sizeof o), call->bad = true;
  locker_client client = {handle(call, CLIENT)};
  locker_watcher watcher = {77};
  locker_watcher *to = out(call, &watcher);
  if (worked(call, "watch", locker_watch(client, lock_name, &o, to, error(call)))) keep(call, watchers, watcher.id, WATCHER);
  else CHECK(watcher.id == 77);
  if (data && wrong_size) free_data(data);
}

static void watch_next(call *call) {
  locker_info info = {.token = -1};
  locker_info *to = out(call, &info);
  int64_t ms = limit(call);
  locker_watcher watcher = {handle(call, WATCHER)};
  if (worked(call, "watch_next", locker_watch_next(watcher, ms, to, error(call)))) {
    uint32_t is = known(watcher.id);
    CHECK(!is || !strcmp(info.name, names[(is & NAME) >> NAME_SHIFT]));
  } else {
    CHECK(info.token == -1);
  }
}

static void unwatch(call *call) {
  int64_t ms = limit(call);
  locker_watcher watcher = {handle(call, WATCHER)};
  if (!worked(call, "unwatch", locker_unwatch(watcher, ms, error(call)))) return;
  spent(watcher.id);
  CHECK(locker_unwatch(watcher, LOCKER_NO_WAIT, NULL) == LOCKER_BAD_HANDLE);
}

static void get(call *call) {
  locker_info info = {.token = -1};
  const char *lock_name = name(call);
  locker_info *to = out(call, &info);
  int64_t ms = limit(call);
  locker_client client = {handle(call, CLIENT)};
  locker_code (*get)(locker_client, const char *, int64_t, locker_info *, locker_error *) =
      below(call->dice, 2) ? locker_get : locker_get_cached;
  if (worked(call, "get", get(client, lock_name, ms, to, error(call)))) CHECK(!strcmp(info.name, lock_name));
  else CHECK(info.token == -1);
}

static void disconnect(call *call) {
  if (call->good && below(call->dice, 8)) return; /* or nobody would get anything done */
  int64_t ms = limit(call);
  locker_client client = {handle(call, CLIENT)};
  if (!worked(call, "disconnect", locker_disconnect(client, ms, error(call)))) return;
  spent(client.id);
  CHECK(locker_disconnect(client, LOCKER_NO_WAIT, NULL) == LOCKER_BAD_HANDLE);
}

/* A new client in the place of one that somebody has ended. */
static void connect_anew(call *call) {
  int number = below(call->dice, CLIENTS);
  _Atomic uint64_t *place = &clients[number];
  uint64_t before = *place;
  locker_info info;
  if (call->in_callback || locker_get((locker_client){before}, "n0", 0, &info, NULL) != LOCKER_BAD_HANDLE) return;
  locker_connect_options o = for_place(number);
  locker_client client;
  if (!worked(call, "connect", locker_connect(endpoints(), &o, &client, error(call)))) return;
  made(client.id, CLIENT, 0);
  if (atomic_compare_exchange_strong(place, &before, client.id)) return;
  worked(call, "disconnect", locker_disconnect(client, 0, error(call)));
  spent(client.id);
}

static void connect_badly(call *call) {
  static const char *const bad[] = {NULL, "", "no url at all", "http://", "ftp://127.0.0.1:1", "http://u:p@127.0.0.1:1"};
  locker_connect_options o = {.struct_size = sizeof o, .timeout_ms = 1};
  const char *where = bad[below(call->dice, 6)];
  call->bad = true;
  switch (below(call->dice, 6)) {
  case 4:
    o.dispatch = 2 + below(call->dice, 9), where = "127.0.0.1:1";
    break;
  case 5:
    o.reserved = 1 + below(call->dice, 9), where = "127.0.0.1:1";
    break;
  case 0:
    o.ttl_ms = 1, where = "127.0.0.1:1";
    break;
  case 1:
    o.struct_size = (size_t)below(call->dice, sizeof o), where = "127.0.0.1:1";
    break;
  case 2:
    o.username = "somebody", where = "127.0.0.1:1";
    break;
  default:
    break;
  }
  locker_client client = {77};
  worked(call, "connect", locker_connect(where, &o, out(call, &client), error(call)));
  CHECK(client.id == 77);
}

/* Runs callbacks here, each of which may make any call. */
static void dispatch(call *call) {
  size_t ran = 77, max = (size_t)below(call->dice, 4);
  size_t *to = below(call->dice, 2) ? &ran : NULL;
  locker_client client = {handle(call, CLIENT)};
  if (call->in_callback) {
    CHECK(locker_dispatch(client, max, to, error(call)) == LOCKER_BAD_CONTEXT && ran == 77);
  } else if (worked(call, "dispatch", locker_dispatch(client, max, to, error(call)))) {
    CHECK(!to || max == 0 || ran <= max);
  } else {
    CHECK(ran == 77);
  }
}

static void client_fd(call *call) {
  int fd = -77;
  int *to = out(call, &fd);
  locker_client client = {handle(call, CLIENT)};
  if (worked(call, "dispatch", locker_client_fd(client, to, error(call)))) CHECK(fd >= 0);
  else CHECK(fd == -77);
}

static void set_log(call *call) {
  if (!call->good) return;
  if (below(call->dice, 2)) locker_set_log(1 + below(call->dice, 4), on_log, new_data(call->dice), free_data);
  else locker_set_log(below(call->dice, 2), NULL, new_data(call->dice), free_data);
}

static void small_ones(call *call) {
  CHECK(locker_abi() == LOCKER_ABI && *locker_version());
  CHECK(*locker_code_name((int32_t)roll(call->dice)) && *locker_code_name(below(call->dice, 12)));
  CHECK(locker_live_handles() < KNOWN);
}

/* Ends everything under everybody's hands, some four times in a run. */
static void shut_down(call *call) {
  if (call->good && below(call->dice, 40) == 0) locker_shutdown(limit(call));
}

static void any_call(dice *dice, bool in_callback) {
  static void (*const calls[])(call *) = {
      lock,  lock,       lock,       lock,    lock,       unlock,       unlock,        unlock,  wait_for_it, look_at_guard,
      watch, watch_next, watch_next, unwatch, disconnect, connect_anew, connect_badly, set_log, small_ones,  shut_down,
      get,   hear,       dispatch,   dispatch, client_fd,
  };
  call call = {.dice = dice, .in_callback = in_callback, .good = chance(dice, in_callback ? 0.3 : good)};
  calls[below(dice, sizeof calls / sizeof *calls)](&call);
}

static long each;
static void *run(void *seed) {
  dice dice = {(uint64_t)(uintptr_t)seed};
  for (long i = 0; i < each; i++) any_call(&dice, false);
  return NULL;
}

int main(int argc, char **argv) {
  uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000;
  printf("seed %llu\n", (unsigned long long)seed);
  fflush(stdout);
  long calls = trials(39, "any call on any handle, 8 threads", 10000000);
  each = calls / THREADS + 1;
  good = (2000 + calls / 150.0) / calls;
  if (good > 1) good = 1;
  memset(too_long, 'n', sizeof too_long - 1);
  int64_t begin = now_ms();
  for (int i = 0; i < CLIENTS; i++) {
    locker_connect_options o = for_place(i);
    locker_client client;
    locker_error error;
    CHECK(locker_connect(endpoints(), &o, &client, &error) == LOCKER_OK);
    made(clients[i] = client.id, CLIENT, 0);
  }
  pthread_t all[THREADS];
  for (int i = 0; i < THREADS; i++) all[i] = thread(run, (void *)(uintptr_t)(seed + (uint64_t)i * 1000003));
  for (int i = 0; i < THREADS; i++) pthread_join(all[i], NULL);
  /* Two threads may have connected into one slot: shutdown ends also the client that nobody knows any more. */
  locker_shutdown(0);
  locker_set_log(0, NULL, NULL, NULL); /* not before: until then callbacks set it */
  await(&freed, counted(&given));
  CHECK(counted(&freed) == counted(&given) && counted(&given) > 0);
  CHECK(locker_live_handles() == 0 && threads(NULL) == 1);
  CHECK(holds > 0);
  row_ok("0 crashes, 0 wrong answers, 0 handles left; %ld holds, %ld calls in callbacks, %.1f s, seed %llu", holds,
         from_callbacks, (now_ms() - begin) / 1000.0, (unsigned long long)seed);
}
