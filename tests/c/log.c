/* The log: off until asked for, told by a thread of its own, and freed once. */
#include "test.h"

typedef struct sink {
  count lines, freed;
  int32_t greatest;
} sink;

#define SINK {COUNT, COUNT, 0}

static locker_client client;

static void on_log(void *user_data, int32_t level, const char *message) {
  sink *sink = user_data;
  CHECK(counted(&sink->freed) == 0);
  CHECK(level >= 1 && level <= 4 && *message);
  if (level > sink->greatest) sink->greatest = level;
  locker_guard guard;
  FAILS(LOCKER_BAD_CONTEXT, "callback", locker_lock(client, "in the log", NULL, &guard, &error));
  count_up(&sink->lines);
}

static void free_sink(void *user_data) { count_up(&((sink *)user_data)->freed); }

static void some_work(void) {
  locker_client other = connected();
  locker_guard guard = locked(other, "work");
  OK(locker_unlock(guard, 0, &error));
  OK(locker_disconnect(other, 0, &error));
}

int main(void) {
  sink unused = SINK, all = SINK, few = SINK, off = SINK;
  locker_set_log(4, on_log, &unused, free_sink);
  locker_set_log(4, on_log, &all, free_sink);
  CHECK(counted(&unused.freed) == 1 && counted(&all.freed) == 0);
  client = connected();
  some_work();
  await(&all.lines, 1);
  CHECK(threads("locker-log") == 1);

  locker_set_log(1, on_log, &few, free_sink);
  await(&all.freed, 1);
  some_work();
  CHECK(counted(&few.lines) == 0); /* there was no error */

  locker_set_log(0, on_log, &off, free_sink);
  CHECK(counted(&off.freed) == 1 && counted(&few.freed) == 1);
  locker_set_log(4, NULL, &off, free_sink);
  CHECK(counted(&off.freed) == 2);
  some_work();
  CHECK(counted(&off.lines) == 0 && counted(&all.freed) == 1 && counted(&unused.freed) == 1);

  sink last = SINK;
  locker_set_log(INT32_MAX, on_log, &last, free_sink);
  some_work();
  await(&last.lines, 1);
  OK(locker_disconnect(client, 0, &error));
  CHECK(locker_live_handles() == 0);
  locker_shutdown(0);
  CHECK(counted(&last.freed) == 1 && threads(NULL) == 1);
}
