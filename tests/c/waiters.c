/* A thousand threads wait for one lock: the end of their client wakes them all. */
#include "test.h"

enum { WAITERS = 1000 };

static locker_client client;
static locker_guard guards[WAITERS];
static count waiting = COUNT, cancelled = COUNT;

static void *wait_for_it(void *guard) {
  count_up(&waiting);
  locker_code code = locker_wait(*(locker_guard *)guard, 0, NULL);
  /* It had not begun to wait yet when the handle was spent. */
  CHECK(code == LOCKER_CANCELLED || code == LOCKER_BAD_HANDLE);
  if (code == LOCKER_CANCELLED) count_up(&cancelled);
  return NULL;
}

int main(void) {
  client = connect_with(60000, 60000); /* under valgrind a thousand locks take their time */
  locked(client, "crowded");
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 256 * 1024);
  static pthread_t all[WAITERS];
  for (int i = 0; i < WAITERS; i++) {
    OK(locker_lock_start(client, "crowded", NULL, &guards[i], &error));
    CHECK(pthread_create(&all[i], &small, wait_for_it, &guards[i]) == 0);
  }
  await(&waiting, WAITERS);
  CHECK(locker_live_handles() == WAITERS + 2);
  /* The library's own threads: waiting costs it none. */
  CHECK(threads("locker") == 1 && threads("locker-call") == 0);
  int64_t begin = now_ms();
  OK(locker_disconnect(client, 0, &error));
  for (int i = 0; i < WAITERS; i++) pthread_join(all[i], NULL);
  printf("%d of %d woken with cancelled, disconnect and all in %lld ms\n", counted(&cancelled), WAITERS,
         (long long)(now_ms() - begin));
  CHECK(counted(&cancelled) >= WAITERS / 2);
  CHECK(locker_live_handles() == 0);
  pthread_attr_destroy(&small);
  locker_shutdown(0);
}
