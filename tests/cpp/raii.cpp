// client, guard, watcher: what they do, and that their end ends what they own.
#include <sys/wait.h>

#include <condition_variable>
#include <limits>
#include <memory>
#include <vector>

#include "check.hpp"

using locker::errc;

static_assert(std::is_nothrow_move_constructible_v<locker::guard> && !std::is_copy_constructible_v<locker::guard>);
static_assert(std::is_nothrow_move_assignable_v<locker::watcher> && !std::is_copy_assignable_v<locker::watcher>);
static_assert(std::is_nothrow_move_constructible_v<locker::client> && !std::is_copy_constructible_v<locker::client>);

static locker::lock_options with(std::string value, std::string reason) {
  locker::lock_options options;
  options.value = std::move(value);
  options.reason = std::move(reason);
  return options;
}

static void a_guard_shows_who_holds() {
  const locker::client client(endpoints(), own_prefix());
  CHECK(!client.get("x").held() && client.get("x").mode == locker::mode::free);

  const auto before = std::chrono::system_clock::now() - 1s;
  const auto guard = client.lock("x", with("node-3", "a test"));
  CHECK(guard && guard.held() && guard.state() == locker::state::held && guard.token() > 0);
  CHECK(guard.remaining() > 0ms && guard.remaining() <= 10s);

  for (const auto &info : {client.get("x"), guard.info()}) {
    CHECK(info.held() && info.name == "x" && info.token == guard.token() && info.mode == locker::mode::exclusive);
    CHECK(info.value == "node-3" && info.reason == "a test" && !info.host.empty() && !info.program.empty());
    CHECK(info.pid == static_cast<std::uint32_t>(getpid()));
    CHECK(info.since && *info.since > before && *info.since < std::chrono::system_clock::now() + 1s);
  }
  const auto left = client.get("x").lease_left;
  CHECK(!left || (*left > 0ms && *left <= 10s));
}

static void unlock_confirms_and_happens_once() {
  const locker::client client(endpoints(), own_prefix());
  const auto guard = client.lock("x");
  guard.unlock();
  CHECK(!client.get("x").held());
  CHECK(!guard && guard.token() == 0 && guard.remaining() == 0ms && guard.state() == locker::state::none);
  fails(errc::bad_handle, "", [&] { guard.unlock(); });
  fails(errc::bad_handle, "", [&] { (void)guard.info(); });
  fails(errc::bad_handle, "", [] { locker::guard().unlock(); });

  client.lock("x").unlock(5s);
  const auto watcher = client.watch("x");
  client.lock("x").unlock(0s); // does not wait, so the watcher tells
  await(watcher, [](auto &info) { return !info.held(); });
}

static void guards_move() {
  const locker::client client(endpoints(), own_prefix());
  auto first = client.lock("x");
  const auto token = first.token();
  auto second = std::move(first);
  CHECK(!first && second.token() == token); // NOLINT: that is what a moved-from guard promises
  auto other = client.lock("y");
  second = std::move(other); // unlocks x
  const auto watcher = client.watch("x");
  await(watcher, [](auto &info) { return !info.held(); });
  CHECK(second.info().name == "y");
  auto &same = second;
  second = std::move(same);
  CHECK(second.held());
}

static void a_busy_lock_is_left_alone() {
  const locker::client client(endpoints(), own_prefix());
  auto guard = client.lock("x");
  CHECK(!client.try_lock("x"));
  CHECK(!client.try_lock_for("x", 0s));
  const auto start = std::chrono::steady_clock::now();
  CHECK(!client.try_lock_for("x", 50ms));
  CHECK(std::chrono::steady_clock::now() - start >= 50ms);
  CHECK(client.get("x").token == guard.token());
  guard.unlock();
  const auto next = client.try_lock_for("x", std::chrono::hours::max());
  CHECK(next && next->held());
}

