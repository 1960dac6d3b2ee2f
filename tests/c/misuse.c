/* Each argument of each function wrong in each way: a code and a message that names it, and nothing lost. */
#include "test.h"

#include <stddef.h>

static locker_client client;
static locker_guard guard, untouched = {77};
static locker_watcher watcher;
static locker_info info;

static const char not_utf8[] = {'a', (char)0xff, 'b', 0};
static const int64_t no_times[] = {-2, -1000, INT64_MIN, INT64_MAX, 101LL * 365 * 24 * 3600 * 1000};
#define EACH(array, i) for (size_t i = 0; i < sizeof array / sizeof *array; i++)

static void null_pointers(void) {
  locker_guard g;
  locker_watcher w;
  locker_client c;
  FAILS(LOCKER_INVALID, "endpoints is NULL", locker_connect(NULL, NULL, &c, &error));
  FAILS(LOCKER_INVALID, "out is NULL", locker_connect(endpoints(), NULL, NULL, &error));
  FAILS(LOCKER_INVALID, "name is NULL", locker_lock(client, NULL, NULL, &g, &error));
  FAILS(LOCKER_INVALID, "out is NULL", locker_lock(client, "x", NULL, NULL, &error));
  FAILS(LOCKER_INVALID, "name is NULL", locker_lock_start(client, NULL, NULL, &g, &error));
  FAILS(LOCKER_INVALID, "out is NULL", locker_lock_start(client, "x", NULL, NULL, &error));
  FAILS(LOCKER_INVALID, "out is NULL", locker_guard_info(guard, NULL, &error));
  FAILS(LOCKER_INVALID, "out is NULL", locker_client_fd(client, NULL, &error));
  FAILS(LOCKER_INVALID, "on_change is NULL", locker_on_change(guard, NULL, NULL, NULL, &error));
  FAILS(LOCKER_INVALID, "name is NULL", locker_get(client, NULL, 0, &info, &error));
  FAILS(LOCKER_INVALID, "out is NULL", locker_get(client, "x", 0, NULL, &error));
  FAILS(LOCKER_INVALID, "name is NULL", locker_get_cached(client, NULL, 0, &info, &error));
  FAILS(LOCKER_INVALID, "out is NULL", locker_get_cached(client, "x", 0, NULL, &error));
  FAILS(LOCKER_INVALID, "name is NULL", locker_watch(client, NULL, NULL, &w, &error));
  FAILS(LOCKER_INVALID, "out is NULL", locker_watch(client, "x", NULL, NULL, &error));
  FAILS(LOCKER_INVALID, "out is NULL", locker_watch_next(watcher, 0, NULL, &error));
}

static void nobody_wants_the_error(void) {
  locker_guard g;
  locker_watcher w;
  locker_client c;
  CHECK(locker_connect(NULL, NULL, &c, NULL) == LOCKER_INVALID);
  CHECK(locker_client_fd((locker_client){0}, NULL, NULL) == LOCKER_INVALID);
  CHECK(locker_dispatch((locker_client){0}, 0, NULL, NULL) == LOCKER_BAD_HANDLE);
  CHECK(locker_on_change((locker_guard){0}, NULL, NULL, NULL, NULL) == LOCKER_INVALID);
  CHECK(locker_disconnect((locker_client){0}, 0, NULL) == LOCKER_BAD_HANDLE);
  CHECK(locker_lock(client, NULL, NULL, &g, NULL) == LOCKER_INVALID);
  CHECK(locker_lock_start(client, NULL, NULL, &g, NULL) == LOCKER_INVALID);
  CHECK(locker_wait((locker_guard){0}, 0, NULL) == LOCKER_BAD_HANDLE);
  CHECK(locker_unlock((locker_guard){0}, 0, NULL) == LOCKER_BAD_HANDLE);
  CHECK(locker_guard_info((locker_guard){0}, &info, NULL) == LOCKER_BAD_HANDLE);
  CHECK(locker_get(client, NULL, 0, &info, NULL) == LOCKER_INVALID);
  CHECK(locker_get_cached(client, NULL, 0, &info, NULL) == LOCKER_INVALID);
  CHECK(locker_watch(client, NULL, NULL, &w, NULL) == LOCKER_INVALID);
  CHECK(locker_watch_next((locker_watcher){0}, 0, &info, NULL) == LOCKER_BAD_HANDLE);
  CHECK(locker_unwatch((locker_watcher){0}, 0, NULL) == LOCKER_BAD_HANDLE);
}

