/* Prints who holds a lock, now and each time it changes hands: watch NAME */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "locker.h"

static void die(const locker_error *error) {
  fprintf(stderr, "%s: %s\n", locker_code_name(error->code), error->message);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fputs("usage: watch NAME\n", stderr);
    return 2;
  }
  const char *endpoints = getenv("LOCKER_ENDPOINTS");
  locker_client client;
  locker_watcher watcher;
  locker_info info;
  locker_error error;

  if (locker_connect(endpoints ? endpoints : "http://127.0.0.1:2379", NULL, &client, &error) != LOCKER_OK ||
      locker_watch(client, argv[1], NULL, &watcher, &error) != LOCKER_OK)
    die(&error);

  while (locker_watch_next(watcher, 0, &info, &error) == LOCKER_OK) {
    if (info.token != 0)
      printf("%s held by %s, token %" PRId64 "\n", info.name, info.value, info.token);
    else
      printf("%s free\n", info.name);
    fflush(stdout);
  }
  die(&error);
}
