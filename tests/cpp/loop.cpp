// An event loop in C++ alone: callbacks run in client::dispatch, on this thread, and end when their owner does.
#include <poll.h>

#include <memory>
#include <thread>
#include <vector>

#include "check.hpp"

using locker::errc;

static locker::connect_options for_loop() {
  auto options = own_prefix();
  options.dispatch = true;
  return options;
}

static bool due(const locker::client &client, std::chrono::milliseconds within) {
  pollfd fd{client.fd(), POLLIN, 0};
  return poll(&fd, 1, static_cast<int>(within.count())) == 1;
}

template <class Until> static void loop(const locker::client &client, Until until) {
  while (!until()) {
    CHECK(due(client, patience));
    client.dispatch();
  }
}

// Counts what is told, on the one thread, and how many live that hold it.
struct listener {
  const std::thread::id thread = std::this_thread::get_id();
  std::vector<locker::state> states{};
  std::vector<std::int64_t> tokens{};
  std::shared_ptr<int> kept = std::make_shared<int>();

  locker::lock_options changes() {
    locker::lock_options options;
    options.on_change = [this, mine = kept](locker::state state, const locker::error *) {
      CHECK(std::this_thread::get_id() == thread);
      states.push_back(state);
    };
    return options;
  }
  auto events() {
    return [this, mine = kept](const locker::info &info) {
      CHECK(std::this_thread::get_id() == thread);
      tokens.push_back(info.token);
    };
  }
  bool freed() const { return kept.use_count() == 1; }
};

static void many_locks_and_watches_on_one_thread() {
  const locker::client client(endpoints(), for_loop());
  constexpr std::size_t many = 100;
  std::vector<listener> listeners(many);
  std::vector<locker::guard> guards;
  std::vector<locker::watcher> watchers;
  for (std::size_t i = 0; i < many; ++i) {
    const auto name = "lock-" + std::to_string(i);
    guards.push_back(client.lock_start(name, listeners[i].changes()));
    watchers.push_back(client.watch(name, listeners[i].events()));
  }
  const auto told = [&](std::size_t i) {
    return listeners[i].states.size() == 1 && !listeners[i].tokens.empty() && listeners[i].tokens.back() != 0;
  };
  loop(client, [&] {
    std::size_t all = 0;
    while (all < many && told(all)) ++all;
    return all == many;
  });
  for (std::size_t i = 0; i < many; ++i) {
    CHECK(guards[i].held() && listeners[i].states.front() == locker::state::held);
    CHECK(listeners[i].tokens.back() == guards[i].token() && !listeners[i].freed());
  }
  guards.clear();
  watchers.clear(); // neither destructor waits for who is here
  for (const auto &listener : listeners) CHECK(listener.states.size() == 1 && listener.freed());
  client.dispatch();
  CHECK(client.dispatch() == 0);
}

static void a_guard_is_waited_for_or_told() {
  const locker::client client(endpoints(), for_loop());
  const auto first = client.lock("x");
  listener second, third;
  const auto guard = client.lock_start("x", second.changes());
  CHECK(guard.state() == locker::state::waiting && !guard.wait(20ms) && !guard.wait(0s));
  const auto late = client.lock_start("x", third.changes(), 30ms);
  loop(client, [&] { return third.freed(); });
  CHECK(third.states == std::vector{locker::state::ended});
  CHECK(late.state() == locker::state::ended && !late.wait());
  first.unlock(0s);
  CHECK(guard.wait() && guard.held() && second.states.empty());
  CHECK(due(client, patience) && client.dispatch(1) == 1 && second.states == std::vector{locker::state::held});
  listener none;
  fails(errc::invalid, "on_change", [&] { guard.on_change(none.changes().on_change); });
  CHECK(none.freed());
  client.disconnect();
  CHECK(second.freed() && second.states.size() == 1);
  fails(errc::bad_handle, "", [&] { (void)client.fd(); });
  fails(errc::bad_handle, "", [&] { client.dispatch(); });
}

static void a_guard_ends_in_its_own_callback() {
  const locker::client client(endpoints(), for_loop());
  std::unique_ptr<locker::guard> guard;
  bool called = false;
  locker::lock_options options;
  options.on_change = [&](locker::state, const locker::error *) {
    fails(errc::bad_context, "callback", [&] { client.dispatch(); });
    fails(errc::bad_context, "", [&] { guard->unlock(); });
    guard.reset();
    called = true;
  };
  guard = std::make_unique<locker::guard>(client.lock_start("x", options));
  loop(client, [&] { return called; });
  CHECK(client.try_lock_for("x", patience));
}

static void a_client_without_a_loop_has_none() {
  const locker::client client(endpoints(), own_prefix());
  fails(errc::invalid, "dispatch", [&] { (void)client.fd(); });
  fails(errc::invalid, "dispatch", [&] { client.dispatch(); });
  std::promise<std::thread::id> told;
  const auto guard = client.lock("x");
  guard.on_change([&](locker::state state, const locker::error *) {
    if (state == locker::state::held) told.set_value(std::this_thread::get_id());
  });
  CHECK(soon(told.get_future()) != std::this_thread::get_id());
  fails(errc::invalid, "on_change", [&] { client.lock("y").on_change(nullptr); });
  client.disconnect(); // it refers to what goes before the client does
}

int main() {
  return run([] {
    many_locks_and_watches_on_one_thread();
    a_guard_is_waited_for_or_told();
    a_guard_ends_in_its_own_callback();
    a_client_without_a_loop_has_none();
  });
}