static void tokens_rise_in_the_order_of_the_queue() {
  const locker::client client(endpoints(), own_prefix()), other(endpoints(), own_prefix());
  auto first = client.lock("x");
  const auto token = first.token();
  auto waiting = std::async(std::launch::async, [&] { return client.lock("x").token(); });
  CHECK(waiting.wait_for(100ms) == std::future_status::timeout);
  CHECK(other.lock("x").held()); // another prefix is another lock
  first.unlock();
  CHECK(soon(std::move(waiting)) > token);
}

static void a_watcher_reads_each_holder() {
  const locker::client client(endpoints(), own_prefix());
  const auto watcher = client.watch("x");
  CHECK(!watcher.next().value().held());
  CHECK(!watcher.next(10ms) && !watcher.next(0ms));
  auto guard = client.lock("x", with("node-3", ""));
  CHECK(watcher.next(patience).value().value == "node-3");
  guard.unlock();
  CHECK(!watcher.next(patience).value().held());
  watcher.unwatch();
  fails(errc::bad_handle, "", [&] { (void)watcher.next(); });
}

static void what_is_watched_is_known() {
  const locker::client client(endpoints(), own_prefix());
  CHECK(!client.get_cached("x").held() && client.get_cached("x").revision > 0); // from etcd
  fails(errc::invalid, "name", [&] { (void)client.get_cached(""); });
  fails(errc::invalid, "name", [&] { (void)client.get_cached(std::string("x\0", 2)); });
  const auto watcher = client.watch("x");
  const auto guard = client.lock("x", with("node-3", ""));
  const auto told = await(watcher, [](auto &info) { return info.held(); });
  const auto known = client.get_cached("x"), read = client.get("x");
  CHECK(known.token == guard.token() && known.value == "node-3" && known.name == "x");
  CHECK(told.revision == guard.token() && told.revision <= known.revision && known.revision <= read.revision);
  client.disconnect();
  fails(errc::bad_handle, "", [&] { (void)client.get_cached("x"); });
}

static void a_watcher_calls_until_it_goes() {
  const locker::client client(endpoints(), own_prefix());
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<locker::info> seen;
  std::promise<void> destroyed;
  std::shared_ptr<void> kept(nullptr, [&](void *) { destroyed.set_value(); }); // by the callback
  {
    const auto watcher = client.watch("x", [&, kept](const locker::info &info) {
      fails(errc::bad_context, "", [&] { (void)client.get("x"); });
      const std::lock_guard lock(mutex);
      seen.push_back(info);
      changed.notify_all();
    });
    kept.reset();
    const auto guard = client.lock("x");
    std::unique_lock lock(mutex);
    CHECK(changed.wait_for(lock, patience, [&] { return !seen.empty() && seen.back().token == guard.token(); }));
  }
  const auto count = seen.size(); // without the mutex: nothing calls any more
  soon(destroyed.get_future());
  client.lock("x").unlock();
  CHECK(seen.size() == count);
}

struct changes {
  std::vector<locker::state> states;
  std::error_code why;
  std::promise<void> ended;

  static std::pair<std::shared_ptr<changes>, locker::lock_options> record() {
    auto to = std::make_shared<changes>();
    locker::lock_options options;
    options.on_change = [to](locker::state state, const locker::error *e) {
      to->states.push_back(state);
      if (e != nullptr) to->why = e->code();
      if (state == locker::state::ended) to->ended.set_value();
    };
    return {to, options};
  }
};

static void changes_are_told_in_order() {
  const locker::client client(endpoints(), own_prefix());
  const auto [changes, options] = changes::record();
  client.lock("x", options).unlock();
  CHECK(changes->ended.get_future().wait_for(0s) == std::future_status::ready); // unlock waited for it
  CHECK((changes->states == std::vector{locker::state::held, locker::state::ended}) && !changes->why);
}

static void a_loss_is_told() {
  const auto own = own_prefix();
  const locker::client client(endpoints(), own);
  const auto [changes, options] = changes::record();
  const auto guard = client.lock("x", options);
  etcdctl("del --prefix '" + *own.prefix + "x/'");
  soon(changes->ended.get_future());
  CHECK(changes->why == errc::lost);
  CHECK(!guard && guard.state() == locker::state::ended && guard.token() == 0);
  const auto next = client.lock("x");
  fails(errc::lost, "", [&] { guard.unlock(); });
  CHECK(next.held());
}

