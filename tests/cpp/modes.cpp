// Locks that are shared, with a limit or without, and several locks at once.
#include <algorithm>
#include <numeric>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "check.hpp"

using locker::errc;
using names = std::vector<std::string>;

static locker::lock_options reader() {
  locker::lock_options options;
  options.shared = true;
  return options;
}

static locker::lock_options one_of(std::uint32_t limit) {
  locker::lock_options options;
  options.limit = limit;
  return options;
}

static void await_waiters(const locker::client &client, const std::string &name, std::uint32_t wanted) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (client.get(name).waiters != wanted) CHECK(std::chrono::steady_clock::now() < end);
}

static std::size_t keys_of(const locker::connect_options &own, const std::string &name) {
  const auto keys = etcdctl("get --keys-only --prefix '" + *own.prefix + name + "'");
  return static_cast<std::size_t>(std::count(keys.begin(), keys.end(), '\n')) / 2; // a line of each and an empty one
}

static void readers_together_and_writers_in_order() {
  const auto own = own_prefix();
  const locker::client client(endpoints(), own), other(endpoints(), own);
  const auto first = client.lock("x", reader()), second = other.lock("x", reader());
  auto info = other.get("x");
  CHECK(info.mode == locker::mode::shared && info.holders == 2 && info.limit == 0 && info.token == first.token());
  CHECK(second.info().mode == locker::mode::shared && second.info().token == second.token());

  const auto writer = other.lock_start("x");
  await_waiters(client, "x", 1);
  CHECK(!client.try_lock("x", reader())); // it would pass the writer
  const auto late = client.lock_start("x", reader());
  await_waiters(client, "x", 2);
  first.unlock();
  CHECK(!writer.held() && !late.held());
  second.unlock();
  CHECK(writer.wait(patience) && !late.held());
  info = client.get("x");
  CHECK(info.mode == locker::mode::exclusive && info.holders == 1 && info.waiters == 1);
  writer.unlock();
  CHECK(late.wait(patience));
  late.unlock();
  CHECK(client.get("x").holders == 0);
}

static void no_more_than_the_limit() {
  const locker::client client(endpoints(), own_prefix());
  auto first = client.try_lock("x", one_of(2)), second = client.try_lock_for("x", 1s, one_of(2));
  CHECK(first && second && !client.try_lock("x", one_of(2)));
  const auto info = client.get("x");
  CHECK(info.mode == locker::mode::shared && info.holders == 2 && info.limit == 2 && first->info().limit == 2);
  const auto third = client.lock_start("x", one_of(2));
  await_waiters(client, "x", 1);
  second.reset(); // unlocks
  CHECK(third.wait(patience) && first->held());
  fails(errc::invalid, "limit is 5, but those who are in the queue of \"x\" say 2",
        [&] { (void)client.lock("x", one_of(5)); });
  fails(errc::invalid, "say 2", [&] { (void)client.try_lock("x", reader()); });
  std::error_code e;
  CHECK(!client.try_lock("x", one_of(5), e) && e == errc::invalid);
}

static void the_standard_shared_locks_work() {
  const auto own = own_prefix();
  const locker::client client(endpoints(), own), other(endpoints(), own);
  locker::mutex mutex(client, "x"), theirs(other, "x");
  {
    const std::shared_lock lock(mutex);
    std::shared_lock also(theirs, 5s);
    CHECK(lock && also && client.get("x").holders == 2 && mutex.guard().info().mode == locker::mode::shared);
    CHECK(!std::unique_lock(theirs, std::try_to_lock));
    also.unlock();
    CHECK(also.try_lock() && !theirs.try_lock_for(10ms));
  }
  {
    const std::unique_lock lock(mutex, patience);
    CHECK(lock && !std::shared_lock(theirs, std::try_to_lock) && !std::shared_lock(theirs, 10ms));
    CHECK(!theirs.try_lock_shared_until(std::chrono::steady_clock::now() + 10ms));
  }
  std::error_code e;
  theirs.lock_shared(e);
  CHECK(!e && theirs.guard().held() && client.get("x").mode == locker::mode::shared);
  theirs.unlock_shared();
  CHECK(theirs.try_lock_shared(e) && !e);
  theirs.unlock_shared();
  CHECK(theirs.try_lock_shared_for(5s, e) && !e);
  theirs.unlock_shared();
  CHECK(!theirs.guard().held());
}

static void all_with_one_token() {
  const auto own = own_prefix();
  const locker::client client(endpoints(), own), other(endpoints(), own);
  const names all{"a", "b", "c/d"};
  locker::lock_options options;
  options.value = "node-3";
  auto guard = client.lock_all({"a", "b", "c/d"}, options);
  CHECK(guard.held() && guard.names() == all && guard.info().name == "a");
  for (const auto &name : all) {
    const auto info = other.get(name);
    CHECK(info.token == guard.token() && info.value == "node-3" && !other.try_lock(name));
  }
  auto moved = std::move(guard);
  CHECK(guard.names().empty() && moved.names() == all); // NOLINT: that is what a moved-from guard promises
  moved.unlock();
  CHECK(moved.names().empty() && keys_of(own, "a/") + keys_of(own, "b/") + keys_of(own, "c%2Fd/") == 0);
  CHECK(client.lock("one").names() == names{"one"});
  CHECK(client.lock_all({"one"}).names() == names{"one"});
}

