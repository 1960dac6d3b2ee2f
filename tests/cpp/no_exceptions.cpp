// A program that is compiled with -fno-exceptions and -fno-rtti: it has the overloads that say their error, and no others.
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "locker.hpp"

#define CHECK(condition)                                                                                             \
  do {                                                                                                               \
    if (!(condition)) std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), std::_Exit(1);            \
  } while (false)

#ifdef __cpp_exceptions
#error compiled with exceptions
#endif

// Whether one could call what would throw.
template <class Client, class = void> struct throws : std::false_type {};
template <class Client>
struct throws<Client, std::void_t<decltype(std::declval<Client>().lock(std::string()))>> : std::true_type {};
static_assert(!throws<const locker::client &>::value && !std::is_constructible_v<locker::client, std::string>);

using namespace std::chrono_literals;

static locker::connect_options own_prefix(const char *name) {
  locker::connect_options options;
  options.prefix = "/t/" + std::to_string(getpid()) + "-" + name + "/";
  return options;
}

static void locks_and_watches(const std::string &endpoints) {
  std::error_code e;
  const locker::client client(endpoints, own_prefix("locks"), e);
  CHECK(!e);
  {
    const auto guard = client.lock("x", e);
    CHECK(!e && guard.held() && client.get("x", e).token == guard.token());
    CHECK(!client.try_lock("x", e) && !e);
    const auto watcher = client.watch("x", e);
    CHECK(watcher.next(20s, e)->token == guard.token());
    guard.unlock(e);
    CHECK(!e && !watcher.next(20s, e)->held());
  }
  locker::lock_options options;
  options.limit = 2;
  const auto seat = client.try_lock("seats", options, e), another = client.try_lock("seats", options, e);
  CHECK(!e && seat && another && client.get("seats", e).holders == 2);
  const auto both = client.lock_all({"y", "z"}, e);
  CHECK(!e && both.held() && both.names().size() == 2 && !client.try_lock_all({"z", "x"}, e) && !e);
  locker::mutex mutex(client, "x");
  mutex.lock_shared(e);
  CHECK(!e && mutex.guard().held());
  mutex.unlock_shared();
  mutex.lock(e);
  CHECK(!e && mutex.guard().held());
  mutex.unlock();
  locker_error told;
  CHECK(!client.lock("", told) && told.code == LOCKER_INVALID && *told.message);
  CHECK(!client.try_lock_for("x", -1s, e) && e == locker::errc::invalid);
}

static void runs_a_loop(const std::string &endpoints) {
  std::error_code e;
  auto options = own_prefix("loop");
  options.dispatch = true;
  const locker::client client(endpoints, options, e);
  pollfd fd{client.fd(e), POLLIN, 0};
  bool held = false;
  locker::lock_options lock;
  lock.on_change = [&held](locker::state state, const locker::error *why) {
    held = state == locker::state::held && why == nullptr;
  };
  const auto guard = client.lock_start("x", lock, e);
  while (!e && !held && poll(&fd, 1, 20000) == 1) client.dispatch(e);
  CHECK(!e && held && guard.held());
}

int main() {
  const char *endpoints = std::getenv("LOCKER_ENDPOINTS");
  CHECK(endpoints != nullptr);
  locks_and_watches(endpoints);
  runs_a_loop(endpoints);
  CHECK(locker_live_handles() == 0);
}
