/* A child of fork has no threads of the library: every call says so at once, and the parent does not notice. */
#include "loop.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

/* The child lacks the threads that own what would be found leaked there. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }

static locker_client client;
static locker_guard guard;
static locker_watcher watcher;
static count freed = COUNT;

static void on_change(void *user_data, locker_guard g, locker_state state, const locker_error *error) {
  (void)user_data, (void)g, (void)state, (void)error;
}

static void on_event(void *user_data, const locker_info *info, const locker_error *error) {
  (void)user_data, (void)info, (void)error;
}

static void on_log(void *user_data, int32_t level, const char *message) {
  (void)user_data, (void)level, (void)message;
}

#define REFUSED(call) FAILS(LOCKER_BAD_CONTEXT, "fork", call)

static void in_the_child(void) {
  int64_t begin = now_ms();
  locker_info info;
  locker_client c;
  locker_guard g;
  locker_watcher w;
  locker_lock_options lock = {
      .struct_size = sizeof lock, .on_change = on_change, .user_data = &freed, .free_user_data = count_free};
  locker_watch_options watch = {
      .struct_size = sizeof watch, .on_event = on_event, .user_data = &freed, .free_user_data = count_free};
  REFUSED(locker_connect(endpoints(), NULL, &c, &error));
  REFUSED(locker_lock(client, "x", &lock, &g, &error));
  REFUSED(locker_lock_start(client, "x", &lock, &g, &error));
  REFUSED(locker_watch(client, "x", &watch, &w, &error));
  CHECK(counted(&freed) == 3);
  REFUSED(locker_wait(guard, 0, &error));
  REFUSED(locker_unlock(guard, 0, &error));
  REFUSED(locker_unlock(guard, LOCKER_NO_WAIT, &error));
  REFUSED(locker_guard_info(guard, &info, &error));
  REFUSED(locker_get(client, "x", 0, &info, &error));
  REFUSED(locker_get_cached(client, "x", 0, &info, &error));
  REFUSED(locker_watch_next(watcher, 0, &info, &error));
  REFUSED(locker_unwatch(watcher, 0, &error));
  int fd;
  REFUSED(locker_client_fd(client, &fd, &error));
  REFUSED(locker_dispatch(client, 0, NULL, &error));
  REFUSED(locker_disconnect(client, 0, &error));
  CHECK(locker_guard_state(guard) == LOCKER_NONE);
  CHECK(locker_guard_token(guard) == 0 && locker_guard_remaining_ms(guard) == 0);
  CHECK(locker_live_handles() == 0);
  CHECK(locker_abi() == LOCKER_ABI && *locker_version() && !strcmp(locker_code_name(0), "ok"));
  locker_set_log(4, on_log, &freed, count_free);
  CHECK(counted(&freed) == 4);
  locker_shutdown(0);
  CHECK(now_ms() - begin < 2000);
}

static void succeeds(pid_t child) {
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* With exit, which runs what a library may have left to run. */
static void child_is_told(void) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (!child) {
    in_the_child();
    exit(0);
  }
  succeeds(child);
  locker_info info;
  OK(locker_get(client, "parent", 0, &info, &error));
  CHECK(info.token == locker_guard_token(guard) && locker_guard_state(guard) == LOCKER_HELD);
}

/* While other threads are at work in the library, and may hold any of its locks. */
static bool stop;
static void *work(void *name) {
  while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
    locker_guard g = locked(client, name);
    OK(locker_unlock(g, 0, &error));
  }
  return NULL;
}

static void child_of_a_busy_parent_is_told(void) {
  static char names[4][8] = {"a", "a", "b", "c"};
  pthread_t all[4];
  for (int i = 0; i < 4; i++) all[i] = thread(work, names[i]);
  for (int i = 0; i < 50; i++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
      /* Nothing that allocates, as after any fork of a process with threads. */
      alarm(20);
      locker_code code = locker_unlock(guard, 0, NULL);
      bool none = locker_guard_state(guard) == LOCKER_NONE && locker_live_handles() == 0;
      _exit(code == LOCKER_BAD_CONTEXT && none ? 0 : 1);
    }
    succeeds(child);
  }
  __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
  for (int i = 0; i < 4; i++) pthread_join(all[i], NULL);
}

