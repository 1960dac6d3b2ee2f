/* Several locks at once: all or none of them, held, told and ended as one. */
#include "loop.h"

static locker_client client, other;

static const char *const abc[] = {"a", "b", "c/d"};

static locker_guard all_held(locker_client client, const char *const *names, size_t count) {
  locker_guard guard;
  OK(locker_lock_all(client, names, count, NULL, &guard, &error));
  CHECK(locker_guard_state(guard) == LOCKER_HELD && locker_guard_token(guard) > 0);
  return guard;
}

static bool waits(locker_guard guard) { return locker_guard_state(guard) == LOCKER_WAITING; }

static void one_token_for_all(void) {
  locker_lock_options options = {.struct_size = sizeof options, .value = "node-3", .timeout_ms = LOCKER_NO_WAIT};
  locker_guard guard, never;
  OK(locker_lock_all(client, abc, 3, &options, &guard, &error));
  for (size_t i = 0; i < 3; i++) {
    locker_info info = got(other, abc[i]);
    CHECK(info.token == locker_guard_token(guard) && !strcmp(info.value, "node-3") && !strcmp(info.name, abc[i]));
    CHECK(info.mode == LOCKER_EXCLUSIVE && info.holders == 1 && info.waiters == 0);
    FAILS(LOCKER_TIMEOUT, abc[i], locker_lock(i % 2 ? client : other, abc[i], &options, &never, &error));
  }
  locker_info info;
  OK(locker_guard_info(guard, &info, &error));
  CHECK(!strcmp(info.name, "a") && info.token == locker_guard_token(guard));
  OK(locker_unlock(guard, 0, &error));
  for (size_t i = 0; i < 3; i++) CHECK(got(other, abc[i]).token == 0);
  guard = all_held(other, abc, 1); /* of one it is a lock */
  OK(locker_unlock(guard, 0, &error));
}

static void a_guard_knows_its_names(void) {
  char name[LOCKER_NAME_MAX + 1] = "x";
  locker_guard guard = all_held(client, abc, 3), one = locked(client, "one");
  size_t i = 0;
  for (; locker_guard_name(guard, i, name, sizeof name); i++)
    CHECK(!strcmp(name, abc[i]) && locker_guard_name(guard, i, NULL, 0) == strlen(abc[i]));
  CHECK(i == 3 && !*name);
  CHECK(locker_guard_name(guard, SIZE_MAX, name, sizeof name) == 0);
  CHECK(locker_guard_name(one, 0, name, sizeof name) == 3 && !strcmp(name, "one"));
  CHECK(locker_guard_name(one, 1, name, sizeof name) == 0 && !*name);
  /* As much as there is room for. */
  memset(name, '#', sizeof name);
  CHECK(locker_guard_name(guard, 2, name, 3) == 3 && !memcmp(name, "c/\0#", 4));
  CHECK(locker_guard_name(guard, 0, name, 0) == 1 && *name == 'c');
  OK(locker_unlock(one, 0, &error));
  OK(locker_unlock(guard, 0, &error));
  CHECK(locker_guard_name(guard, 0, name, sizeof name) == 0 && !*name); /* stale */
}

/* Who waits no longer has left no queue with anything in it. */
static void all_or_nothing(void) {
  const char *const names[] = {"free", "busy"};
  locker_guard holder = locked(other, "busy"), never = {77};
  locker_lock_options options = {.struct_size = sizeof options, .timeout_ms = LOCKER_NO_WAIT};
  FAILS(LOCKER_TIMEOUT, "\"busy\" is held by", locker_lock_all(client, names, 2, &options, &never, &error));
  CHECK(keys_of("free") == 0 && keys_of("busy") == 1);
  options.timeout_ms = 100;
  int64_t begin = now_ms();
  FAILS(LOCKER_TIMEOUT, "\"busy\" is held by", locker_lock_all(client, names, 2, &options, &never, &error));
  CHECK(now_ms() - begin >= 100 && never.id == 77);
  /* Its places are given up behind the call. */
  await_waiters(client, "busy", 0);
  CHECK(got(other, "free").token == 0 && keys_of("free") == 0 && keys_of("busy") == 1);

  /* One that waits holds neither, and stands before those who come later in both queues. */
  locker_guard waiter, behind;
  OK(locker_lock_all_start(client, names, 2, NULL, &waiter, &error));
  await_waiters(other, "busy", 1);
  OK(locker_lock_start(other, "free", NULL, &behind, &error));
  await_waiters(other, "free", 1);
  CHECK(waits(waiter) && waits(behind) && locker_guard_token(waiter) == 0);
  FAILS(LOCKER_TIMEOUT, "\"busy\"", locker_wait(waiter, 100, &error));
  locker_info info;
  OK(locker_guard_info(waiter, &info, &error));
  CHECK(!strcmp(info.name, "busy") && info.token == locker_guard_token(holder)); /* who is in the way */
  OK(locker_unlock(holder, 0, &error));
  OK(locker_wait(waiter, 0, &error));
  CHECK(waits(behind));
  OK(locker_unlock(waiter, 0, &error));
  OK(locker_wait(behind, 0, &error));
  OK(locker_unlock(behind, 0, &error));
  CHECK(keys_of("free") == 0 && keys_of("busy") == 0);
}

