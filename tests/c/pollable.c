/* The descriptor of a client under each way to wait for it, and threads that meet at one loop. */
#include "loop.h"

#include <sys/epoll.h>
#include <sys/select.h>

static locker_client client;

/* --- the descriptor */

static void it_is_not_inherited_and_stays_the_same(void) {
  int fd = fd_of(client);
  CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  CHECK(fd_of(client) == fd && !due_within(client, 0));
}

static void it_is_readable_until_all_is_done(void) {
  story story = STORY;
  locker_guard guard = started(client, "level", &story);
  for (int i = 0; i < 3; i++) CHECK(due_within(client, 60000)); /* however often one looks */
  CHECK(dispatched(client, 0) == 1 && !due_within(client, 0) && dispatched(client, 0) == 0);
  OK(locker_unlock(guard, 0, &error));
}

/* Each sleeps until a lock changes hands behind the call. */
static int by_poll, by_select, by_level, by_edge; /* how often each woke */

static void wait_with_poll(void) {
  CHECK(due_within(client, 60000));
  by_poll++;
}

static void wait_with_select(void) {
  int fd = fd_of(client);
  fd_set reads;
  FD_ZERO(&reads);
  FD_SET(fd, &reads);
  struct timeval limit = {60, 0};
  CHECK(select(fd + 1, &reads, NULL, NULL, &limit) == 1 && FD_ISSET(fd, &reads));
  by_select++;
}

static void wait_with_epoll(int epoll, int *woke) {
  struct epoll_event event;
  CHECK(epoll_wait(epoll, &event, 1, 60000) == 1 && event.events == EPOLLIN);
  (*woke)++;
}

static int epoll_of(uint32_t events) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = events};
  CHECK(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd_of(client), &event) == 0);
  return epoll;
}

static void every_way_to_wait_wakes(void) {
  int level = epoll_of(EPOLLIN), edge = epoll_of(EPOLLIN | EPOLLET);
  for (int round = 0; round < 8; round++) {
    story story = STORY;
    locker_guard holder = locked(client, "ways"), guard = started(client, "ways", &story);
    struct epoll_event none;
    CHECK(!due_within(client, 30) && epoll_wait(level, &none, 1, 0) == 0 && epoll_wait(edge, &none, 1, 0) == 0);
    OK(locker_unlock(holder, LOCKER_NO_WAIT, &error));
    if (round % 4 == 0) wait_with_poll();
    if (round % 4 == 1) wait_with_select();
    if (round % 4 == 2) wait_with_epoll(level, &by_level);
    if (round % 4 == 3) wait_with_epoll(edge, &by_edge);
    CHECK(dispatched(client, 0) == 1 && counted(&story.told) == 1);
    OK(locker_unlock(guard, 0, &error));
  }
  CHECK(by_poll == 2 && by_select == 2 && by_level == 2 && by_edge == 2);
  close(level);
  close(edge);
}

/* A loop that looks for edges and takes one callback at each misses none. */
enum { MANY = 20 };
static void an_edge_for_all_that_is_left(void) {
  int edge = epoll_of(EPOLLIN | EPOLLET), woke = 0;
  story stories[MANY];
  locker_guard guards[MANY];
  for (int i = 0; i < MANY; i++) {
    char name[16];
    snprintf(name, sizeof name, "edge%d", i);
    stories[i] = (story)STORY;
    guards[i] = started(client, name, &stories[i]);
  }
  for (int i = 0; i < MANY; i++) OK(locker_wait(guards[i], 0, &error));
  locker_info info;
  OK(locker_get(client, "edge0", 0, &info, &error)); /* meanwhile all that is due has come */
  for (size_t told = 0; told < MANY;) {
    wait_with_epoll(edge, &woke);
    told += dispatched(client, 1);
  }
  CHECK(!due_within(client, 0) && woke >= MANY);
  for (int i = 0; i < MANY; i++) {
    CHECK(counted(&stories[i].told) == 1 && stories[i].states[0] == LOCKER_HELD);
    OK(locker_unlock(guards[i], LOCKER_NO_WAIT, &error));
    CHECK(counted(&stories[i].freed) == 1);
  }
  close(edge);
}

/* One that came first is told first, and a `max` is kept to. */
static void no_more_than_asked_for(void) {
  story stories[5];
  locker_guard guards[5];
  for (int i = 0; i < 5; i++) {
    char name[16];
    snprintf(name, sizeof name, "max%d", i);
    stories[i] = (story)STORY;
    guards[i] = started(client, name, &stories[i]);
    CHECK(due_within(client, 60000));
    OK(locker_wait(guards[i], 0, &error));
  }
  size_t told = 0;
  for (int i = 0; told < 5; i++) {
    CHECK(due_within(client, 60000));
    told += dispatched(client, 2);
    CHECK(counted(&stories[0].told) == 1 && told <= 2 * (size_t)(i + 1));
  }
  for (int i = 0; i < 5; i++) OK(locker_unlock(guards[i], 0, &error));
}

