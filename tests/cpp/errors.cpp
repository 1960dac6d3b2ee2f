// The overloads that do not throw: each does what the other does, and says in its last argument what the other throws.
#include <mutex>

#include "check.hpp"

using locker::errc;
using namespace std::string_literals;

// Each of them is noexcept, with either kind of last argument. To compile this is the test.
#define NOEXCEPT(call) static_assert(noexcept(call), #call)
template <class To>
void each_is_noexcept(const locker::client &c, const locker::guard &g, const locker::watcher &w, locker::mutex &m,
                      const std::string &s, const locker::connect_options &how, const locker::lock_options &o,
                      locker::limit t, locker::client::info_function &f, locker::client::error_function &err,
                      locker::change_function &change, std::chrono::seconds d,
                      std::chrono::steady_clock::time_point time, To &e) {
  NOEXCEPT(locker::client(s, e));
  NOEXCEPT(locker::client(s, how, e));
  NOEXCEPT(c.lock(s, e));
  NOEXCEPT(c.lock(s, o, e));
  NOEXCEPT(c.try_lock(s, e));
  NOEXCEPT(c.try_lock(s, o, e));
  NOEXCEPT(c.try_lock_for(s, t, e));
  NOEXCEPT(c.try_lock_for(s, t, o, e));
  NOEXCEPT(c.lock_start(s, e));
  NOEXCEPT(c.lock_start(s, o, e));
  NOEXCEPT(c.lock_start(s, o, t, e));
  NOEXCEPT(c.get(s, e));
  NOEXCEPT(c.get_cached(s, e));
  NOEXCEPT(c.watch(s, e));
  NOEXCEPT(c.watch(s, std::move(f), e));
  NOEXCEPT(c.watch(s, std::move(f), std::move(err), e));
  NOEXCEPT(c.fd(e));
  NOEXCEPT(c.dispatch(e));
  NOEXCEPT(c.dispatch(1, e));
  NOEXCEPT(c.disconnect(e));
  NOEXCEPT(c.disconnect(t, e));
  NOEXCEPT(g.info(e));
  NOEXCEPT(g.wait(e));
  NOEXCEPT(g.wait(t, e));
  NOEXCEPT(g.on_change(std::move(change), e));
  NOEXCEPT(g.unlock(e));
  NOEXCEPT(g.unlock(t, e));
  NOEXCEPT(w.next(e));
  NOEXCEPT(w.next(t, e));
  NOEXCEPT(w.unwatch(e));
  NOEXCEPT(w.unwatch(t, e));
  NOEXCEPT(m.lock(e));
  NOEXCEPT(m.try_lock(e));
  NOEXCEPT(m.try_lock_for(d, e));
  NOEXCEPT(m.try_lock_until(time, e));
}
using time_point = std::chrono::steady_clock::time_point;
template void each_is_noexcept(const locker::client &, const locker::guard &, const locker::watcher &, locker::mutex &,
                               const std::string &, const locker::connect_options &, const locker::lock_options &,
                               locker::limit, locker::client::info_function &, locker::client::error_function &,
                               locker::change_function &, std::chrono::seconds, time_point, std::error_code &);
template void each_is_noexcept(const locker::client &, const locker::guard &, const locker::watcher &, locker::mutex &,
                               const std::string &, const locker::connect_options &, const locker::lock_options &,
                               locker::limit, locker::client::info_function &, locker::client::error_function &,
                               locker::change_function &, std::chrono::seconds, time_point, locker_error &);

// What was there before is not to be seen after a call that works.
static std::error_code old_code() { return std::make_error_code(std::errc::io_error); }

static void what_works_clears_the_error() {
  std::error_code e = old_code();
  const locker::client client(endpoints(), own_prefix(), e);
  CHECK(!e);
  e = old_code();
  const auto guard = client.lock("x", e);
  CHECK(!e && guard.held());
  locker_error told{LOCKER_INTERNAL, 7, "old"};
  CHECK(guard.info(told).token == guard.token() && told.code == LOCKER_OK && told.detail == 0 && !*told.message);
  e = old_code();
  CHECK(client.get("x", e).token == guard.token() && !e);
  e = old_code();
  CHECK(client.get_cached("x", e).token == guard.token() && !e);
  e = old_code();
  const auto watcher = client.watch("x", e);
  CHECK(!e && watcher.next(e).value().token == guard.token() && !e);
  e = old_code();
  guard.unlock(e);
  CHECK(!e && !client.get("x").held());
  watcher.unwatch(e);
  CHECK(!e);
  client.disconnect(patience, e);
  CHECK(!e);
}

// That the time is over is no error where the other overload does not throw either.
static void what_is_busy_is_no_error() {
  const locker::client client(endpoints(), own_prefix());
  const auto guard = client.lock("x");
  std::error_code e = old_code();
  CHECK(!client.try_lock("x", e) && !e);
  e = old_code();
  CHECK(!client.try_lock_for("x", 20ms, e) && !e);
  const auto waiting = client.lock_start("x", e);
  CHECK(!e && waiting.state() == locker::state::waiting);
  e = old_code();
  CHECK(!waiting.wait(20ms, e) && !e);
  const auto watcher = client.watch("x");
  CHECK(watcher.next(patience, e) && !e);
  e = old_code();
  CHECK(!watcher.next(20ms, e) && !e);
  guard.unlock(e);
  CHECK(waiting.wait(patience, e) && !e && waiting.held());
  waiting.unlock(5s, e);
  CHECK(!e);
}