static void one_that_gives_up_leaves_all_queues(void) {
  locker_guard holder = locked(other, "b"), waiter;
  OK(locker_lock_all_start(client, abc, 3, NULL, &waiter, &error));
  await_waiters(other, "b", 1);
  OK(locker_unlock(waiter, 0, &error));
  CHECK(keys_of("a") == 0 && keys_of("b") == 1 && keys_of("c%2Fd") == 0);
  OK(locker_unlock(holder, 0, &error));
}

/* What is wrong is told with its place, before anything is asked of etcd, and by both calls. */
static void refused(const char *said, const char *const *names, size_t count, const locker_lock_options *options) {
  locker_guard never = {77};
  FAILS(LOCKER_INVALID, said, locker_lock_all(client, names, count, options, &never, &error));
  FAILS(LOCKER_INVALID, said, locker_lock_all_start(client, names, count, options, &never, &error));
  CHECK(never.id == 77);
}

static void wrong_names(void) {
  static const char not_utf8[] = {'a', (char)0xff, 0};
  static char longer[LOCKER_NAME_MAX + 2];
  memset(longer, 'n', sizeof longer - 1);
  const char *names[] = {"a", "b", "c"};
  refused("names is NULL", NULL, 3, NULL);
  refused("names is NULL", NULL, 0, NULL);
  refused("count of names is 0", names, 0, NULL);
  refused("count of names is 61, not 1 to 60", names, LOCKER_NAMES_MAX + 1, NULL); /* looks at none of them */
  refused("count of names is", names, SIZE_MAX, NULL);
  names[2] = NULL;
  refused("names[2] is NULL", names, 3, NULL);
  names[2] = "";
  refused("names[2] is empty", names, 3, NULL);
  names[2] = not_utf8;
  refused("names[2] is not UTF-8 after byte 1", names, 3, NULL);
  names[2] = longer;
  refused("names[2] is too long: 256 bytes of at most 255", names, 3, NULL);
  names[2] = "a";
  refused("names[2] is \"a\", as names[0] is", names, 3, NULL);
  names[2] = "c";
  locker_lock_options shared = {.struct_size = sizeof shared, .shared = true};
  refused("names has several", names, 3, &shared);
  shared = (locker_lock_options){.struct_size = sizeof shared, .limit = 2};
  refused("names has several", names, 3, &shared);
  FAILS(LOCKER_INVALID, "out is NULL", locker_lock_all(client, names, 3, NULL, NULL, &error));
  FAILS(LOCKER_INVALID, "out is NULL", locker_lock_all_start(client, names, 3, NULL, NULL, &error));
  locker_guard never;
  FAILS(LOCKER_BAD_HANDLE, "client", locker_lock_all((locker_client){0}, names, 3, NULL, &never, &error));
  CHECK(locker_lock_all(client, NULL, 3, NULL, &never, NULL) == LOCKER_INVALID);
  CHECK(keys_of("a") == 0);
}

static void as_many_as_there_may_be(void) {
  char texts[LOCKER_NAMES_MAX][16];
  const char *names[LOCKER_NAMES_MAX];
  for (int i = 0; i < LOCKER_NAMES_MAX; i++) snprintf(texts[i], sizeof texts[i], "n%d", i), names[i] = texts[i];
  locker_guard guard = all_held(client, names, LOCKER_NAMES_MAX);
  CHECK(got(client, "n59").token == locker_guard_token(guard));
  OK(locker_unlock(guard, 0, &error));
}

/* --- told, by a thread of the library and in an event loop */

static locker_state told[8];
static int32_t why[8];
static count changes = COUNT, freed = COUNT;
static void on_change(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  int n = counted(&changes);
  CHECK(user_data == &freed && guard.id && n < 8);
  told[n] = state, why[n] = error ? error->detail : 0;
  count_up(&changes);
}