/* --- several threads */

static bool inside;
static count calls = COUNT, freed = COUNT, stop = COUNT;
static void alone(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  (void)user_data, (void)guard, (void)error;
  CHECK(state == LOCKER_HELD && !inside);
  inside = true; /* not atomic: that they take turns is what makes it right */
  count_up(&calls);
  sleep_ms(1);
  CHECK(inside);
  inside = false;
}

static void *dispatch_until_stopped(void *unused) {
  while (counted(&stop) == 0)
    if (due_within(client, 20)) dispatched(client, 0);
  return unused;
}

static void *lock_and_unlock(void *name) {
  for (int i = 0; i < 15; i++) {
    locker_lock_options options = {
        .struct_size = sizeof options, .on_change = alone, .user_data = &freed, .free_user_data = count_free};
    locker_guard guard;
    int before = counted(&calls);
    OK(locker_lock(client, name, &options, &guard, &error));
    if (i % 2) await(&calls, before + 1); /* else it may go before it is told */
    OK(locker_unlock(guard, 0, &error));
  }
  return NULL;
}

static void threads_take_turns(void) {
  static char names[3][8] = {"t0", "t1", "t2"};
  pthread_t loops[3], lockers[3];
  for (int i = 0; i < 3; i++) loops[i] = thread(dispatch_until_stopped, NULL);
  for (int i = 0; i < 3; i++) lockers[i] = thread(lock_and_unlock, names[i]);
  for (int i = 0; i < 3; i++) pthread_join(lockers[i], NULL);
  CHECK(counted(&freed) == 3 * 15 && counted(&calls) > 0);
  count_up(&stop);
  for (int i = 0; i < 3; i++) pthread_join(loops[i], NULL);
}

/* Who ends a handle whose callback runs on another thread waits for that, as long as it may. */
static count entered = COUNT, leave_now = COUNT, left = COUNT;
static void hang(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  (void)user_data, (void)guard, (void)state, (void)error;
  count_up(&entered);
  await(&leave_now, counted(&entered));
  sleep_ms(50); /* so that who waits would be too early if it did not */
  count_up(&left);
}

static void *dispatch_once(void *unused) {
  CHECK(due_within(client, 60000) && dispatched(client, 0) == 1);
  return unused;
}

static void one_waits_for_the_callback_of_another_thread(void) {
  for (int i = 1; i <= 2; i++) {
    count own = COUNT;
    locker_lock_options options = {
        .struct_size = sizeof options, .on_change = hang, .user_data = &own, .free_user_data = count_free};
    locker_guard guard;
    OK(locker_lock_start(client, "hang", &options, &guard, &error));
    pthread_t other = thread(dispatch_once, NULL);
    await(&entered, i);
    if (i == 1) {
      FAILS(LOCKER_TIMEOUT, "callback", locker_unlock(guard, 100, &error));
      CHECK(counted(&own) == 0);
      count_up(&leave_now);
      await(&own, 1);
    } else {
      count_up(&leave_now);
      OK(locker_unlock(guard, 0, &error));
      CHECK(counted(&left) == 2 && counted(&own) == 1);
    }
    pthread_join(other, NULL);
    CHECK(counted(&own) == 1);
  }
}

static void *shut_down(void *unused) {
  locker_shutdown(0);
  CHECK(counted(&left) == 3);
  return unused;
}

static void shutdown_waits_for_the_callback_of_another_thread(void) {
  locker_lock_options options = {
      .struct_size = sizeof options, .on_change = hang, .user_data = &freed, .free_user_data = count_free};
  locker_guard guard;
  int before = counted(&freed);
  OK(locker_lock_start(client, "hang", &options, &guard, &error));
  pthread_t loop = thread(dispatch_once, NULL);
  await(&entered, 3);
  pthread_t ends = thread(shut_down, NULL);
  while (locker_live_handles() > 0) sleep_ms(1);
  count_up(&leave_now);
  pthread_join(ends, NULL);
  pthread_join(loop, NULL);
  CHECK(counted(&freed) == before + 1 && threads(NULL) == 1);
}

int main(void) {
  client = connected_for_loop(0);
  it_is_not_inherited_and_stays_the_same();
  it_is_readable_until_all_is_done();
  every_way_to_wait_wakes();
  an_edge_for_all_that_is_left();
  no_more_than_asked_for();
  threads_take_turns();
  one_waits_for_the_callback_of_another_thread();
  CHECK(threads("locker-call") == 0);
  shutdown_waits_for_the_callback_of_another_thread();
  CHECK(locker_live_handles() == 0);
}
