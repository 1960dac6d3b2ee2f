/* Locks that several hold at once: readers together, and so many at most. */
#include "test.h"

#include <signal.h>

static locker_client client, other;

static locker_lock_options reader(void) {
  return (locker_lock_options){.struct_size = sizeof(locker_lock_options), .shared = true};
}

static locker_lock_options one_of(uint32_t limit) {
  return (locker_lock_options){.struct_size = sizeof(locker_lock_options), .limit = limit};
}

static locker_guard has(locker_client client, const char *name, locker_lock_options options) {
  locker_guard guard;
  OK(locker_lock(client, name, &options, &guard, &error));
  CHECK(locker_guard_state(guard) == LOCKER_HELD && locker_guard_token(guard) > 0);
  return guard;
}

static locker_guard wants(locker_client client, const char *name, locker_lock_options options) {
  locker_guard guard;
  OK(locker_lock_start(client, name, &options, &guard, &error));
  return guard;
}

static bool waits(locker_guard guard) { return locker_guard_state(guard) == LOCKER_WAITING; }

static void ends(locker_guard guard) { OK(locker_unlock(guard, 0, &error)); }

/* A writer waits until no reader is left, and who comes after him waits behind him. */
static void readers_together_and_writers_in_order(void) {
  locker_lock_options shows = reader(), tries = reader();
  shows.value = "the first", tries.timeout_ms = LOCKER_NO_WAIT;
  locker_guard first = has(client, "book", shows), second = has(other, "book", reader());
  locker_info info = got(other, "book");
  CHECK(info.mode == LOCKER_SHARED && info.token == locker_guard_token(first) && !strcmp(info.value, "the first"));
  CHECK(info.holders == 2 && info.limit == 0 && info.waiters == 0);
  OK(locker_guard_info(second, &info, &error));
  CHECK(info.mode == LOCKER_SHARED && info.token == locker_guard_token(second) && info.holders == 1);

  locker_guard writer = wants(other, "book", one_of(0)), never;
  await_waiters(client, "book", 1);
  locker_guard late = wants(client, "book", reader());
  await_waiters(client, "book", 2);
  FAILS(LOCKER_TIMEOUT, "book", locker_lock(client, "book", &tries, &never, &error)); /* it would pass the writer */
  ends(first);
  CHECK(waits(writer) && waits(late) && got(client, "book").token == locker_guard_token(second));
  ends(second);
  OK(locker_wait(writer, 0, &error));
  info = got(client, "book");
  CHECK(info.mode == LOCKER_EXCLUSIVE && info.holders == 1 && info.waiters == 1 && waits(late));
  int64_t token = locker_guard_token(writer);
  ends(writer);
  OK(locker_wait(late, 0, &error));
  CHECK(locker_guard_token(late) > token);
  ends(late);
  info = got(client, "book");
  CHECK(info.mode == LOCKER_FREE && info.holders == 0 && keys_of("book") == 0);
}

static void no_more_than_the_limit(void) {
  locker_watcher watcher;
  locker_info info;
  OK(locker_watch(client, "seats", NULL, &watcher, &error));
  OK(locker_watch_next(watcher, 0, &info, &error));
  CHECK(info.token == 0 && info.holders == 0);
  locker_lock_options tries = one_of(2);
  tries.timeout_ms = LOCKER_NO_WAIT;
  locker_guard first = has(client, "seats", one_of(2)), second = has(other, "seats", tries), never;
  for (uint32_t holders = 1; holders <= 2; holders++) {
    OK(locker_watch_next(watcher, 60000, &info, &error));
    CHECK(info.holders == holders && info.limit == 2 && info.mode == LOCKER_SHARED);
    CHECK(info.token == locker_guard_token(first));
  }
  OK(locker_unwatch(watcher, 0, &error));
  FAILS(LOCKER_TIMEOUT, "and 1 more", locker_lock(client, "seats", &tries, &never, &error));
  CHECK(keys_of("seats") == 2); /* who does not wait leaves nothing */

  locker_guard third = wants(client, "seats", one_of(2));
  await_waiters(client, "seats", 1);
  locker_guard fourth = wants(other, "seats", one_of(2));
  await_waiters(client, "seats", 2);
  ends(second);
  OK(locker_wait(third, 0, &error));
  CHECK(waits(fourth) && got(other, "seats").holders == 2);
  OK(locker_guard_info(third, &info, &error));
  CHECK(info.limit == 2 && info.mode == LOCKER_SHARED);
  ends(first);
  OK(locker_wait(fourth, 0, &error));
  ends(third), ends(fourth);
  CHECK(keys_of("seats") == 0);
}

