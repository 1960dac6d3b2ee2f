/* A daemon of one thread: it wants a thousand locks and watches as many, and sleeps in epoll_wait until one of them, or a
 * signal, has something to say. */
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "locker.h"

enum { MANY = 1000 };

typedef struct item {
  char name[32];
  locker_guard guard;
  locker_watcher watcher;
  int64_t holder; /* the token of who holds it, as the watcher says */
} item;

static item items[MANY];
static int held, seen, freed;
static pthread_t main_thread;

static void die(const locker_error *error) {
  fprintf(stderr, "%s: %s\n", locker_code_name(error->code), error->message);
  exit(1);
}

/* Callbacks run in locker_dispatch, and so on this thread only: what they touch needs no mutex. */

static void on_change(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  item *item = user_data;
  (void)guard; /* item->guard, which is set: this does not run before the loop does */
  assert(pthread_equal(pthread_self(), main_thread));
  if (state == LOCKER_HELD) held++; /* here the work would begin */
  if (state == LOCKER_ENDED) fprintf(stderr, "%s: %s\n", item->name, error->message); /* and here it would stop */
}

static void on_event(void *user_data, const locker_info *info, const locker_error *error) {
  item *item = user_data;
  assert(pthread_equal(pthread_self(), main_thread));
  if (error) fprintf(stderr, "%s: %s\n", item->name, error->message);
  else if ((item->holder = info->token) == locker_guard_token(item->guard) && item->holder) seen++;
}

static void on_free(void *user_data) {
  (void)user_data; /* of an item that was allocated, this would free it */
  freed++;
}

/* Neither waits for a lock: what becomes of it is told to callbacks. */
static void begin(locker_client client, item *item) {
  locker_error error;
  locker_lock_options lock = {
      .struct_size = sizeof lock, .on_change = on_change, .user_data = item, .free_user_data = on_free};
  locker_watch_options watch = {
      .struct_size = sizeof watch, .on_event = on_event, .user_data = item, .free_user_data = on_free};
  if (locker_lock_start(client, item->name, &lock, &item->guard, &error) != LOCKER_OK ||
      locker_watch(client, item->name, &watch, &item->watcher, &error) != LOCKER_OK)
    die(&error);
}

static void add(int epoll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
    perror("epoll_ctl");
    exit(1);
  }
}

int main(void) {
  const char *endpoints = getenv("LOCKER_ENDPOINTS");
  locker_connect_options options = {.struct_size = sizeof options, .dispatch = 1};
  locker_client client;
  locker_error error;
  int locks, epoll = epoll_create1(EPOLL_CLOEXEC);
  main_thread = pthread_self();

  sigset_t stop; /* blocked before the first thread of the library is made, or it would have to be blocked there, too */
  sigemptyset(&stop);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGTERM);
  sigprocmask(SIG_BLOCK, &stop, NULL);
  int signals = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);

  if (locker_connect(endpoints ? endpoints : "http://127.0.0.1:2379", &options, &client, &error) != LOCKER_OK ||
      locker_client_fd(client, &locks, &error) != LOCKER_OK)
    die(&error);
  add(epoll, signals);
  add(epoll, locks);
  for (int i = 0; i < MANY; i++) {
    snprintf(items[i].name, sizeof items[i].name, "loop-%d", i);
    begin(client, &items[i]);
  }

  for (int running = 1, told = 0; running;) {
    struct epoll_event event;
    if (epoll_wait(epoll, &event, 1, -1) != 1) continue;
    if (event.data.fd == signals) running = 0;
    /* At most a hundred at a time, for whatever else the loop is for. */
    else if (locker_dispatch(client, 100, NULL, &error) != LOCKER_OK) die(&error);
    if (!told && held == MANY && seen == MANY) {
      printf("%d held, %d seen\n", held, seen);
      fflush(stdout);
      told = 1;
    }
  }

  locker_unwatch(items[0].watcher, LOCKER_NO_WAIT, NULL); /* the user data is freed when it returns */
  locker_unlock(items[0].guard, LOCKER_NO_WAIT, NULL);
  printf("%d freed\n", freed);
  epoll_ctl(epoll, EPOLL_CTL_DEL, locks, NULL); /* which locker_disconnect closes */
  if (locker_disconnect(client, 0, &error) != LOCKER_OK) die(&error);
  printf("%d freed\n", freed);
}
