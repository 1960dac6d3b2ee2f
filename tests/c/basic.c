/* The five verbs, as the header's example uses them. */
#include "test.h"

static locker_client client;

static void versions(void) {
  CHECK(locker_abi() == LOCKER_ABI);
  CHECK(locker_version()[0] >= '0' && locker_version()[0] <= '9');
  CHECK(!strcmp(locker_code_name(LOCKER_OK), "ok"));
  CHECK(!strcmp(locker_code_name(LOCKER_TIMEOUT), "timeout"));
  CHECK(!strcmp(locker_code_name(LOCKER_INTERNAL), "internal"));
  CHECK(!strcmp(locker_code_name(10), "unknown"));
  CHECK(!strcmp(locker_code_name(-1), "unknown"));
  CHECK(!strcmp(locker_code_name(INT32_MIN), "unknown"));
}

static void holder_is_seen(void) {
  locker_info info;
  OK(locker_get(client, "seen", 0, &info, &error));
  CHECK(info.token == 0 && info.mode == LOCKER_FREE && !strcmp(info.name, "seen") && !*info.value);

  locker_lock_options options = {.struct_size = sizeof options, .value = "10.0.0.7:80", .reason = "nightly run"};
  locker_guard guard;
  OK(locker_lock(client, "seen", &options, &guard, &error));
  int64_t token = locker_guard_token(guard);
  CHECK(token > 0 && locker_guard_state(guard) == LOCKER_HELD);
  int64_t remaining = locker_guard_remaining_ms(guard);
  CHECK(remaining > 0 && remaining <= 10000);

  char host[256];
  CHECK(gethostname(host, sizeof host) == 0);
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  OK(locker_get(client, "seen", 2000, &info, &error));
  CHECK(info.token == token && info.mode == LOCKER_EXCLUSIVE && info.pid == (uint32_t)getpid());
  CHECK(!strcmp(info.name, "seen") && !strcmp(info.value, "10.0.0.7:80") && !strcmp(info.reason, "nightly run"));
  CHECK(!strcmp(info.host, host) && *info.program);
  CHECK(llabs(info.since_ms - now.tv_sec * 1000LL) < 60000);
  for (size_t i = 0; i < sizeof info.reserved / sizeof *info.reserved; i++) CHECK(info.reserved[i] == 0);
  CHECK(info.reserved_mode == 0);

  locker_info mine;
  OK(locker_guard_info(guard, &mine, &error));
  CHECK(mine.token == token && mine.mode == LOCKER_EXCLUSIVE && mine.since_ms == info.since_ms);
  CHECK(!strcmp(mine.name, "seen") && !strcmp(mine.value, info.value) && !strcmp(mine.reason, info.reason));
  OK(locker_unlock(guard, 0, &error));
  OK(locker_get(client, "seen", 0, &info, &error));
  CHECK(info.token == 0 && info.mode == LOCKER_FREE);
}

static void busy_lock_times_out(void) {
  locker_lock_options held = {.struct_size = sizeof held, .value = "me, myself"};
  locker_guard guard, other = {77};
  OK(locker_lock(client, "busy", &held, &guard, &error));
  locker_lock_options options = {.struct_size = sizeof options, .timeout_ms = LOCKER_NO_WAIT};
  FAILS(LOCKER_TIMEOUT, "is held by", locker_lock(client, "busy", &options, &other, &error));
  options.timeout_ms = 100;
  int64_t begin = now_ms();
  FAILS(LOCKER_TIMEOUT, "busy", locker_lock(client, "busy", &options, &other, &error));
  CHECK(now_ms() - begin >= 100 && now_ms() - begin < 5000);
  CHECK(other.id == 77); /* out is written only on LOCKER_OK */

  /* Nothing is left in the queue, soon: its place is given up behind the call. */
  locker_info info = {.waiters = 1};
  for (int64_t end = now_ms() + 5000; info.waiters > 0 && now_ms() < end; sleep_ms(1))
    OK(locker_get(client, "busy", 0, &info, &error));
  CHECK(info.token == locker_guard_token(guard) && info.waiters == 0);
  OK(locker_unlock(guard, 0, &error));
  OK(locker_lock(client, "busy", &options, &other, &error));
  OK(locker_unlock(other, 0, &error));
}

static void started_lock_waits_its_turn(void) {
  locker_guard first = locked(client, "turn"), second;
  OK(locker_lock_start(client, "turn", NULL, &second, &error));
  CHECK(locker_guard_state(second) == LOCKER_WAITING && locker_guard_token(second) == 0);
  CHECK(locker_guard_remaining_ms(second) == 0);
  FAILS(LOCKER_TIMEOUT, "turn", locker_wait(second, LOCKER_NO_WAIT, &error));
  FAILS(LOCKER_TIMEOUT, "turn", locker_wait(second, 50, &error));
  CHECK(locker_guard_state(second) == LOCKER_WAITING);
  int64_t token = locker_guard_token(first);
  OK(locker_unlock(first, 0, &error));
  OK(locker_wait(second, 0, &error));
  CHECK(locker_guard_token(second) > token);
  OK(locker_wait(second, LOCKER_NO_WAIT, &error));
  OK(locker_unlock(second, 0, &error));
}

static void waiter_that_leaves_is_skipped(void) {
  locker_guard first = locked(client, "skip"), second, third;
  OK(locker_lock_start(client, "skip", NULL, &second, &error));
  OK(locker_lock_start(client, "skip", NULL, &third, &error));
  OK(locker_unlock(second, 0, &error));
  OK(locker_unlock(first, 0, &error));
  OK(locker_wait(third, 0, &error));
  OK(locker_unlock(third, 0, &error));
}

static void started_lock_has_a_limit(void) {
  locker_guard first = locked(client, "limit"), second;
  locker_lock_options options = {.struct_size = sizeof options, .timeout_ms = 50};
  OK(locker_lock_start(client, "limit", &options, &second, &error));
  FAILS(LOCKER_TIMEOUT, "limit", locker_wait(second, 0, &error));
  CHECK(locker_guard_state(second) == LOCKER_ENDED);
  FAILS(LOCKER_TIMEOUT, "limit", locker_wait(second, 0, &error));
  locker_unlock(second, 0, NULL);
  CHECK(locker_guard_state(second) == LOCKER_NONE);
  OK(locker_unlock(first, 0, &error));
}

static locker_guard given;
static void *unlock_given(void *unused) {
  (void)unused;
  OK(locker_unlock(given, 0, &error));
  return NULL;
}

static void guard_belongs_to_no_thread(void) {
  given = locked(client, "handed");
  pthread_t other = thread(unlock_given, NULL);
  locker_guard guard = locked(client, "handed");
  CHECK(pthread_join(other, NULL) == 0);
  OK(locker_unlock(guard, 0, &error));
}

static void behind_the_call(void) {
  locker_guard first = locked(client, "behind"), second;
  OK(locker_lock_start(client, "behind", NULL, &second, &error));
  OK(locker_unlock(first, LOCKER_NO_WAIT, &error));
  OK(locker_wait(second, 0, &error));
  OK(locker_unlock(second, LOCKER_NO_WAIT, &error));
  locker_guard third = locked(client, "behind");
  OK(locker_unlock(third, 0, &error));
}

int main(void) {
  versions();
  client = connected();
  holder_is_seen();
  busy_lock_times_out();
  started_lock_waits_its_turn();
  waiter_that_leaves_is_skipped();
  started_lock_has_a_limit();
  guard_belongs_to_no_thread();
  behind_the_call();
  leave(client);
}