static void all_or_nothing() {
  const auto own = own_prefix();
  const locker::client client(endpoints(), own), other(endpoints(), own);
  const auto busy = other.lock("busy");
  CHECK(!client.try_lock_all({"free", "busy"}));
  CHECK(keys_of(own, "free/") == 0 && keys_of(own, "busy/") == 1);
  const auto start = std::chrono::steady_clock::now();
  CHECK(!client.try_lock_all_for({"free", "busy"}, 50ms));
  CHECK(std::chrono::steady_clock::now() - start >= 50ms);
  await_waiters(client, "busy", 0); // its places are given up behind the call
  CHECK(keys_of(own, "free/") == 0 && keys_of(own, "busy/") == 1);

  auto waits = std::async(std::launch::async, [&] { return client.lock_all({"free", "busy"}); });
  await_waiters(other, "busy", 1);
  const auto behind = other.lock_start("free");
  busy.unlock();
  const auto held = soon(std::move(waits));
  CHECK(held.held() && !behind.held());
  held.unlock();
  CHECK(behind.wait(patience) && behind.token() > 0);
  CHECK(client.try_lock_all({"busy", "another"}));
  CHECK(client.try_lock_all_for({"another", "busy"}, patience));
}

static void with_one_all_are_lost() {
  const auto own = own_prefix();
  const locker::client client(endpoints(), own);
  std::promise<std::error_code> ended;
  locker::lock_options options;
  options.on_change = [&](locker::state state, const locker::error *why) {
    if (state == locker::state::ended) ended.set_value(why != nullptr ? why->code() : std::error_code());
  };
  const auto guard = client.lock_all_start({"a", "b"}, options, patience);
  CHECK(guard.wait());
  etcdctl("del --prefix '" + *own.prefix + "b/'");
  CHECK(soon(ended.get_future()) == errc::lost && !guard.held() && guard.token() == 0);
  const auto next = client.lock_all({"b", "a"});
  fails(errc::lost, "", [&] { guard.unlock(); });
  CHECK(next.held());
}

static void wrong_names() {
  using namespace std::string_literals;
  const locker::client client(endpoints(), own_prefix());
  const auto refused = [&](const std::string &said, const names &wrong) {
    fails(errc::invalid, said, [&] { (void)client.lock_all(wrong); });
    fails(errc::invalid, said, [&] { (void)client.try_lock_all(wrong); });
    fails(errc::invalid, said, [&] { (void)client.try_lock_all_for(wrong, 1s); });
    fails(errc::invalid, said, [&] { (void)client.lock_all_start(wrong); });
    locker_error e;
    CHECK(!client.lock_all(wrong, e).held() && e.code == LOCKER_INVALID);
    CHECK(std::string(e.message).find(said) != std::string::npos);
    CHECK(!client.try_lock_all(wrong, e) && e.code == LOCKER_INVALID);
    CHECK(!client.try_lock_all_for(wrong, 1s, e) && e.code == LOCKER_INVALID);
    CHECK(!client.lock_all_start(wrong, e).held() && e.code == LOCKER_INVALID);
  };
  refused("names is empty", {});
  refused("names[1] is empty", {"a", ""});
  refused("names[1] contains a NUL", {"a", "b\0c"s, "d\0e"s});
  refused("names[0] is not UTF-8", {"\xff"});
  refused("names[2] is \"a\", as names[0] is", {"a", "b", "a"});
  refused("names[1] is too long", {"a", std::string(256, 'n')});
  refused("count of names is 61", names(61, "a"));
  fails(errc::invalid, "names has several", [&] { (void)client.lock_all({"a", "b"}, reader()); });
  fails(errc::invalid, "names has several", [&] { (void)client.lock_all({"a", "b"}, one_of(2)); });
  fails(errc::invalid, "timeout", [&] { (void)client.try_lock_all_for({"a", "b"}, -1s); });
  locker::lock_options options;
  options.reason = "a\0b"s;
  options.on_change = [](locker::state, const locker::error *) {};
  fails(errc::invalid, "reason", [&] { (void)client.lock_all({"a", "b"}, options); });
}

static void errors_without_exceptions() {
  const locker::client client(endpoints(), own_prefix());
  std::error_code e = errc::internal;
  auto guard = client.lock_all({"a", "b"}, e);
  CHECK(!e && guard.held());
  CHECK(!client.try_lock_all({"b", "c"}, e) && !e); // busy is no error
  CHECK(!client.try_lock_all_for({"b", "c"}, 10ms, {}, e) && !e);
  const auto waits = client.lock_all_start({"b", "c"}, {}, 10ms, e);
  CHECK(!e && !waits.wait(e) && !e && waits.state() == locker::state::ended);
  client.disconnect();
  CHECK(!client.lock_all({"a", "b"}, e).held() && e == errc::bad_handle);
}

// Money between accounts, in any direction at once: nobody waits for ever, and none of it is lost or seen in between.
static void transfers() {
  const auto own = own_prefix();
  const locker::client client(endpoints(), own), other(endpoints(), own);
  std::vector<int> accounts(4, 100);
  const auto transfer = [&](const locker::client &by, std::size_t from, std::size_t to) {
    const auto both = by.lock_all({"account/" + std::to_string(from), "account/" + std::to_string(to)});
    accounts[from] -= 1; // no data race, says whoever looks for them: each has been locked
    std::this_thread::yield();
    accounts[to] += 1;
  };
  std::vector<std::future<void>> all;
  for (std::size_t n = 0; n < 6; ++n)
    all.push_back(std::async(std::launch::async, [&, n] {
      for (std::size_t i = 0; i < 10; ++i) transfer(n % 2 ? client : other, (n + i) % 4, (n + i + 1 + n % 3) % 4);
    }));
  for (auto &one : all) one.get();
  CHECK(std::accumulate(accounts.begin(), accounts.end(), 0) == 400);
}

int main() {
  return run([] {
    readers_together_and_writers_in_order();
    no_more_than_the_limit();
    the_standard_shared_locks_work();
    all_with_one_token();
    all_or_nothing();
    with_one_all_are_lost();
    wrong_names();
    errors_without_exceptions();
    transfers();
  });
}
