/* Moves money from one account to another, while others do the same in whatever direction: transfer FROM TO */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "locker.h"

static void die(const locker_error *error) {
  fprintf(stderr, "%s: %s\n", locker_code_name(error->code), error->message);
  exit(1);
}

int main(int argc, char **argv) {
  const char *endpoints = getenv("LOCKER_ENDPOINTS");
  locker_client client;
  locker_guard guard;
  locker_error error;

  if (argc != 3) {
    fprintf(stderr, "usage: %s FROM TO\n", argv[0]);
    return 2;
  }
  if (locker_connect(endpoints ? endpoints : "http://127.0.0.1:2379", NULL, &client, &error) != LOCKER_OK)
    die(&error);

  /* Both or none. Who moves money the other way at this moment comes before us or after us; in no order of the two names do
   * we wait for each other. */
  const char *accounts[] = {argv[1], argv[2]};
  locker_lock_options options = {.struct_size = sizeof options, .reason = "a transfer", .timeout_ms = 30000};
  if (locker_lock_all(client, accounts, 2, &options, &guard, &error) != LOCKER_OK)
    die(&error); /* timeout: the message says which one is held, and who holds it */

  /* One token for both: each account can refuse a lower one than it has seen. */
  printf("token %" PRId64 ": from %s to %s\n", locker_guard_token(guard), argv[1], argv[2]);

  if (locker_unlock(guard, 0, &error) != LOCKER_OK)
    die(&error); /* lost, be it only one of the two */
  locker_disconnect(client, 0, NULL);
}
