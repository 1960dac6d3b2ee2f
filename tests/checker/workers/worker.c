/* The worker in C: locks are waited for with locker_lock, now and then given up while waiting, and lost by a callback. */
#include "record.h"

#include <signal.h>

#include "locker.h"

static volatile sig_atomic_t ended;

static void end(int signal) {
  (void)signal;
  ended = 1;
}

static void check(locker_code code, const locker_error *error) {
  if (code == LOCKER_OK) return;
  fprintf(stderr, "%s: %s\n", locker_code_name(code), error->message);
  exit(1);
}

static struct record event(enum kind kind, const struct record *hold) {
  struct record r = *hold;
  r.kind = kind;
  r.at = now_ns();
  return r;
}

/* Runs on a thread of the library. */
static void changed(void *hold, locker_guard guard, locker_state state, const locker_error *error) {
  (void)guard;
  struct record *r = hold;
  if (state == LOCKER_ENDED && error && error->code == LOCKER_LOST) append(event(LOST, r));
}

static int held(locker_guard guard) {
  locker_state state = locker_guard_state(guard);
  return state == LOCKER_HELD || state == LOCKER_AT_RISK;
}

static uint64_t deadline(locker_guard guard, uint64_t at) {
  return at + (uint64_t)locker_guard_remaining_ms(guard) * 1000000;
}

/* Works under the lock, and at the end also on what the lock no longer protects: to be refused. */
static void work(locker_guard guard, struct record hold) {
  uint64_t number = read_naked(hold.lock);
  for (uint64_t until = now_ns() + work_ms() * 1000000ull; now_ns() < until; sleep_ms(5)) {
    struct record r = event(HELD_TRUE, &hold);
    if (!held(guard)) break;
    r.deadline = deadline(guard, r.at);
    append(r);
  }
  write_fenced(hold);
  if (dice(8) == 0) write_guarded(hold);
  write_naked(hold, number + 1);
}

static void release(locker_guard guard, const struct record *hold) {
  append(event(REL_CALL, hold));
  locker_code code = locker_unlock(guard, 0, NULL);
  struct record r = event(REL_RET, hold);
  r.revision = (uint64_t)code;
  append(r);
}

static locker_code acquire(locker_client client, const char *name, const locker_lock_options *options,
                           locker_guard *guard, locker_error *error) {
  if (dice(10) != 0) return locker_lock(client, name, options, guard, error);
  /* Gives up while waiting, if it still does. */
  locker_code code = locker_lock_start(client, name, options, guard, error);
  if (code != LOCKER_OK) return code;
  code = locker_wait(*guard, 1 + dice(30), error);
  if (code == LOCKER_TIMEOUT) locker_unlock(*guard, LOCKER_NO_WAIT, NULL);
  return code;
}

/* `asked` is for the callback, which may be later than the call; its thread reads it, so that it is not written to here. */
static void once(locker_client client, struct record *asked) {
  struct record hold = *asked;
  char name[32];
  snprintf(name, sizeof name, "L%" PRIu32, hold.lock);
  uint32_t patience = patience_ms();
  locker_lock_options options = {.struct_size = sizeof options, .on_change = changed, .user_data = asked};
  options.timeout_ms = patience ? (int64_t)patience : LOCKER_NO_WAIT;
  locker_guard guard;
  locker_error error;

  struct record call = event(ACQ_CALL, &hold);
  call.deadline = call.at + patience * 1000000ull;
  append(call);
  locker_code code = acquire(client, name, &options, &guard, &error);
  struct record r = event(ACQ_RET, &hold);
  if (code != LOCKER_OK) {
    r.kind = ACQ_FAIL, r.revision = (uint64_t)code;
    append(r);
    return;
  }
  r.token = hold.token = (uint64_t)locker_guard_token(guard);
  r.deadline = deadline(guard, r.at);
  append(r);
  if (r.token) work(guard, hold);
  release(guard, &hold);
}

int main(void) {
  signal(SIGTERM, end);
  uint32_t locks = (uint32_t)atoi(setting("CHECK_LOCKS"));
  locker_connect_options options = {.struct_size = sizeof options, .prefix = "/check/"};
  options.ttl_ms = atoi(setting("CHECK_TTL"));
  locker_client client;
  locker_error error;
  check(locker_connect(setting("LOCKER_ENDPOINTS"), &options, &client, &error), &error);

  append((struct record){.lang = C, .kind = START, .token = (uint64_t)options.ttl_ms, .at = now_ns()});
  /* In turn, so that the callback of one that was given up has its own. */
  static struct record holds[1024];
  for (uint32_t seq = 1; !ended; seq++) {
    struct record *hold = &holds[seq % 1024];
    *hold = (struct record){.lang = C, .lock = 1 + dice(locks), .seq = seq};
    once(client, hold);
  }
  locker_disconnect(client, 0, NULL); /* without etcd, the locks end with their lease */
  append((struct record){.lang = C, .kind = DONE, .at = now_ns()});
  return 0;
}
