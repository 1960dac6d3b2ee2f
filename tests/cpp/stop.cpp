// A wait that a std::stop_token ends: it leaves the queue, and takes nothing with it.
#include <stop_token>
#include <thread>

#include "check.hpp"

using locker::errc;

static std::size_t keys_of(const locker::connect_options &own, const std::string &name) {
  const auto keys = etcdctl("get --keys-only --prefix '" + *own.prefix + name + "/'");
  std::size_t lines = 0;
  for (std::size_t i = 0; (i = keys.find('/' + name + '/', i)) != std::string::npos; ++i) ++lines;
  return lines;
}

// Who leaves does so behind the call; a minute is the end of a test that hangs.
static void await_keys(const locker::connect_options &own, const std::string &name, std::size_t wanted) {
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (keys_of(own, name) != wanted) CHECK(std::chrono::steady_clock::now() < end);
}

static void a_stop_ends_the_wait_and_the_place_in_the_queue() {
  const auto own = own_prefix();
  const locker::client holds(endpoints(), own), waits(endpoints(), own);
  auto guard = holds.lock("x");
  std::optional<std::optional<locker::guard>> got;
  std::jthread waiter([&](std::stop_token stop) { got = waits.lock("x", stop); });
  await_keys(own, "x", 2);
  waiter.request_stop();
  waiter.join();
  CHECK(got && !*got);
  await_keys(own, "x", 1);
  guard.unlock();
  await_keys(own, "x", 0);
  CHECK(waits.try_lock("x"));
}

static void many_stops() {
  const auto own = own_prefix();
  const locker::client holds(endpoints(), own), waits(endpoints(), own);
  const auto guard = holds.lock("x");
  for (int i = 0; i < 100; ++i) {
    std::error_code e = errc::internal;
    std::stop_source source;
    std::optional<locker::guard> got;
    std::thread waiter([&] { got = waits.lock("x", source.get_token(), e); });
    if (i % 2) std::this_thread::sleep_for(std::chrono::microseconds(37 * i));
    source.request_stop();
    waiter.join();
    CHECK(!got && !e);
  }
  await_keys(own, "x", 1);
}

// Stopped just as it comes: it is either got and held, or nothing and free.
static void a_stop_meets_the_lock() {
  const locker::client client(endpoints(), own_prefix());
  int got = 0, stopped = 0;
  for (int i = 0; i < 200; ++i) {
    std::stop_source source;
    std::thread stopper([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(i * 17));
      source.request_stop();
    });
    const auto guard = client.lock("x", source.get_token());
    (guard ? got : stopped)++;
    CHECK(!guard || (guard->held() && guard->token() > 0));
    stopper.join();
    CHECK(!guard || guard->held()); // a stop that comes later is none of it
  }
  CHECK(got + stopped == 200 && client.try_lock_for("x", patience));
}

static void without_a_stop_it_is_a_lock() {
  const locker::client client(endpoints(), own_prefix());
  std::stop_source source;
  auto guard = client.lock("x", source.get_token(), {.reason = "a test"});
  CHECK(guard && guard->held() && client.get("x").reason == "a test");
  CHECK(client.lock("y", std::stop_token(), {.reason = "no source"}));
  source.request_stop();
  CHECK(guard->held() && !client.lock("z", source.get_token()) && !client.get("z").held());
  CHECK(client.lock("w", {}).held()); // which is no stop_token
}

// Out of all their queues, also of those in which it was the first.
static void several_at_once() {
  const auto own = own_prefix();
  const locker::client holds(endpoints(), own), waits(endpoints(), own);
  auto guard = holds.lock("y");
  std::optional<std::optional<locker::guard>> got;
  std::jthread waiter([&](std::stop_token stop) { got = waits.lock_all({"x", "y"}, stop); });
  await_keys(own, "x", 1);
  waiter.request_stop();
  waiter.join();
  CHECK(got && !*got);
  await_keys(own, "x", 0);
  await_keys(own, "y", 1);
  guard.unlock();
  std::stop_source source;
  std::error_code e;
  const auto all = waits.lock_all({"x", "y"}, source.get_token(), {.reason = "a test"});
  CHECK(all && all->held() && holds.get("y").reason == "a test");
  CHECK(waits.lock_all({"v", "w"}, source.get_token(), e) && !e);
  CHECK(!waits.lock_all({"w", "w"}, source.get_token(), e) && e == errc::invalid);
  source.request_stop();
  CHECK(all->held() && !waits.lock_all({"v", "w"}, source.get_token()));
}

static void what_fails_is_no_stop() {
  const locker::client client(endpoints(), own_prefix());
  std::stop_source source;
  fails(errc::invalid, "name", [&] { (void)client.lock("", source.get_token()); });
  std::error_code e;
  CHECK(!client.lock("", source.get_token(), e) && e == errc::invalid);
  const auto guard = client.lock("x");
  auto waits = std::async(std::launch::async, [&] { (void)client.lock("x", source.get_token()); });
  CHECK(waits.wait_for(50ms) == std::future_status::timeout);
  client.disconnect();
  fails(errc::cancelled, "", [&] { soon(std::move(waits)); });
}

static void on_change_goes_with_it() {
  const locker::client client(endpoints(), own_prefix());
  const auto guard = client.lock("x");
  std::promise<void> freed;
  std::shared_ptr<void> kept(nullptr, [&](void *) { freed.set_value(); });
  std::stop_source source;
  {
    locker::lock_options options;
    options.on_change = [kept](locker::state state, const locker::error *) { CHECK(state == locker::state::ended); };
    kept.reset();
    std::jthread stopper([&] { source.request_stop(); });
    CHECK(!client.lock("x", source.get_token(), options));
  }
  soon(freed.get_future());
}

int main() {
  return run([] {
    a_stop_ends_the_wait_and_the_place_in_the_queue();
    many_stops();
    a_stop_meets_the_lock();
    without_a_stop_it_is_a_lock();
    several_at_once();
    what_fails_is_no_stop();
    on_change_goes_with_it();
  });
}
