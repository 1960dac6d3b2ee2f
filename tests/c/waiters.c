/* A thousand threads wait for one lock: the end of their client wakes them all. Under valgrind it is a hundred. */
#include "test.h"

enum { MOST = 1000 };

static locker_client client;
static locker_guard guards[MOST];
static count waiting = COUNT, cancelled = COUNT;

static void *wait_for_it(void *guard) {
  locker_error error;
  count_up(&waiting);
  locker_code code = locker_wait(*(locker_guard *)guard, 0, &error);
  /* A bad handle: it had not begun to wait yet when the handle was spent. */
  if (code != LOCKER_CANCELLED && code != LOCKER_BAD_HANDLE)
    fail(__FILE__, __LINE__, "a waiter is cancelled", error.message);
  if (code == LOCKER_CANCELLED) count_up(&cancelled);
  return NULL;
}

int main(void) {
  const int waiters = getenv("LOCKER_VALGRIND_RUNS") ? MOST / 10 : MOST;
  client = connect_with(60000, 60000); /* however slow the machine is */
  locked(client, "crowded");
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 256 * 1024);
  static pthread_t all[MOST];
  for (int i = 0; i < waiters; i++) {
    OK(locker_lock_start(client, "crowded", NULL, &guards[i], &error));
    CHECK(pthread_create(&all[i], &small, wait_for_it, &guards[i]) == 0);
  }
  await(&waiting, waiters);
  CHECK(locker_live_handles() == (size_t)waiters + 2);
  /* The library's own threads: waiting costs it none. */
  CHECK(threads("locker") == 1 && threads("locker-call") == 0);
  int64_t begin = now_ms();
  OK(locker_disconnect(client, 0, &error));
  for (int i = 0; i < waiters; i++) pthread_join(all[i], NULL);
  printf("%d of %d woken with cancelled, disconnect and all in %lld ms\n", counted(&cancelled), waiters,
         (long long)(now_ms() - begin));
  CHECK(counted(&cancelled) >= waiters / 2);
  CHECK(locker_live_handles() == 0);
  pthread_attr_destroy(&small);
  locker_shutdown(0);
}