/* Microseconds that the slowest call of a child took: by the clock, and of the processor. */
typedef struct slowest {
  long elapsed, worked;
} slowest;

static long micros(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#define TIMED(slowest, call)                                                                                           \
  do {                                                                                                                 \
    long elapsed = -micros(CLOCK_MONOTONIC), worked = -micros(CLOCK_THREAD_CPUTIME_ID);                                \
    CHECK(call);                                                                                                       \
    elapsed += micros(CLOCK_MONOTONIC), worked += micros(CLOCK_THREAD_CPUTIME_ID);                                     \
    if (elapsed > slowest->elapsed) slowest->elapsed = elapsed;                                                        \
    if (worked > slowest->worked) slowest->worked = worked;                                                            \
  } while (0)

static void child_of_many(slowest *slowest, long n) {
  locker_guard g;
  alarm(60);
  TIMED(slowest, locker_lock(client, "x", NULL, &g, NULL) == LOCKER_BAD_CONTEXT);
  TIMED(slowest, locker_guard_state(guard) == LOCKER_NONE && locker_guard_remaining_ms(guard) == 0);
  TIMED(slowest, locker_unlock(guard, 0, NULL) == LOCKER_BAD_CONTEXT);
  TIMED(slowest, locker_disconnect(client, 0, NULL) == LOCKER_BAD_CONTEXT);
  if (n % 2) exit(0);
  _exit(0);
}

static void parent_is_unhurt(void) {
  slowest *slowest = mmap(NULL, sizeof *slowest, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(slowest != MAP_FAILED);
  long forks = trials(29, "forks in C", 1000);
  int64_t token = locker_guard_token(guard);
  for (long i = 0; i < forks; i++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) child_of_many(slowest, i);
    succeeds(child);
    locker_info info;
    OK(locker_get(client, "parent", 0, &info, &error));
    CHECK(locker_guard_token(guard) == token && info.token == token && locker_guard_remaining_ms(guard) > 0);
  }
  /* By the processor, since a child may have to wait for its turn on it. */
  CHECK(slowest->worked < 5000 || getenv("LOCKER_VALGRIND_RUNS"));
  row_ok("hold survives each, slowest call of a child %.2f ms (%.2f ms of work)", slowest->elapsed / 1e3,
         slowest->worked / 1e3);
  munmap(slowest, sizeof *slowest);
}

/* Threads that nobody waited for, here one in a callback, are threads all the same. */
static count entered = COUNT, leave_now = COUNT;
static void hang(void *user_data, locker_guard g, locker_state state, const locker_error *error) {
  (void)user_data, (void)g, (void)error;
  if (state != LOCKER_HELD) return;
  count_up(&entered);
  await(&leave_now, 1);
}

static void child_is_refused(void) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (!child) {
    alarm(20);
    locker_client c;
    _exit(locker_connect(endpoints(), NULL, &c, NULL) == LOCKER_BAD_CONTEXT ? 0 : 1);
  }
  succeeds(child);
}

static void child_of_an_untimely_shutdown_is_told(void) {
  locker_client hung = connected();
  locker_lock_options lock = {.struct_size = sizeof lock, .on_change = hang};
  locker_guard g;
  OK(locker_lock(hung, "hung", &lock, &g, &error));
  await(&entered, 1);
  OK(locker_disconnect(hung, LOCKER_NO_WAIT, &error));
  child_is_refused();
  locker_shutdown(LOCKER_NO_WAIT);
  child_is_refused();
  locker_shutdown(100);
  child_is_refused();
  /* Also if a later start and end of the library was clean. */
  locker_client clean = connected();
  OK(locker_disconnect(clean, 0, &error));
  locker_shutdown(100);
  child_is_refused();
  count_up(&leave_now);
  locker_shutdown(0);
  CHECK(threads(NULL) == 1);
}