// `call` gives what is empty, and says this error, with this text, where there is room for one.
template <class Call> static void says(errc code, const std::string &text, Call call) {
  std::error_code e;
  CHECK(call(locker::error_to(e)) && e == code);
  locker_error told{};
  CHECK(call(locker::error_to(told)) && told.code == static_cast<int>(code));
  if (std::string(told.message).find(text) == std::string::npos) throw std::logic_error("it says: "s + told.message);
}

static void what_fails_is_said() {
  const locker::client client(endpoints(), own_prefix());
  const std::string nul = "a\0b"s;
  using to = const locker::error_to &;
  for (const auto &name : {nul, ""s}) {
    says(errc::invalid, "name", [&](to e) { return !client.lock(name, e); });
    says(errc::invalid, "name", [&](to e) { return !client.try_lock(name, e); });
    says(errc::invalid, "name", [&](to e) { return !client.try_lock_for(name, 1s, e); });
    says(errc::invalid, "name", [&](to e) { return client.lock_start(name, e).state() == locker::state::none; });
    says(errc::invalid, "name", [&](to e) { return !client.get(name, e).held(); });
    says(errc::invalid, "name", [&](to e) { return !client.get_cached(name, e).held(); });
    says(errc::invalid, "name", [&](to e) { return (void)client.watch(name, e), true; });
    says(errc::invalid, "name", [&](to e) { return (void)client.watch(name, [](auto &) {}, e), true; });
  }
  says(errc::invalid, "on_info", [&](to e) { return (void)client.watch("x", nullptr, e), true; });
  says(errc::invalid, "on_change", [&](to e) { return client.lock("x").on_change(nullptr, e), true; });
  locker::lock_options options;
  options.reason = nul;
  options.on_change = [](locker::state, const locker::error *) {};
  says(errc::invalid, "reason", [&](to e) { return !client.lock("x", options, e); });
  says(errc::invalid, "timeout", [&](to e) { return !client.try_lock_for("x", -1s, e); });
  says(errc::invalid, "dispatch", [&](to e) { return client.fd(e) == -1; });
  says(errc::invalid, "dispatch", [&](to e) { return client.dispatch(e) == 0; });
  const locker::guard none;
  says(errc::bad_handle, "guard", [&](to e) { return none.unlock(e), true; });
  says(errc::bad_handle, "guard", [&](to e) { return !none.wait(e); });
  says(errc::bad_handle, "guard", [&](to e) { return none.info(e).name.empty(); });
  const locker::watcher nothing;
  says(errc::bad_handle, "watcher", [&](to e) { return !nothing.next(e); });
  says(errc::bad_handle, "watcher", [&](to e) { return nothing.unwatch(e), true; });
  const locker::client nobody;
  says(errc::bad_handle, "client", [&](to e) { return !nobody.lock("x", e); });
  says(errc::bad_handle, "client", [&](to e) { return nobody.disconnect(e), true; });
}

static void who_cannot_connect_is_told() {
  auto options = own_prefix();
  options.timeout = 300ms;
  std::error_code e;
  const locker::client client("http://127.0.0.1:1", options, e);
  CHECK(e == errc::unavailable && client.lock("x", e).token() == 0 && e == errc::bad_handle);
  locker_error told;
  options.username = "a\0b"s;
  const locker::client refused(endpoints(), options, told);
  CHECK(told.code == LOCKER_INVALID && std::string(told.message) == "username contains a NUL");
}

static void a_loss_is_said_with_its_detail() {
  const auto own = own_prefix();
  const locker::client client(endpoints(), own);
  std::promise<void> ended;
  const auto guard = client.lock("x");
  std::error_code e;
  const auto on_change = [&](locker::state state, const locker::error *) {
    if (state == locker::state::ended) ended.set_value();
  };
  guard.on_change(on_change, e);
  CHECK(!e);
  etcdctl("del --prefix '" + *own.prefix + "x/'");
  soon(ended.get_future());
  locker_error told;
  CHECK(!guard.wait(told) && told.code == LOCKER_LOST && told.detail == LOCKER_LOSS_KEY_DELETED && *told.message);
  guard.unlock(e);
  CHECK(e == errc::lost);
}

static void a_mutex_that_fails_is_not_locked() {
  const locker::client client(endpoints(), own_prefix());
  locker::mutex mutex(client, "x"), other(client, "x"), bad(client, "");
  std::error_code e = old_code();
  mutex.lock(e);
  CHECK(!e && mutex.guard().held());
  e = old_code();
  CHECK(!other.try_lock(e) && !e);
  CHECK(!other.try_lock_for(20ms, e) && !e && !other.try_lock_for(-1s, e) && !e);
  CHECK(!other.try_lock_until(std::chrono::system_clock::now() + 20ms, e) && !e);
  CHECK(!other.try_lock_until(std::chrono::steady_clock::time_point::min(), e) && !e);
  mutex.unlock();
  CHECK(other.try_lock_for(patience, e) && !e && other.guard().held());
  other.unlock();
  bad.lock(e);
  CHECK(e == errc::invalid && !bad.guard());
  CHECK(!bad.try_lock(e) && e == errc::invalid);
}

int main() {
  return run([] {
    what_works_clears_the_error();
    what_is_busy_is_no_error();
    what_fails_is_said();
    who_cannot_connect_is_told();
    a_loss_is_said_with_its_detail();
    a_mutex_that_fails_is_not_locked();
  });
}