/* Zero, one that never was, and one of each other kind. */
static void handles(void) {
  locker_guard g = untouched;
  locker_watcher w = {77};
  const uint64_t no_client[] = {0, UINT64_MAX, guard.id, watcher.id};
  EACH(no_client, i) {
    locker_client no = {no_client[i]};
    FAILS(LOCKER_BAD_HANDLE, "client", locker_lock(no, "x", NULL, &g, &error));
    FAILS(LOCKER_BAD_HANDLE, "client", locker_lock_start(no, "x", NULL, &g, &error));
    const char *x[] = {"x"};
    FAILS(LOCKER_BAD_HANDLE, "client", locker_lock_all(no, x, 1, NULL, &g, &error));
    FAILS(LOCKER_BAD_HANDLE, "client", locker_lock_all_start(no, x, 1, NULL, &g, &error));
    FAILS(LOCKER_BAD_HANDLE, "client", locker_get(no, "x", 0, &info, &error));
    FAILS(LOCKER_BAD_HANDLE, "client", locker_get_cached(no, "x", 0, &info, &error));
    FAILS(LOCKER_BAD_HANDLE, "client", locker_watch(no, "x", NULL, &w, &error));
    int fd;
    FAILS(LOCKER_BAD_HANDLE, "client", locker_client_fd(no, &fd, &error));
    FAILS(LOCKER_BAD_HANDLE, "client", locker_dispatch(no, 0, NULL, &error));
    FAILS(LOCKER_BAD_HANDLE, "client", locker_disconnect(no, 0, &error));
  }
  const uint64_t no_guard[] = {0, UINT64_MAX, client.id, watcher.id};
  EACH(no_guard, i) {
    locker_guard no = {no_guard[i]};
    FAILS(LOCKER_BAD_HANDLE, "guard", locker_wait(no, 0, &error));
    FAILS(LOCKER_BAD_HANDLE, "guard", locker_unlock(no, 0, &error));
    FAILS(LOCKER_BAD_HANDLE, "guard", locker_unlock(no, LOCKER_NO_WAIT, &error));
    FAILS(LOCKER_BAD_HANDLE, "guard", locker_guard_info(no, &info, &error));
    CHECK(locker_guard_state(no) == LOCKER_NONE);
    CHECK(locker_guard_token(no) == 0 && locker_guard_remaining_ms(no) == 0);
    CHECK(locker_guard_name(no, 0, NULL, 0) == 0);
  }
  const uint64_t no_watcher[] = {0, UINT64_MAX, client.id, guard.id};
  EACH(no_watcher, i) {
    locker_watcher no = {no_watcher[i]};
    FAILS(LOCKER_BAD_HANDLE, "watcher", locker_watch_next(no, 0, &info, &error));
    FAILS(LOCKER_BAD_HANDLE, "watcher", locker_unwatch(no, 0, &error));
  }
  CHECK(g.id == untouched.id && w.id == 77);
}

/* Twice, and after its end. */
static void spent_handles(void) {
  locker_client c = connected();
  locker_guard g = locked(c, "spent"), of_client = locked(c, "spent with its client");
  locker_watcher w, watcher_of_client;
  OK(locker_watch(c, "spent", NULL, &w, &error));
  OK(locker_watch(c, "spent", NULL, &watcher_of_client, &error));
  OK(locker_unlock(g, 0, &error));
  FAILS(LOCKER_BAD_HANDLE, "ended", locker_unlock(g, 0, &error));
  CHECK(locker_guard_state(g) == LOCKER_NONE && locker_guard_token(g) == 0);
  OK(locker_unwatch(w, 0, &error));
  FAILS(LOCKER_BAD_HANDLE, "ended", locker_unwatch(w, 0, &error));
  FAILS(LOCKER_BAD_HANDLE, "ended", locker_watch_next(w, 0, &info, &error));
  OK(locker_disconnect(c, 0, &error));
  FAILS(LOCKER_BAD_HANDLE, "ended", locker_disconnect(c, 0, &error));
  FAILS(LOCKER_BAD_HANDLE, "ended", locker_lock(c, "x", NULL, &g, &error));
  FAILS(LOCKER_BAD_HANDLE, "ended", locker_unlock(of_client, 0, &error));
  FAILS(LOCKER_BAD_HANDLE, "ended", locker_watch_next(watcher_of_client, 0, &info, &error));
  FAILS(LOCKER_BAD_HANDLE, "ended", locker_unwatch(watcher_of_client, 0, &error));
  CHECK(locker_guard_state(of_client) == LOCKER_NONE);
}

