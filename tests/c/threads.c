/* The library's threads: none before the first connect, one then, and none of the host's signals in it. */
#include "test.h"

#include <signal.h>

static locker_client client;
static count told = COUNT;
static volatile sig_atomic_t handled;

static void on_signal(int signal) { handled = signal; }

static void on_change(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  (void)user_data, (void)guard, (void)state, (void)error;
  count_up(&told);
}

static void signals_are_the_hosts(void) {
  /* With every thread of the library there is. */
  locker_lock_options options = {.struct_size = sizeof options, .on_change = on_change};
  locker_guard guard;
  OK(locker_lock(client, "signals", &options, &guard, &error));
  await(&told, 1);
  CHECK(threads("locker-call") == 1);

  static const int signals[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGPIPE, SIGALRM, SIGPROF};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    struct sigaction before, action = {.sa_handler = on_signal};
    CHECK(sigaction(signals[i], &action, &before) == 0 && before.sa_handler == SIG_DFL);
    sigset_t one, pending;
    sigemptyset(&one);
    sigaddset(&one, signals[i]);
    /* If this thread does not take it, none does. */
    CHECK(pthread_sigmask(SIG_BLOCK, &one, NULL) == 0);
    handled = 0;
    kill(getpid(), signals[i]);
    locker_info info;
    OK(locker_get(client, "signals", 0, &info, &error));
    CHECK(handled == 0 && sigpending(&pending) == 0 && sigismember(&pending, signals[i]));
    CHECK(pthread_sigmask(SIG_UNBLOCK, &one, NULL) == 0);
    CHECK(handled == signals[i]);
    CHECK(sigaction(signals[i], &before, NULL) == 0);
  }
  OK(locker_unlock(guard, 0, &error));
  sigset_t mask;
  CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
  for (int signal = 1; signal < 32; signal++) CHECK(sigismember(&mask, signal) == 0);
}

/* A counter without any lock but ours. */
enum { THREADS = 8, TIMES = 25 };
static volatile int counter;
static int64_t last_token;

static void *count_under_the_lock(void *unused) {
  (void)unused;
  for (int i = 0; i < TIMES; i++) {
    locker_guard guard = locked(client, "counter");
    int64_t token = locker_guard_token(guard);
    CHECK(token > last_token);
    last_token = token;
    int value = counter;
    sched_yield();
    counter = value + 1;
    OK(locker_unlock(guard, 0, &error));
  }
  return NULL;
}

static void threads_exclude_each_other(void) {
  pthread_t all[THREADS];
  for (int i = 0; i < THREADS; i++) all[i] = thread(count_under_the_lock, NULL);
  for (int i = 0; i < THREADS; i++) pthread_join(all[i], NULL);
  CHECK(counter == THREADS * TIMES);
}

/* Ending the same handle in many threads: one of them ends it. */
static locker_guard shared;
static count ended = COUNT, spent = COUNT;
static void *unlock_shared(void *unused) {
  (void)unused;
  locker_code code = locker_unlock(shared, 0, NULL);
  CHECK(code == LOCKER_OK || code == LOCKER_BAD_HANDLE);
  count_up(code == LOCKER_OK ? &ended : &spent);
  return NULL;
}

static void one_ends_it(void) {
  for (int round = 0; round < 10; round++) {
    shared = locked(client, "shared");
    pthread_t all[THREADS];
    for (int i = 0; i < THREADS; i++) all[i] = thread(unlock_shared, NULL);
    for (int i = 0; i < THREADS; i++) pthread_join(all[i], NULL);
  }
  CHECK(counted(&ended) == 10 && counted(&spent) == 10 * (THREADS - 1));
}

static void on_log(void *user_data, int32_t level, const char *message) {
  (void)user_data, (void)level, (void)message;
}

int main(void) {
  locker_set_log(4, on_log, NULL, NULL);
  CHECK(locker_live_handles() == 0 && threads(NULL) == 1);
  locker_set_log(0, NULL, NULL, NULL);
  client = connected();
  CHECK(threads(NULL) == 2 && threads("locker") == 1);
  threads_exclude_each_other();
  one_ends_it();
  CHECK(threads(NULL) == 2 && threads("locker") == 1);
  signals_are_the_hosts();
  leave(client);
  CHECK(threads(NULL) == 1);
}
