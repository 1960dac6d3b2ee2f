/* What the C tests share. Each is a program: it ends with 0 when all it checked was so. */
#ifndef TEST_H
#define TEST_H

#define _GNU_SOURCE
#include "locker.h"
#include "row.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) fail(__FILE__, __LINE__, #condition, "");                                                        \
  } while (0)

/* The call works. */
#define OK(call)                                                                                                       \
  do {                                                                                                                 \
    locker_error error = {0};                                                                                          \
    if ((call) != LOCKER_OK) fail(__FILE__, __LINE__, #call, error.message);                                           \
  } while (0)

/* The call, which is given `&error`, fails with this code and a message that has `word` in it. */
#define FAILS(expected, word, call)                                                                                    \
  do {                                                                                                                 \
    locker_error error = {0};                                                                                          \
    locker_code code_ = (call);                                                                                        \
    if (code_ != (expected) || error.code != (expected) || !strstr(error.message, word))                               \
      fail(__FILE__, __LINE__, #call " gives " #expected " with " #word, error.message);                                \
  } while (0)

_Noreturn static inline void fail(const char *file, int line, const char *what, const char *message) {
  fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
  if (*message) fprintf(stderr, "%s:%d: it said: %s\n", file, line, message);
  row_failed(what);
  _exit(1);
}

static inline const char *endpoints(void) {
  const char *endpoints = getenv("LOCKER_ENDPOINTS");
  if (!endpoints || !*endpoints) {
    fputs("LOCKER_ENDPOINTS is not set: run this under `locker dev -- ...`\n", stderr);
    _exit(2);
  }
  return endpoints;
}

/* A prefix that nobody else has: tests run at once on one etcd. */
static inline const char *prefix(void) {
  static char prefix[64];
  if (!*prefix) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(prefix, sizeof prefix, "/t/%d-%lld%09ld/", (int)getpid(), (long long)now.tv_sec, now.tv_nsec);
  }
  return prefix;
}

static inline locker_client connect_with(int64_t ttl_ms, int64_t timeout_ms) {
  locker_connect_options options = {
      .struct_size = sizeof options, .prefix = prefix(), .ttl_ms = ttl_ms, .timeout_ms = timeout_ms};
  locker_client client;
  OK(locker_connect(endpoints(), &options, &client, &error));
  return client;
}

static inline locker_client connected(void) { return connect_with(0, 0); }

static inline locker_guard locked(locker_client client, const char *name) {
  locker_guard guard;
  OK(locker_lock(client, name, NULL, &guard, &error));
  return guard;
}

/* What is known of the lock in etcd. */
static inline locker_info got(locker_client client, const char *name) {
  locker_info info;
  OK(locker_get(client, name, 0, &info, &error));
  return info;
}

/* Runs etcdctl with these words against the same etcd, and gives its output to be read and closed. */
static inline FILE *etcdctl(const char *format, ...) {
  char words[512], command[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(words, sizeof words, format, arguments);
  va_end(arguments);
  snprintf(command, sizeof command, "ETCDCTL_API=3 ETCDCTL_ENDPOINTS='%s' exec etcdctl %s", endpoints(), words);
  FILE *output = popen(command, "r");
  CHECK(output);
  return output;
}

/* Somebody deletes by hand all that is in the queue of a lock. */
static inline void delete_queue(const char *name) {
  FILE *output = etcdctl("del --prefix '%s%s/'", prefix(), name);
  int deleted = 0;
  CHECK(fscanf(output, "%d", &deleted) == 1 && pclose(output) == 0 && deleted > 0);
}

/* How many are in the queue of a lock: keys, of those who hold it and those who wait. */
static inline int keys_of(const char *name) {
  char line[512];
  int keys = 0;
  FILE *output = etcdctl("get --keys-only --prefix '%s%s/'", prefix(), name);
  while (fgets(line, sizeof line, output)) keys += *line == '/';
  CHECK(pclose(output) == 0);
  return keys;
}

/* At the end of each test. */
static inline void leave(locker_client client) {
  OK(locker_disconnect(client, 0, &error));
  CHECK(locker_live_handles() == 0);
  locker_shutdown(0);
}

static inline int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void sleep_ms(int64_t ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&time, &time) && errno == EINTR) {
  }
}

static inline pthread_t thread(void *(*body)(void *), void *argument) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, body, argument) == 0);
  return thread;
}

/* Returns when so many wait for a lock; two minutes are the end of a test that hangs. */
static inline void await_waiters(locker_client client, const char *name, uint32_t waiters) {
  for (int64_t end = now_ms() + 120 * 1000; got(client, name).waiters != waiters;) CHECK(now_ms() < end);
}

/* A number that callbacks count up and that others wait for. */
typedef struct count {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  int value;
} count;

#define COUNT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0}

static inline void count_up(count *count) {
  pthread_mutex_lock(&count->mutex);
  count->value++;
  pthread_cond_broadcast(&count->changed);
  pthread_mutex_unlock(&count->mutex);
}

static inline int counted(count *count) {
  pthread_mutex_lock(&count->mutex);
  int value = count->value;
  pthread_mutex_unlock(&count->mutex);
  return value;
}

/* Returns when it is at least `value`; two minutes are the end of a test that hangs. */
static inline void await(count *count, int value) {
  struct timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += 120;
  pthread_mutex_lock(&count->mutex);
  while (count->value < value)
    if (pthread_cond_timedwait(&count->changed, &count->mutex, &end))
      fail(__FILE__, __LINE__, "what is awaited happens within two minutes", "");
  pthread_mutex_unlock(&count->mutex);
}

/* As free_user_data, with a `count` as user data. */
static inline void count_free(void *user_data) { count_up(user_data); }

/* How many threads of this process have this name; all of them for NULL. */
static inline int threads(const char *name) {
  int found = 0;
  DIR *tasks = opendir("/proc/self/task");
  CHECK(tasks);
  for (struct dirent *task; (task = readdir(tasks));) {
    char path[300], comm[32] = "";
    if (*task->d_name == '.') continue;
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
    FILE *file = fopen(path, "r");
    if (!file) continue; /* it has just ended */
    if (fscanf(file, "%31s", comm) == 1 && (!name || !strcmp(comm, name))) found++;
    fclose(file);
  }
  closedir(tasks);
  return found;
}

#endif
