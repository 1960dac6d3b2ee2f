/* No more threads, or no more memory: an error that says so, or an abort, and nothing worse. */
#include "test.h"

#include <signal.h>
#include <sys/resource.h>

/* Where memory is short malloc says so, as without the sanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1:detect_leaks=0:handle_abort=0"; }

enum { WORKED, REFUSED, ABORTED, OUTCOMES };
static long outcomes[OUTCOMES];

static void no_more_threads(long unused) {
  (void)unused;
  struct rlimit none = {0, 0};
  /* It binds nobody who may do everything. */
  if (setrlimit(RLIMIT_NPROC, &none) || (geteuid() == 0 && setuid(65534))) _exit(99);
}

static void less_memory(long n) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%ld", &pages) != 1) _exit(99);
  fclose(file);
  rlim_t bytes = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (rlim_t)(n * 29 % 200) * 65536;
  struct rlimit limit = {bytes, bytes};
  if (setrlimit(RLIMIT_AS, &limit)) _exit(99);
}

static void work(void) {
  locker_connect_options options = {.struct_size = sizeof options, .prefix = "/t/limits/", .ttl_ms = 2000};
  locker_client client;
  locker_guard guard;
  locker_error error;
  locker_code code = locker_connect(endpoints(), &options, &client, &error);
  if (!code) code = locker_lock_start(client, "x", NULL, &guard, &error);
  if (!code) code = locker_unlock(guard, 0, &error);
  if (!code) code = locker_disconnect(client, 0, &error);
  locker_shutdown(1000);
  _exit(code == LOCKER_OK ? WORKED : code == LOCKER_UNAVAILABLE && *error.message ? REFUSED : 98);
}

static void in_a_child(void (*limit)(long), long n) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (!child) {
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    fclose(stderr);
    alarm(60);
    limit(n);
    work();
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  if (WIFEXITED(status) && WEXITSTATUS(status) < ABORTED) outcomes[WEXITSTATUS(status)]++;
  else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) outcomes[ABORTED]++;
  else {
    char how[64];
    snprintf(how, sizeof how, "trial %ld: wait status %#x", n, status);
    fail(__FILE__, __LINE__, "an error or an abort", how);
  }
}

static void try_with(const char *name, void (*limit)(long), long asked) {
  memset(outcomes, 0, sizeof outcomes);
  long times = trials(44, name, asked);
  if (getenv("LOCKER_VALGRIND_RUNS")) {
    row_skipped("under valgrind, which needs memory and threads itself");
    return;
  }
  for (long i = 0; i < times; i++) in_a_child(limit, i);
  CHECK(limit == less_memory || outcomes[REFUSED] == times);
  row_ok("%ld worked, %ld gave an error, %ld aborted, 0 else", outcomes[WORKED], outcomes[REFUSED], outcomes[ABORTED]);
}

int main(void) {
  try_with("no more threads", no_more_threads, 100);
  try_with("no more memory", less_memory, 1000);
}