/* An alarm that nobody handles does nothing to a process 1. */
static void too_late(int signal) {
  (void)signal;
  _exit(1);
}

/* A process 1, whose child is a process 1, too: the process ids alone do not tell them apart. */
static void in_a_namespace(void) {
  CHECK(getpid() == 1);
  client = connected();
  guard = locked(client, "namespace");
  OK(locker_watch(client, "namespace", NULL, &watcher, &error));
  CHECK(unshare(CLONE_NEWPID) == 0);
  pid_t child = fork();
  CHECK(child >= 0);
  if (!child) {
    signal(SIGALRM, too_late);
    alarm(20);
    CHECK(getpid() == 1);
    in_the_child();
    exit(0);
  }
  succeeds(child);
  CHECK(locker_guard_state(guard) == LOCKER_HELD);
  OK(locker_unlock(guard, 0, &error));
  leave(client);
}

enum { NOT_PERMITTED = 77 };

/* In children, since a namespace is for those to come. */
static void process_1_is_told_from_its_child(void) {
  pid_t outside = fork();
  CHECK(outside >= 0);
  if (!outside) {
    if (unshare(CLONE_NEWPID) && unshare(CLONE_NEWUSER | CLONE_NEWPID)) exit(NOT_PERMITTED);
    pid_t first = fork();
    CHECK(first >= 0);
    if (!first) {
      in_a_namespace();
      exit(0);
    }
    succeeds(first);
    exit(0);
  }
  int status;
  CHECK(waitpid(outside, &status, 0) == outside && WIFEXITED(status));
  if (WEXITSTATUS(status) == NOT_PERMITTED) {
    puts("SKIPPED: fork: a process 1 whose child is one: a new PID namespace is not permitted here");
    fflush(stdout); /* else children would say it again */
  } else {
    CHECK(WEXITSTATUS(status) == 0);
  }
}

/* A loop's client, whose descriptor the child has, too. */
static void child_of_a_loop_is_told(void) {
  locker_client loop = connected_for_loop(0);
  story story = STORY;
  locker_guard g = started(loop, "loop", &story);
  CHECK(due_within(loop, 60000));
  int fd = fd_of(loop);
  pid_t child = fork();
  CHECK(child >= 0);
  if (!child) {
    alarm(20);
    bool refused = locker_dispatch(loop, 0, NULL, NULL) == LOCKER_BAD_CONTEXT &&
                   locker_client_fd(loop, &fd, NULL) == LOCKER_BAD_CONTEXT &&
                   locker_unlock(g, LOCKER_NO_WAIT, NULL) == LOCKER_BAD_CONTEXT;
    _exit(refused && counted(&story.told) == 0 && counted(&story.freed) == 0 ? 0 : 1);
  }
  succeeds(child);
  CHECK(dispatched(loop, 0) == 1 && counted(&story.told) == 1 && locker_guard_state(g) == LOCKER_HELD);
  OK(locker_disconnect(loop, 0, &error));
  CHECK(counted(&story.freed) == 1);
}

static void child_uses_its_own(void) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (!child) {
    locker_client own = connected();
    locker_guard g = locked(own, "child");
    OK(locker_unlock(g, 0, &error));
    leave(own);
    exit(0);
  }
  succeeds(child);
}

int main(void) {
  prefix();
  child_uses_its_own(); /* before the first connect */
  process_1_is_told_from_its_child();
  client = connected();
  guard = locked(client, "parent");
  OK(locker_watch(client, "parent", NULL, &watcher, &error));
  child_is_told();
  child_of_a_loop_is_told();
  child_of_a_busy_parent_is_told();
  parent_is_unhurt();
  CHECK(locker_guard_state(guard) == LOCKER_HELD);
  OK(locker_unlock(guard, 0, &error));
  leave(client);
  child_uses_its_own(); /* after locker_shutdown */
  child_of_an_untimely_shutdown_is_told();
  child_uses_its_own();
}