static void names(void) {
  char longest[LOCKER_NAME_MAX + 2];
  memset(longest, 'n', sizeof longest);
  longest[LOCKER_NAME_MAX] = 0;
  OK(locker_get(client, longest, 0, &info, &error));
  CHECK(!strcmp(info.name, longest));
  locker_guard g = locked(client, longest);
  OK(locker_guard_info(g, &info, &error));
  CHECK(!strcmp(info.name, longest));
  OK(locker_unlock(g, 0, &error));

  char longer[LOCKER_NAME_MAX + 2];
  memset(longer, 'n', sizeof longer - 1);
  longer[sizeof longer - 1] = 0;
  const char *bad[] = {"", longer, not_utf8};
  EACH(bad, i) {
    locker_guard out = untouched;
    locker_watcher w = {77};
    FAILS(LOCKER_INVALID, "name", locker_lock(client, bad[i], NULL, &out, &error));
    FAILS(LOCKER_INVALID, "name", locker_lock_start(client, bad[i], NULL, &out, &error));
    FAILS(LOCKER_INVALID, "name", locker_get(client, bad[i], 0, &info, &error));
    FAILS(LOCKER_INVALID, "name", locker_get_cached(client, bad[i], 0, &info, &error));
    FAILS(LOCKER_INVALID, "name", locker_watch(client, bad[i], NULL, &w, &error));
    CHECK(out.id == untouched.id && w.id == 77);
  }
}

static void times(void) {
  EACH(no_times, i) {
    int64_t no = no_times[i];
    locker_lock_options lock = {.struct_size = sizeof lock, .timeout_ms = no};
    locker_guard g;
    FAILS(LOCKER_INVALID, "options.timeout_ms", locker_lock(client, "x", &lock, &g, &error));
    FAILS(LOCKER_INVALID, "options.timeout_ms", locker_lock_start(client, "x", &lock, &g, &error));
    FAILS(LOCKER_INVALID, "timeout_ms", locker_wait(guard, no, &error));
    FAILS(LOCKER_INVALID, "timeout_ms", locker_unlock(guard, no, &error));
    FAILS(LOCKER_INVALID, "timeout_ms", locker_get(client, "x", no, &info, &error));
    FAILS(LOCKER_INVALID, "timeout_ms", locker_get_cached(client, "x", no, &info, &error));
    FAILS(LOCKER_INVALID, "timeout_ms", locker_watch_next(watcher, no, &info, &error));
    FAILS(LOCKER_INVALID, "timeout_ms", locker_unwatch(watcher, no, &error));
    FAILS(LOCKER_INVALID, "timeout_ms", locker_disconnect(client, no, &error));

    locker_client c;
    locker_connect_options ttl = {.struct_size = sizeof ttl, .ttl_ms = no};
    FAILS(LOCKER_INVALID, "options.ttl_ms", locker_connect(endpoints(), &ttl, &c, &error));
    locker_connect_options timeout = {.struct_size = sizeof timeout, .timeout_ms = no};
    FAILS(LOCKER_INVALID, "options.timeout_ms", locker_connect(endpoints(), &timeout, &c, &error));
  }
  CHECK(locker_guard_state(guard) == LOCKER_HELD); /* a call refused for its arguments spends nothing */
  FAILS(LOCKER_UNAVAILABLE, "etcd", locker_get(client, "x", LOCKER_NO_WAIT, &info, &error));
}

