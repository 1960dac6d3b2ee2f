/* A plugin: the library loaded and closed at run time, again and again, also under threads that have used it. */
#include "test.h"

#include <dlfcn.h>

static void *symbol(void *library, const char *name) {
  void *symbol = dlsym(library, name);
  CHECK(symbol);
  return symbol;
}

/* ISO C knows no way from a pointer to a function. */
#define FUNCTION(library, name)                                                                                        \
  __typeof__(&name) my_##name;                                                                                         \
  *(void **)&my_##name = symbol(library, #name)

static void *loaded(void) {
  void *library = dlopen("liblocker.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) fail(__FILE__, __LINE__, "dlopen", dlerror());
  return library;
}

static void use(void *library, int i) {
  FUNCTION(library, locker_connect);
  FUNCTION(library, locker_lock);
  FUNCTION(library, locker_unlock);
  FUNCTION(library, locker_disconnect);
  FUNCTION(library, locker_live_handles);
  FUNCTION(library, locker_shutdown);
  locker_connect_options options = {.struct_size = sizeof options, .prefix = prefix()};
  locker_client client;
  locker_guard guard;
  char name[32];
  snprintf(name, sizeof name, "plugin %d", i);
  OK(my_locker_connect(endpoints(), &options, &client, &error));
  OK(my_locker_lock(client, name, NULL, &guard, &error));
  if (i % 2) OK(my_locker_unlock(guard, 0, &error));
  if (i % 3) OK(my_locker_disconnect(client, 0, &error));
  if (i % 5) my_locker_shutdown(0);
  if (i % 5) CHECK(my_locker_live_handles() == 0);
}

/* Each cycle in a thread, which ends when the library was closed: what the library keeps for a thread is freed then. */
static count used = COUNT, closed = COUNT;
static void *library;
static void *cycle(void *number) {
  library = loaded();
  use(library, (int)(uintptr_t)number);
  count_up(&used);
  await(&closed, counted(&used));
  return NULL;
}

int main(void) {
  long cycles = trials(41, "dlopen, dlclose and the end of a thread after it", 1000);
  for (long i = 0; i < cycles; i++) {
    pthread_t user = thread(cycle, (void *)(uintptr_t)i);
    await(&used, (int)i + 1);
    CHECK(dlclose(library) == 0);
    count_up(&closed);
    CHECK(pthread_join(user, NULL) == 0);
    if (i % 5) CHECK(threads(NULL) == 1);
  }
  row_ok("0 crashes, also with threads of the library that run");
}
