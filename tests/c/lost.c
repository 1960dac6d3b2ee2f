/* A lock that is lost: told once, to everybody who asks, and before anybody else can hold it. */
#include "test.h"

#include <signal.h>

static locker_client client;

typedef struct story {
  count told, freed;
  locker_state states[16];
  int32_t codes[16];
} story;

#define STORY {.told = COUNT, .freed = COUNT}

static void on_change(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  story *story = user_data;
  (void)guard;
  int n = counted(&story->told);
  CHECK(n < 16);
  story->states[n] = state;
  story->codes[n] = error ? error->code : LOCKER_OK;
  count_up(&story->told);
}

static void free_story(void *user_data) { count_up(&((story *)user_data)->freed); }

static locker_guard told_to(story *story, locker_client client, const char *name) {
  locker_lock_options options = {
      .struct_size = sizeof options, .on_change = on_change, .user_data = story, .free_user_data = free_story};
  locker_guard guard;
  OK(locker_lock(client, name, &options, &guard, &error));
  return guard;
}

static void was_lost(story *story, locker_guard guard, locker_loss how) {
  await(&story->freed, 1);
  int last = counted(&story->told) - 1;
  CHECK(story->states[0] == LOCKER_HELD && story->states[last] == LOCKER_ENDED && story->codes[last] == LOCKER_LOST);
  CHECK(locker_guard_state(guard) == LOCKER_ENDED);
  CHECK(locker_guard_token(guard) == 0 && locker_guard_remaining_ms(guard) == 0);
  locker_error why = {.detail = -1}, why_again = why;
  CHECK(locker_wait(guard, 0, &why) == LOCKER_LOST && why.detail == (int32_t)how);
  CHECK(locker_unlock(guard, 0, &why_again) == LOCKER_LOST && why_again.detail == (int32_t)how);
  FAILS(LOCKER_BAD_HANDLE, "guard", locker_unlock(guard, 0, &error));
}

static void deleted_while_held(void) {
  story story = STORY;
  locker_guard guard = told_to(&story, client, "deleted");
  delete_queue("deleted");
  was_lost(&story, guard, LOCKER_LOSS_KEY_DELETED);
}

/* A callback that takes until it is told to end. */
static count entered = COUNT, leave_now = COUNT;
static void hang_at_the_end(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  (void)user_data, (void)guard, (void)error;
  if (state != LOCKER_ENDED) return;
  count_up(&entered);
  await(&leave_now, 1);
}

/* That the lock was lost is told before that on_change still runs: only LOCKER_OK says that it does not. */
static void a_loss_says_nothing_of_callbacks(void) {
  count freed = COUNT;
  locker_lock_options options = {
      .struct_size = sizeof options, .on_change = hang_at_the_end, .user_data = &freed, .free_user_data = count_free};
  locker_guard guard;
  OK(locker_lock(client, "hangs", &options, &guard, &error));
  delete_queue("hangs");
  await(&entered, 1);
  FAILS(LOCKER_LOST, "hangs", locker_unlock(guard, 100, &error));
  CHECK(counted(&freed) == 0);
  count_up(&leave_now);
  await(&freed, 1);
}

static void deleted_while_waiting(void) {
  story story = STORY;
  /* Of one client only one guard has a place in the queue. */
  locker_client other = connected();
  locker_guard holder = locked(other, "queue"), guard;
  locker_lock_options options = {
      .struct_size = sizeof options, .on_change = on_change, .user_data = &story, .free_user_data = free_story};
  OK(locker_lock_start(client, "queue", &options, &guard, &error));
  /* Not before it is in the queue. */
  locker_info info = {.waiters = 0};
  while (info.waiters == 0) OK(locker_get(other, "queue", 0, &info, &error));
  delete_queue("queue");
  OK(locker_wait(guard, 0, &error)); /* it has entered again, and nobody is there any more */
  FAILS(LOCKER_LOST, "queue", locker_unlock(holder, 0, &error));
  OK(locker_unlock(guard, 0, &error));
  OK(locker_disconnect(other, 0, &error));
  int last = counted(&story.told) - 1;
  CHECK(last >= 2 && counted(&story.freed) == 1);
  CHECK(story.states[0] == LOCKER_WAITING && story.codes[0] != LOCKER_OK); /* and says why */
  CHECK(story.states[last - 1] == LOCKER_HELD && story.states[last] == LOCKER_ENDED);
}

/* The process is stopped for longer than its lease lives: the first question after that is answered with the truth. */
static void stopped_and_continued(pid_t stopper, int ask) {
  locker_client hasty = connect_with(2000, 0);
  story story = STORY;
  locker_guard guard = told_to(&story, hasty, "stopped");
  CHECK(locker_guard_remaining_ms(guard) > 0);
  int64_t before = now_ms(), now = before;
  CHECK(write(ask, "x", 1) == 1);
  for (; now - before < 2500; now = now_ms()) before = now; /* until two looks at the clock are so far apart */
  CHECK(locker_guard_state(guard) == LOCKER_ENDED && locker_guard_remaining_ms(guard) == 0);
  CHECK(locker_guard_token(guard) == 0);
  was_lost(&story, guard, LOCKER_LOSS_EXPIRED);
  CHECK(waitpid(stopper, NULL, 0) == stopper);
  /* The client goes on with a new lease. */
  locker_guard again = locked(hasty, "stopped");
  OK(locker_unlock(again, 0, &error));
  OK(locker_disconnect(hasty, 0, &error));
}

/* Stops its parent, once it is asked to, for longer than a lease of 2 s. */
static pid_t start_stopper(int *ask) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  pid_t parent = getpid(), child = fork();
  CHECK(child >= 0);
  if (child) {
    close(ends[0]);
    *ask = ends[1];
    return child;
  }
  close(ends[1]);
  char asked;
  if (read(ends[0], &asked, 1) == 1) {
    kill(parent, SIGSTOP);
    sleep_ms(3500);
    kill(parent, SIGCONT);
  }
  _exit(0);
}

int main(void) {
  int ask;
  pid_t stopper = start_stopper(&ask); /* before there are threads */
  client = connected();
  deleted_while_held();
  a_loss_says_nothing_of_callbacks();
  deleted_while_waiting();
  stopped_and_continued(stopper, ask);
  leave(client);
}
