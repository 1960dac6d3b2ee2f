/* Those who wait for a lock and are told to stop: by the end of their guard one by one, and by the end of their client a
 * thousand threads at once, or a hundred under valgrind. */
#include "test.h"

enum { MOST = 1000 };

static locker_client client;
static locker_guard guards[MOST];
static count waiting = COUNT, cancelled = COUNT;

static void *wait_for_it(void *guard) {
  locker_error error = {.message = "it holds"};
  count_up(&waiting);
  locker_code code = locker_wait(*(locker_guard *)guard, 0, &error);
  /* A bad handle: it had not begun to wait yet when the handle was spent. */
  if (code != LOCKER_CANCELLED && code != LOCKER_BAD_HANDLE)
    fail(__FILE__, __LINE__, "a waiter is cancelled", error.message);
  if (code == LOCKER_CANCELLED) count_up(&cancelled);
  return NULL;
}

static void *wait_until_cancelled(void *guard) {
  locker_code code = locker_wait(*(locker_guard *)guard, 0, NULL);
  CHECK(code == LOCKER_CANCELLED || code == LOCKER_BAD_HANDLE);
  return (void *)(intptr_t)now_ms();
}

static void one_by_one(void) {
  locker_client holder = connected(), other = connected();
  locked(holder, "busy");
  long waits = trials(30, "waits ended by another thread, C", 100);
  int64_t slowest = 0, gone = 0;
  for (long i = 0; i < waits; i++) {
    locker_guard guard;
    locker_info info = {.waiters = 0};
    void *woken;
    OK(locker_lock_start(other, "busy", NULL, &guard, &error));
    pthread_t waiter = thread(wait_until_cancelled, &guard);
    while (info.waiters == 0) OK(locker_get(holder, "busy", 0, &info, &error));
    sleep_ms(i % 10); /* until it is deep in its wait, or only about to be */
    int64_t begin = now_ms();
    locker_code code = locker_unlock(guard, 0, NULL);
    pthread_join(waiter, &woken);
    CHECK(code == LOCKER_OK);
    if ((intptr_t)woken - begin > slowest) slowest = (intptr_t)woken - begin;
    while (info.waiters > 0) OK(locker_get(holder, "busy", 0, &info, &error));
    if (now_ms() - begin > gone) gone = now_ms() - begin;
  }
  CHECK(slowest < 1000 && gone < 2000);
  row_ok("returns within %lld ms, key gone within %lld ms", (long long)slowest, (long long)gone);
  OK(locker_disconnect(other, 0, &error));
  OK(locker_disconnect(holder, 0, &error));
}

static void all_at_once(void) {
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
  pthread_attr_destroy(&small);
}

int main(void) {
  one_by_one();
  all_at_once();
  CHECK(locker_live_handles() == 0);
  locker_shutdown(0);
}