static void with_one_all_are_lost(void) {
  locker_lock_options options = {
      .struct_size = sizeof options, .on_change = on_change, .user_data = &freed, .free_user_data = count_free};
  locker_guard guard, behind;
  OK(locker_lock_all(client, abc, 3, &options, &guard, &error));
  const char *const some[] = {"c/d", "a"};
  OK(locker_lock_all_start(other, some, 2, NULL, &behind, &error));
  await_waiters(other, "a", 1);
  delete_queue("b"); /* not the first of them, and one that nobody waits for */
  await(&freed, 1);
  CHECK(counted(&changes) == 2 && told[0] == LOCKER_HELD && told[1] == LOCKER_ENDED);
  CHECK(why[1] == LOCKER_LOSS_KEY_DELETED && locker_guard_state(guard) == LOCKER_ENDED);
  OK(locker_wait(behind, 0, &error)); /* what was left of it is given up */
  FAILS(LOCKER_LOST, "", locker_unlock(guard, 0, &error));
  CHECK(locker_guard_state(behind) == LOCKER_HELD);
  OK(locker_unlock(behind, 0, &error));
}

static void on_a_loop(void) {
  locker_client loop = connected_for_loop(0);
  story waits = STORY, loses = STORY, never = STORY;
  locker_lock_options options = changes_to(&waits);
  locker_guard holder = locked(other, "b"), guard, second;
  OK(locker_lock_all_start(loop, abc, 3, &options, &guard, &error));
  await_waiters(other, "b", 1);
  CHECK(!due_within(loop, 0));
  OK(locker_unlock(holder, 0, &error));
  loop_until(loop, &waits.told, 1);
  CHECK(waits.states[0] == LOCKER_HELD && locker_guard_token(guard) == got(other, "c/d").token);
  /* One more for the same names, which is lost. */
  options = changes_to(&loses);
  OK(locker_lock_all_start(loop, abc, 3, &options, &second, &error));
  await_waiters(other, "a", 1);
  OK(locker_unlock(guard, LOCKER_NO_WAIT, &error));
  CHECK(counted(&waits.told) == 1 && counted(&waits.freed) == 1);
  loop_until(loop, &loses.told, 1);
  delete_queue("a");
  loop_until(loop, &loses.freed, 1);
  CHECK(counted(&loses.told) == 2 && loses.states[1] == LOCKER_ENDED && loses.codes[1] == LOCKER_LOST);
  FAILS(LOCKER_LOST, "", locker_unlock(second, LOCKER_NO_WAIT, &error));
  /* What is refused frees what it was given. */
  options = changes_to(&never);
  FAILS(LOCKER_INVALID, "names", locker_lock_all_start(loop, abc, 0, &options, &second, &error));
  FAILS(LOCKER_INVALID, "names", locker_lock_all(loop, NULL, 1, &options, &second, &error));
  CHECK(counted(&never.freed) == 2 && counted(&never.told) == 0);
  OK(locker_disconnect(loop, 0, &error));
}

/* --- many threads over few names, in any order: nobody waits for ever, and one name is never held twice */

enum { THREADS = 6, NAMES = 5 };
static const char *const few[NAMES] = {"0", "1", "2", "3", "4"};
static int holds[NAMES];
static pthread_mutex_t counts = PTHREAD_MUTEX_INITIALIZER;

static void *take_some(void *which) {
  intptr_t n = (intptr_t)which;
  for (int i = 0, times = getenv("LOCKER_VALGRIND_RUNS") ? 3 : 20; i < times; i++) {
    /* Two or three names that follow each other, forwards or backwards. */
    const char *names[3];
    size_t many = 2 + (size_t)i % 2, at[3];
    for (size_t k = 0; k < many; k++) {
      at[k] = (size_t)(n * 7 + i * 3 + (n % 2 ? (intptr_t)k : NAMES - (intptr_t)k)) % NAMES;
      names[k] = few[at[k]];
    }
    locker_guard guard = all_held(n % 3 ? client : other, names, many);
    for (int by = 1; by >= -1; by -= 2) {
      pthread_mutex_lock(&counts);
      for (size_t k = 0; k < many; k++) CHECK((holds[at[k]] += by) == (by > 0));
      pthread_mutex_unlock(&counts);
    }
    OK(locker_unlock(guard, 0, &error));
  }
  return NULL;
}

static void however_they_overlap(void) {
  pthread_t threads[THREADS];
  for (intptr_t n = 0; n < THREADS; n++) threads[n] = thread(take_some, (void *)n);
  for (int n = 0; n < THREADS; n++) CHECK(pthread_join(threads[n], NULL) == 0);
}

int main(void) {
  client = connected(), other = connected();
  one_token_for_all();
  a_guard_knows_its_names();
  all_or_nothing();
  one_that_gives_up_leaves_all_queues();
  wrong_names();
  as_many_as_there_may_be();
  with_one_all_are_lost();
  on_a_loop();
  however_they_overlap();
  OK(locker_disconnect(other, 0, &error));
  leave(client);
}
