/* Ends of processes that hold a lock, and of threads that have used it: in time, with their own exit code, without a crash. */
#include "test.h"

/* What ends without unlocking has what is found there. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }

static locker_client client;
static locker_guard guard;
static count held = COUNT;

static void on_change(void *user_data, locker_guard g, locker_state state, const locker_error *error) {
  (void)user_data, (void)g, (void)error;
  if (state == LOCKER_HELD) count_up(&held);
}

static void *wait_for_it(void *unused) {
  (void)unused;
  locker_guard mine;
  locker_lock(client, "held", NULL, &mine, NULL);
  return NULL;
}

static void *end_the_process(void *unused) {
  (void)unused;
  exit(0);
}

static void unlock_at_exit(void) {
  OK(locker_unlock(guard, 0, &error));
  OK(locker_disconnect(client, 0, &error));
}

static void ask_at_exit(void) { CHECK(locker_guard_token(guard) > 0); }
static void shut_down_at_exit(void) { locker_shutdown(0); }

static pthread_key_t key;
static void unlock_at_thread_exit(void *unused) {
  (void)unused;
  OK(locker_unlock(guard, 0, &error));
}

static void *end_thread(void *unused) {
  (void)unused;
  CHECK(pthread_setspecific(key, &key) == 0);
  return NULL;
}

static const char *const ways[] = {"return", "thread waits", "exit of a thread", "handler before", "handler after",
                                   "handler asks", "shutdown", "end of a thread", "_exit"};
enum { WAYS = sizeof ways / sizeof *ways };

/* The program that ends, in the way of that number. */
static void end_in_way(int way) {
  if (way == 3) atexit(unlock_at_exit);
  client = connected();
  if (way == 4) atexit(unlock_at_exit);
  if (way == 5) atexit(ask_at_exit);
  if (way == 6) atexit(shut_down_at_exit);
  locker_lock_options options = {.struct_size = sizeof options, .on_change = on_change};
  OK(locker_lock(client, "held", &options, &guard, &error));
  await(&held, 1);
  if (way == 1) thread(wait_for_it, NULL);
  if (way == 7) {
    CHECK(pthread_key_create(&key, unlock_at_thread_exit) == 0);
    pthread_join(thread(end_thread, NULL), NULL);
  }
  int64_t now = now_ms();
  CHECK(write(STDOUT_FILENO, &now, sizeof now) == sizeof now);
  if (way == 2) pthread_join(thread(end_the_process, NULL), NULL);
  if (way == 8) _exit(0);
}

/* How long the end of a process takes from the end of main, in milliseconds. */
static int64_t end_of(const char *program, int way) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  pid_t child = fork();
  CHECK(child >= 0);
  if (!child) {
    char number[16];
    snprintf(number, sizeof number, "%d", way);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]), close(ends[1]);
    alarm(60);
    execl(program, program, number, (char *)NULL);
    _exit(127);
  }
  close(ends[1]);
  int64_t begin = 0, end;
  int status;
  bool said = read(ends[0], &begin, sizeof begin) == sizeof begin;
  CHECK(waitpid(child, &status, 0) == child);
  end = now_ms();
  close(ends[0]);
  if (!said || status) fail(__FILE__, __LINE__, ways[way], WIFSIGNALED(status) ? "a signal ended it" : "it failed");
  return end - begin;
}

int main(int argc, char **argv) {
  if (argc > 1) {
    end_in_way(atoi(argv[1]));
    return 0;
  }
  long ends = trials(42, "ends of processes and threads in C", 1000);
  if (ends < WAYS) ends = row.ran = WAYS;
  int64_t slowest = 0, late = 0;
  const char *way = "";
  for (long i = 0; i < ends; i++) {
    int64_t ms = end_of(argv[0], (int)(i % WAYS));
    if (ms > slowest) slowest = ms, way = ways[i % WAYS];
    late += ms > 200;
  }
  /* A busy machine may stop one for a while; what waits for something would be late each time. */
  CHECK(late <= ends / 10 || getenv("LOCKER_VALGRIND_RUNS"));
  row_ok("exit code 0, slowest %lld ms (%s), %lld over 200 ms", (long long)slowest, way, (long long)late);
}