static void a_clients_end_frees_its_locks() {
  const auto own = own_prefix();
  const locker::client stays(endpoints(), own);
  locker::guard kept;
  {
    const locker::client goes(endpoints(), own);
    kept = goes.lock("x");
    CHECK(!stays.try_lock("x"));
  }
  CHECK(!kept && stays.try_lock("x")); // at once: the destructor waited

  const locker::client ended(endpoints(), own);
  ended.disconnect();
  fails(errc::bad_handle, "", [&] { ended.disconnect(); });
  fails(errc::bad_handle, "", [&] { (void)ended.lock("x"); });
}

static void an_empty_prefix_is_none() {
  const std::string name = "t-" + std::to_string(getpid());
  locker::connect_options options;
  options.prefix = "";
  const locker::client client(endpoints(), options);
  const auto guard = client.lock(name);
  CHECK(etcdctl("get --keys-only --prefix '" + name + "/'").rfind(name + "/", 0) == 0);
}

// In a process of its own, made before this one has threads of the library.
static void an_exception_in_a_callback_ends_the_program() {
  const pid_t child = fork();
  if (child == 0) {
    alarm(std::chrono::seconds(patience).count());
    std::set_terminate([] { _exit(42); });
    const locker::client client(endpoints(), own_prefix());
    const auto watcher = client.watch("x", [](const locker::info &) { throw std::runtime_error("x"); });
    for (;;) pause();
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 42);
}

static void codes_are_error_codes() {
  const std::error_code code = errc::timeout;
  CHECK(code == std::errc::timed_out && code.message() == "timeout" && code.category().name() == std::string("locker"));
  CHECK(make_error_code(errc::cancelled) == std::errc::operation_canceled);
  CHECK(make_error_code(errc::denied) == std::errc::permission_denied);
  CHECK(make_error_code(errc::invalid) == std::errc::invalid_argument);
  CHECK(make_error_code(errc::lost).default_error_condition().category() == locker::category());
}

// A guard does not wait for its on_change when it goes; its client does, for what it refers to may go next.
static void a_client_waits_for_what_went_before_it() {
  auto states = std::make_unique<std::vector<locker::state>>();
  {
    const locker::client client(endpoints(), own_prefix());
    std::promise<void> entered;
    locker::lock_options options;
    options.on_change = [&, once = std::make_shared<std::once_flag>()](locker::state state, const locker::error *) {
      std::call_once(*once, [&] { entered.set_value(); });
      std::this_thread::sleep_for(50ms);
      states->push_back(state);
    };
    auto guard = client.lock("x", options);
    soon(entered.get_future());
    guard = locker::guard();
  }
  CHECK((*states == std::vector{locker::state::held, locker::state::ended}));
  states.reset();
}

static void a_time_that_the_clock_cannot_count_is_its_last() {
  locker_info c{};
  c.since_ms = std::numeric_limits<std::int64_t>::max();
  CHECK(locker::detail::to_info(c).since == std::chrono::system_clock::time_point::max());
  c.since_ms = 1000;
  CHECK(locker::detail::to_info(c).since == std::chrono::system_clock::time_point(1s));
}

int main() {
  return run([] {
    an_exception_in_a_callback_ends_the_program();
    a_guard_shows_who_holds();
    unlock_confirms_and_happens_once();
    guards_move();
    a_busy_lock_is_left_alone();
    tokens_rise_in_the_order_of_the_queue();
    a_watcher_reads_each_holder();
    what_is_watched_is_known();
    a_watcher_calls_until_it_goes();
    changes_are_told_in_order();
    a_loss_is_told();
    a_clients_end_frees_its_locks();
    an_empty_prefix_is_none();
    codes_are_error_codes();
    a_client_waits_for_what_went_before_it();
    a_time_that_the_clock_cannot_count_is_its_last();
  });
}
