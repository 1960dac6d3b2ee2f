/* What the tests of event loops share: a client whose callbacks the test runs, and a loop that runs them. */
#ifndef LOOP_H
#define LOOP_H

#include "test.h"

#include <poll.h>

static inline locker_client connected_for_loop(int64_t ttl_ms) {
  locker_connect_options options = {
      .struct_size = sizeof options, .prefix = prefix(), .ttl_ms = ttl_ms, .dispatch = 1};
  locker_client client;
  OK(locker_connect(endpoints(), &options, &client, &error));
  return client;
}

static inline int fd_of(locker_client client) {
  int fd = -1;
  OK(locker_client_fd(client, &fd, &error));
  CHECK(fd >= 0);
  return fd;
}

/* Whether something is due within so many milliseconds. */
static inline bool due_within(locker_client client, int ms) {
  struct pollfd poll_fd = {.fd = fd_of(client), .events = POLLIN};
  int ready = poll(&poll_fd, 1, ms);
  CHECK(ready >= 0 && !(poll_fd.revents & ~POLLIN));
  return ready == 1;
}

static inline size_t dispatched(locker_client client, size_t max) {
  size_t ran = SIZE_MAX;
  OK(locker_dispatch(client, max, &ran, &error));
  CHECK(ran != SIZE_MAX && (max == 0 || ran <= max));
  return ran;
}

/* A loop of one client, until the count is at least `value`; two minutes are the end of a test that hangs. */
static inline void loop_until(locker_client client, count *count, int value) {
  int64_t end = now_ms() + 120 * 1000;
  while (counted(count) < value) {
    CHECK(now_ms() < end);
    if (due_within(client, 1000)) dispatched(client, 0);
  }
}

/* Everything that one guard or watcher told, how often its user data was freed, and on which thread that was to be. */
typedef struct story {
  count told, freed;
  pthread_t thread;
  locker_state states[8];
  int32_t codes[8]; /* LOCKER_OK: no error */
  int64_t token;    /* of the last event */
  void (*then)(struct story *story, locker_guard guard);
} story;

#define STORY {.told = COUNT, .freed = COUNT, .thread = pthread_self()}

static inline void tell_change(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  story *story = user_data;
  int n = counted(&story->told);
  CHECK(n < 8 && counted(&story->freed) == 0 && pthread_equal(pthread_self(), story->thread));
  story->states[n] = state;
  story->codes[n] = error ? error->code : LOCKER_OK;
  count_up(&story->told);
  if (story->then) story->then(story, guard);
}

static inline void tell_event(void *user_data, const locker_info *info, const locker_error *error) {
  story *story = user_data;
  CHECK(!info != !error && counted(&story->freed) == 0 && pthread_equal(pthread_self(), story->thread));
  story->token = info ? info->token : -1;
  count_up(&story->told);
  if (story->then) story->then(story, (locker_guard){0});
}

static inline void free_story(void *user_data) {
  story *story = user_data;
  CHECK(pthread_equal(pthread_self(), story->thread));
  count_up(&story->freed);
}

static inline locker_lock_options changes_to(story *story) {
  return (locker_lock_options){
      .struct_size = sizeof(locker_lock_options), .on_change = tell_change, .user_data = story, .free_user_data = free_story};
}

static inline locker_guard started(locker_client client, const char *name, story *story) {
  locker_lock_options options = changes_to(story);
  locker_guard guard;
  OK(locker_lock_start(client, name, &options, &guard, &error));
  return guard;
}

static inline locker_watcher watching(locker_client client, const char *name, story *story) {
  locker_watch_options options = {
      .struct_size = sizeof options, .on_event = tell_event, .user_data = story, .free_user_data = free_story};
  locker_watcher watcher;
  OK(locker_watch(client, name, &options, &watcher, &error));
  return watcher;
}

#endif