static void connect_options(void) {
  locker_client c = {77};
#define CONNECT_FAILS(word, ...)                                                                                       \
  do {                                                                                                                 \
    locker_connect_options o = {.struct_size = sizeof o, __VA_ARGS__};                                                 \
    FAILS(LOCKER_INVALID, word, locker_connect(endpoints(), &o, &c, &error));                                          \
  } while (0)
  CONNECT_FAILS("options.prefix", .prefix = not_utf8);
  CONNECT_FAILS("options.username", .username = not_utf8, .password = "p");
  CONNECT_FAILS("options.password", .username = "u", .password = not_utf8);
  CONNECT_FAILS("options.password", .username = "u");
  CONNECT_FAILS("options.username", .password = "p");
  CONNECT_FAILS("options.ca_file", .ca_file = not_utf8);
  CONNECT_FAILS("options.cert_file", .cert_file = not_utf8);
  CONNECT_FAILS("options.key_file", .key_file = not_utf8);
  CONNECT_FAILS("options.key_file", .cert_file = "/nonexistent");
  CONNECT_FAILS("options.cert_file", .key_file = "/nonexistent");
  CONNECT_FAILS("ttl", .ttl_ms = 1);
  CONNECT_FAILS("options.timeout_ms", .timeout_ms = LOCKER_NO_WAIT);
  CONNECT_FAILS("options.dispatch is 2", .dispatch = 2);
  CONNECT_FAILS("options.reserved", .reserved = INT32_MIN);
  FAILS(LOCKER_INVALID, "endpoint", locker_connect("", NULL, &c, &error));
  FAILS(LOCKER_INVALID, "endpoint", locker_connect("no url at all", NULL, &c, &error));
  FAILS(LOCKER_INVALID, "endpoints", locker_connect(not_utf8, NULL, &c, &error));
  CHECK(c.id == 77);
}

static void lock_options(void) {
  char value[LOCKER_VALUE_MAX + 2], reason[LOCKER_REASON_MAX + 2];
  memset(value, 'v', sizeof value);
  memset(reason, 'r', sizeof reason);
  value[LOCKER_VALUE_MAX] = reason[LOCKER_REASON_MAX] = 0;
  locker_lock_options longest = {.struct_size = sizeof longest, .value = value, .reason = reason};
  locker_guard g;
  OK(locker_lock(client, "longest", &longest, &g, &error));
  OK(locker_get(client, "longest", 0, &info, &error));
  CHECK(!strcmp(info.value, value) && !strcmp(info.reason, reason));
  OK(locker_unlock(g, 0, &error));

  value[LOCKER_VALUE_MAX] = 'v', value[LOCKER_VALUE_MAX + 1] = 0;
  FAILS(LOCKER_INVALID, "value", locker_lock(client, "x", &longest, &g, &error));
  FAILS(LOCKER_INVALID, "value", locker_lock_start(client, "x", &longest, &g, &error));
  value[LOCKER_VALUE_MAX] = 0;
  reason[LOCKER_REASON_MAX] = 'r', reason[LOCKER_REASON_MAX + 1] = 0;
  FAILS(LOCKER_INVALID, "reason", locker_lock(client, "x", &longest, &g, &error));
  FAILS(LOCKER_INVALID, "reason", locker_lock_start(client, "x", &longest, &g, &error));
  locker_lock_options no_value = {.struct_size = sizeof no_value, .value = not_utf8};
  FAILS(LOCKER_INVALID, "options.value", locker_lock(client, "x", &no_value, &g, &error));
  locker_lock_options no_reason = {.struct_size = sizeof no_reason, .reason = not_utf8};
  FAILS(LOCKER_INVALID, "options.reason", locker_lock_start(client, "x", &no_reason, &g, &error));
  locker_lock_options no_bool = {.struct_size = sizeof no_bool}, reserved = no_bool;
  memset(&no_bool.shared, 2, 1); /* as one who fills the struct by other means may do */
  FAILS(LOCKER_INVALID, "options.shared is 2", locker_lock(client, "x", &no_bool, &g, &error));
  for (size_t i = 0; i < sizeof reserved.reserved; i++) {
    memset(reserved.reserved, 0, sizeof reserved.reserved);
    reserved.reserved[i] = 1;
    FAILS(LOCKER_INVALID, "options.reserved", locker_lock(client, "x", &reserved, &g, &error));
  }
}

/* A program that was compiled before locks could be shared: what lies behind its options is not looked at. */
static void older_options(void) {
  locker_guard g;
  locker_lock_options options = {.struct_size = offsetof(locker_lock_options, limit)};
  memset(&options.limit, 0xff, sizeof options - options.struct_size);
  OK(locker_lock(client, "older", &options, &g, &error));
  OK(locker_get(client, "older", 0, &info, &error));
  CHECK(info.mode == LOCKER_EXCLUSIVE && info.limit == 0);
  OK(locker_unlock(g, 0, &error));
  options.struct_size--;
  FAILS(LOCKER_INVALID, "options.struct_size", locker_lock(client, "older", &options, &g, &error));
}

