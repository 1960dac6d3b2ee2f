/* Each call that a callback may make, in each event that it may be told: no deadlock, and each answer as the header says. */
#include "test.h"

enum { ON_HELD, ON_ENDED, ON_INFO, ON_LAST, EVENTS };
enum { UNLOCK, LOCK, DISCONNECT, UNWATCH, ASK, GET, CALLS };

/* One client with one guard and one watcher, and what is to be called in which of their events. */
typedef struct scene {
  int event, call;
  locker_client client;
  locker_guard guard, other;
  locker_watcher watcher;
  count called, freed;
} scene;

/* What was ended before gives LOCKER_BAD_HANDLE, and what is made for a client that has gone LOCKER_CANCELLED. */
static bool ends(locker_code code) { return code == LOCKER_OK || code == LOCKER_BAD_HANDLE || code == LOCKER_CANCELLED; }

static void call_back(scene *scene) {
  locker_info info;
  locker_error error;
  switch (scene->call) {
  case UNLOCK:
    CHECK(ends(locker_unlock(scene->guard, LOCKER_NO_WAIT, &error)));
    break;
  case LOCK:
    CHECK(ends(locker_lock_start(scene->client, "other", NULL, &scene->other, &error)));
    break;
  case DISCONNECT:
    CHECK(ends(locker_disconnect(scene->client, LOCKER_NO_WAIT, &error)));
    break;
  case UNWATCH:
    CHECK(ends(locker_unwatch(scene->watcher, 0, &error)));
    break;
  case ASK:
    CHECK(ends(locker_guard_info(scene->guard, &info, &error)));
    CHECK(locker_guard_state(scene->guard) <= LOCKER_ENDED && locker_live_handles() < 1000);
    break;
  case GET:
    CHECK(locker_get(scene->client, "scene", 0, &info, &error) == LOCKER_BAD_CONTEXT);
    break;
  }
  count_up(&scene->called);
}

static void on_change(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  scene *scene = user_data;
  (void)error;
  scene->guard = guard; /* it may be told before locker_lock_start returns */
  if (state == LOCKER_HELD && scene->event == ON_HELD) call_back(scene);
  if (state == LOCKER_ENDED && scene->event == ON_ENDED) call_back(scene);
}

static void on_event(void *user_data, const locker_info *info, const locker_error *error) {
  scene *scene = user_data;
  if (info && scene->event == ON_INFO && counted(&scene->called) == 0) call_back(scene);
  if (error && scene->event == ON_LAST) call_back(scene);
}

static void free_scene(void *user_data) { count_up(&((scene *)user_data)->freed); }

static void play(int event, int call) {
  scene scene = {.event = event, .call = call, .called = COUNT, .freed = COUNT};
  scene.client = connected();
  locker_watch_options watch = {
      .struct_size = sizeof watch, .on_event = on_event, .user_data = &scene, .free_user_data = free_scene};
  locker_lock_options lock = {
      .struct_size = sizeof lock, .on_change = on_change, .user_data = &scene, .free_user_data = free_scene};
  locker_guard guard = {0}; /* there is none if the client has ended before */
  locker_watcher watcher;
  locker_error error;
  CHECK(locker_watch(scene.client, "scene", &watch, &watcher, &error) == LOCKER_OK);
  scene.watcher = watcher;
  CHECK(ends(locker_lock_start(scene.client, "scene", &lock, &guard, &error)));
  if (event == ON_HELD || event == ON_INFO) await(&scene.called, 1);
  CHECK(ends(locker_unlock(guard, 0, &error)));
  CHECK(ends(locker_disconnect(scene.client, 0, &error)));
  await(&scene.freed, 2);
  CHECK(counted(&scene.called) == 1 && counted(&scene.freed) == 2);
}

int main(void) {
  long loops = trials(37, "6 calls in 4 events of callbacks", 10000);
  if (loops < EVENTS * CALLS) loops = row.ran = EVENTS * CALLS;
  for (long i = 0; i < loops; i++) {
    alarm(30); /* or it hangs */
    play((int)(i % EVENTS), (int)(i / EVENTS % CALLS));
  }
  alarm(0);
  CHECK(locker_live_handles() == 0);
  locker_shutdown(0);
  CHECK(threads(NULL) == 1);
  row_ok("0 deadlocks, 0 errors");
}
