/* A plugin: the library loaded and closed at run time, again and again. */
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

int main(void) {
  for (int i = 0; i < 20; i++) {
    void *library = dlopen("liblocker.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) fail(__FILE__, __LINE__, "dlopen", dlerror());
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
    if (i % 5) CHECK(my_locker_live_handles() == 0 && threads(NULL) == 1);
    CHECK(dlclose(library) == 0); /* also with threads that run */
  }
}