/* Forgotten, of a pointer, one short, absurd. */
static void struct_sizes(void) {
  locker_client c;
  locker_guard g;
  locker_watcher w;
  const size_t wrong[] = {0, 1, sizeof(void *), sizeof(locker_watch_options) - 1, 4097, SIZE_MAX};
  locker_connect_options short_by_one = {.struct_size = offsetof(locker_connect_options, dispatch) - 1};
  FAILS(LOCKER_INVALID, "options.struct_size", locker_connect(endpoints(), &short_by_one, &c, &error));
  EACH(wrong, i) {
    locker_connect_options connect = {.struct_size = wrong[i]};
    FAILS(LOCKER_INVALID, "options.struct_size", locker_connect(endpoints(), &connect, &c, &error));
    locker_lock_options lock = {.struct_size = wrong[i]};
    FAILS(LOCKER_INVALID, "options.struct_size", locker_lock(client, "x", &lock, &g, &error));
    FAILS(LOCKER_INVALID, "options.struct_size", locker_lock_start(client, "x", &lock, &g, &error));
    locker_watch_options watch = {.struct_size = wrong[i]};
    FAILS(LOCKER_INVALID, "options.struct_size", locker_watch(client, "x", &watch, &w, &error));
  }
}

/* A program that was compiled with a later header: what it does not set may be unknown to us. */
static void newer_options(void) {
  locker_guard g;
  struct {
    locker_lock_options known;
    int64_t added;
  } lock = {.known = {.struct_size = sizeof lock}};
  OK(locker_lock(client, "newer", &lock.known, &g, &error));
  OK(locker_unlock(g, 0, &error));
  lock.added = 1;
  FAILS(LOCKER_INVALID, "newer", locker_lock(client, "newer", &lock.known, &g, &error));
  struct {
    locker_connect_options known;
    const char *added;
  } connect = {.known = {.struct_size = sizeof connect}, .added = "set"};
  locker_client c;
  FAILS(LOCKER_INVALID, "newer", locker_connect(endpoints(), &connect.known, &c, &error));
  struct {
    locker_watch_options known;
    char added;
  } watch = {.known = {.struct_size = sizeof watch}, .added = 1};
  locker_watcher w;
  FAILS(LOCKER_INVALID, "newer", locker_watch(client, "newer", &watch.known, &w, &error));
}

/* A message that does not fit ends where a character does, wherever that is. */
static void long_messages(void) {
  for (int shift = 0; shift < 3; shift++) {
    char unknown[2048] = "http://";
    memset(unknown + strlen(unknown), 'x', shift);
    while (strlen(unknown) < 1500) strcat(unknown, "\xe2\x82\xac");
    locker_error error;
    locker_client c;
    CHECK(locker_connect(unknown, NULL, &c, &error) != LOCKER_OK);
    CHECK(memchr(error.message, 0, sizeof error.message));
    const unsigned char *p = (const unsigned char *)error.message;
    while (*p) {
      int size = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
      for (int i = 1; i < size; i++) CHECK((p[i] & 0xc0) == 0x80);
      p += size;
    }
  }
}

static void on_event(void *user_data, const locker_info *event, const locker_error *error) {
  (void)user_data, (void)event, (void)error;
}

static void pulled_and_pushed(void) {
  locker_watch_options options = {.struct_size = sizeof options, .on_event = on_event};
  locker_watcher pushed;
  OK(locker_watch(client, "pushed", &options, &pushed, &error));
  FAILS(LOCKER_INVALID, "on_event", locker_watch_next(pushed, 0, &info, &error));
  OK(locker_unwatch(pushed, 0, &error));
}

int main(void) {
  client = connected();
  guard = locked(client, "held");
  OK(locker_watch(client, "held", NULL, &watcher, &error));
  null_pointers();
  nobody_wants_the_error();
  handles();
  spent_handles();
  names();
  times();
  connect_options();
  lock_options();
  struct_sizes();
  older_options();
  newer_options();
  long_messages();
  pulled_and_pushed();
  CHECK(locker_guard_state(guard) == LOCKER_HELD && locker_live_handles() == 3);
  leave(client);
}
