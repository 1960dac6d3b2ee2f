/* The library's threads: none before the first connect, one then, and none of the host's signals in it. */
#include "test.h"

#include <signal.h>
#include <sys/syscall.h>

static locker_client client;
static pid_t handled_by[64];
static int handled;

static void on_signal(int signal) {
  (void)signal;
  int n = __atomic_fetch_add(&handled, 1, __ATOMIC_SEQ_CST);
  if (n < 64) handled_by[n] = (pid_t)syscall(SYS_gettid);
}

static void signals_are_the_hosts(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGTERM, &action, NULL) == 0);
  struct sigaction pipe;
  CHECK(sigaction(SIGPIPE, NULL, &pipe) == 0 && pipe.sa_handler == SIG_DFL);
  for (int i = 0; i < 20; i++) {
    kill(getpid(), i % 2 ? SIGUSR1 : SIGTERM);
    locker_guard guard = locked(client, "signals");
    OK(locker_unlock(guard, 0, &error));
  }
  CHECK(__atomic_load_n(&handled, __ATOMIC_SEQ_CST) > 0);
  for (int i = 0; i < handled && i < 64; i++) CHECK(handled_by[i] == getpid());
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
  signals_are_the_hosts();
  threads_exclude_each_other();
  one_ends_it();
  CHECK(threads(NULL) == 2 && threads("locker") == 1);
  leave(client);
  CHECK(threads(NULL) == 1);
}
