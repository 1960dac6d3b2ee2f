/* Takes the lock "db-migrate", does a short piece of work and gives it back. */
#define _DEFAULT_SOURCE /* usleep */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "locker.h"

static void die(const locker_error *error) {
  fprintf(stderr, "%s: %s\n", locker_code_name(error->code), error->message);
  exit(1);
}

int main(void) {
  const char *endpoints = getenv("LOCKER_ENDPOINTS");
  locker_client client;
  locker_guard guard;
  locker_error error;

  if (locker_connect(endpoints ? endpoints : "http://127.0.0.1:2379", NULL, &client, &error) != LOCKER_OK)
    die(&error);

  locker_lock_options options = {
      .struct_size = sizeof options,
      .value = "example.c",             /* who we are, for those who ask */
      .reason = "migrating the schema", /* and why they have to wait */
      .timeout_ms = 30000,
  };
  if (locker_lock(client, "db-migrate", &options, &guard, &error) != LOCKER_OK)
    die(&error); /* timeout: the message says who holds it */

  /* Rises with each holder: let the database refuse lower ones. */
  printf("token %" PRId64 "\n", locker_guard_token(guard));

  for (int step = 0; step < 5 && locker_guard_remaining_ms(guard) > 0; step++)
    usleep(100 * 1000); /* a step of the work; none once the lock is lost */

  if (locker_unlock(guard, 0, &error) != LOCKER_OK)
    die(&error); /* lost: somebody else may have had it before we were done */
  locker_disconnect(client, 0, NULL);
}