static void one_limit_for_all_who_are_there(void) {
  locker_guard guard = has(client, "same", one_of(3)), never = {77};
  locker_lock_options five = one_of(5), shared = reader(), both = reader();
  FAILS(LOCKER_INVALID, "limit is 5,", locker_lock(other, "same", &five, &never, &error));
  FAILS(LOCKER_INVALID, "say 3", locker_lock(other, "same", &five, &never, &error));
  FAILS(LOCKER_INVALID, "say 3", locker_lock(other, "same", &shared, &never, &error));
  CHECK(never.id == 77 && keys_of("same") == 1);
  /* One that is started hears it when it waits. */
  locker_guard started = wants(other, "same", five);
  FAILS(LOCKER_INVALID, "say 3", locker_wait(started, 0, &error));
  CHECK(locker_guard_state(started) == LOCKER_ENDED);
  locker_unlock(started, 0, NULL);
  both.limit = 3; /* is no other than the limit alone */
  ends(has(other, "same", both));
  ends(guard);
  ends(has(other, "same", five)); /* nobody has said another any more */
  ends(has(other, "same", one_of(UINT32_MAX)));
}

/* Starts one that holds the lock until it is told to end, or for two minutes: this may fail before it does that. */
static FILE *etcdctl_lock(const char *name, pid_t *pid) {
  char command[512];
  snprintf(command, sizeof command, "echo $$; ETCDCTL_API=3 ETCDCTL_ENDPOINTS='%s' exec timeout 120 etcdctl lock %s",
           endpoints(), name);
  FILE *output = popen(command, "r");
  CHECK(output && fscanf(output, "%d", pid) == 1 && fgetc(output) == '\n');
  return output;
}

static void etcdctl_wants_it_alone(void) {
  locker_connect_options options = {.struct_size = sizeof options, .prefix = ""};
  locker_client bare;
  OK(locker_connect(endpoints(), &options, &bare, &error));
  char name[64], line[512];
  snprintf(name, sizeof name, "t-%d-shared", (int)getpid());
  locker_guard first = has(bare, name, one_of(3)), second = has(bare, name, one_of(3)), never;
  pid_t pid;
  FILE *output = etcdctl_lock(name, &pid);
  await_waiters(bare, name, 1);
  /* There is room for one more, but not before etcdctl. */
  locker_guard behind = wants(bare, name, one_of(3));
  await_waiters(bare, name, 2);
  locker_lock_options tries = one_of(3);
  tries.timeout_ms = LOCKER_NO_WAIT;
  FAILS(LOCKER_TIMEOUT, name, locker_lock(bare, name, &tries, &never, &error));
  ends(first), ends(second);
  CHECK(fgets(line, sizeof line, output) && !strncmp(line, name, strlen(name))); /* it has the lock */
  locker_info info = got(bare, name);
  CHECK(info.mode == LOCKER_FOREIGN && info.holders == 1 && info.waiters == 1 && waits(behind));
  CHECK(kill(pid, SIGTERM) == 0);
  OK(locker_wait(behind, 0, &error));
  ends(behind);
  pclose(output);
  OK(locker_disconnect(bare, 0, &error));
}

/* Threads take seats and now and then all of the room. */
enum { SEATS = 3, PEOPLE = 8 };
static int seated, alone;
static pthread_mutex_t counts = PTHREAD_MUTEX_INITIALIZER;

static void enter(int *inside, int by) {
  pthread_mutex_lock(&counts);
  *inside += by;
  CHECK(seated <= SEATS && alone <= 1 && (seated == 0 || alone == 0));
  pthread_mutex_unlock(&counts);
}

static void *come_and_go(void *which) {
  intptr_t n = (intptr_t)which;
  for (int i = 0, times = getenv("LOCKER_VALGRIND_RUNS") ? 3 : 20; i < times; i++) {
    bool all = (n + i) % 4 == 0;
    locker_guard guard = has(n % 2 ? client : other, "room", one_of(all ? 0 : SEATS));
    enter(all ? &alone : &seated, 1);
    enter(all ? &alone : &seated, -1);
    ends(guard);
  }
  return NULL;
}

static void never_too_many(void) {
  pthread_t people[PEOPLE];
  for (intptr_t n = 0; n < PEOPLE; n++) people[n] = thread(come_and_go, (void *)n);
  for (int n = 0; n < PEOPLE; n++) CHECK(pthread_join(people[n], NULL) == 0);
  CHECK(keys_of("room") == 0);
}

/* One whose lease ends gives his seat to another. */
static void a_seat_of_one_who_is_gone_is_free(void) {
  locker_client goes = connect_with(2000, 0);
  locker_guard stays = has(client, "gone", one_of(2)), gone = has(goes, "gone", one_of(2));
  locker_guard behind = wants(client, "gone", one_of(2));
  await_waiters(client, "gone", 1);
  OK(locker_disconnect(goes, 0, &error));
  OK(locker_wait(behind, 0, &error));
  CHECK(locker_guard_state(gone) == LOCKER_NONE && locker_guard_state(stays) == LOCKER_HELD);
  ends(behind), ends(stays);
}

int main(void) {
  client = connected(), other = connected();
  readers_together_and_writers_in_order();
  no_more_than_the_limit();
  one_limit_for_all_who_are_there();
  etcdctl_wants_it_alone();
  never_too_many();
  a_seat_of_one_who_is_gone_is_free();
  OK(locker_disconnect(other, 0, &error));
  leave(client);
}
