/* The C library, measured: worker ENDPOINTS, then lines "loop NAME COUNT", each answered by one line of JSON. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "locker.h"

static locker_client client;
static locker_error error;

static void check(locker_code code) {
  if (code == LOCKER_OK) return;
  fprintf(stderr, "%s: %s\n", locker_code_name(code), error.message);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

/* The processor time of this process, that of the library's threads included. */
static double used(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

static void loop(const char *name, int count) {
  double begun = now(), used_before = used();
  for (int n = 0; n < count; n++) {
    locker_guard guard;
    check(locker_lock(client, name, NULL, &guard, &error));
    check(locker_unlock(guard, 0, &error));
  }
  double time = now() - begun;
  printf("{\"seconds\": %.9f, \"cpu\": %.9f}\n", time, used() - used_before);
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  check(locker_connect(argv[1], NULL, &client, &error));
  char line[512], name[256];
  int count;
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "loop %255s %d", name, &count) != 2) {
      fprintf(stderr, "no such command: %s", line);
      return 2;
    }
    loop(name, count);
  }
  check(locker_disconnect(client, 0, &error));
  return 0;
}
