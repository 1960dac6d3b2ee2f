/* One of the counters of test_chain.py: count NAME TIMES COUNTER LOG */
#include "locker.h"
#include <stdio.h>
#include <stdlib.h>

static void check(locker_code code, const locker_error *error) {
  if (code == LOCKER_OK) return;
  fprintf(stderr, "%s: %s\n", locker_code_name(code), error->message);
  exit(1);
}

/* Reads the number in the file, and writes the next one. Two at once would lose one of them. */
static long increment(const char *path) {
  long n;
  FILE *file = fopen(path, "r+");
  if (!file || fscanf(file, "%ld", &n) != 1) exit(2);
  rewind(file);
  fprintf(file, "%ld\n", n + 1);
  if (fclose(file)) exit(2);
  return n + 1;
}

static void append(const char *path, const char *who, int64_t token, long n) {
  FILE *file = fopen(path, "a");
  if (!file || fprintf(file, "%s %lld %ld\n", who, (long long)token, n) < 0 || fclose(file)) exit(2);
}

int main(int argc, char **argv) {
  locker_client client;
  locker_guard guard;
  locker_error error;
  if (argc != 5) return 2;
  check(locker_connect(getenv("LOCKER_ENDPOINTS"), NULL, &client, &error), &error);
  for (int left = atoi(argv[2]); left > 0; left--) {
    check(locker_lock(client, argv[1], NULL, &guard, &error), &error);
    append(argv[4], "C", locker_guard_token(guard), increment(argv[3]));
    check(locker_unlock(guard, 0, &error), &error);
  }
  check(locker_disconnect(client, 0, &error), &error);
  return locker_live_handles() == 0 ? 0 : 3;
}
