// locker::mutex under the standard's lock types.
#include <thread>
#include <vector>

#include "check.hpp"

static void the_standard_locks_work() {
  const locker::client client(endpoints(), own_prefix());
  locker::mutex a(client, "a"), a_too(client, "a"), b(client, "b");
  {
    const std::lock_guard lock(a);
    CHECK(a.guard().held() && a.guard().token() > 0 && client.get("a").token == a.guard().token());
    CHECK(!a_too.guard() && !a_too.try_lock());
    CHECK(!std::unique_lock(a_too, 20ms));
    CHECK(!std::unique_lock(a_too, std::chrono::steady_clock::now() + 20ms));
    CHECK(!std::unique_lock(a_too, std::chrono::system_clock::now() - 1s));
    const std::unique_lock other(b, std::try_to_lock);
    CHECK(other && b.guard());
  }
  CHECK(!a.guard() && a.guard().token() == 0);
  {
    const std::scoped_lock both(a_too, b);
    CHECK(a_too.guard() && b.guard() && !a.try_lock_for(0s) && !a.try_lock_for(-1s));
  }
  std::unique_lock lock(a, std::defer_lock);
  CHECK(lock.try_lock_for(std::chrono::hours::max()));
  lock.unlock();
  CHECK(lock.try_lock_until(std::chrono::system_clock::now() + patience));
}

static void options_are_kept() {
  const locker::client client(endpoints(), own_prefix());
  locker::lock_options options;
  options.value = "node-3";
  options.reason = "a test";
  locker::mutex mutex(client, "x", options);
  for (int i = 0; i < 2; ++i) {
    const std::lock_guard lock(mutex);
    const auto info = client.get("x");
    CHECK(info.value == "node-3" && info.reason == "a test");
  }
}

// Some threads share a mutex, some have their own: all exclude one another, and none waits for ever on two locks that
// others take in the other order.
static void threads_take_turns() {
  const locker::client client(endpoints(), own_prefix());
  locker::mutex shared_a(client, "a"), shared_b(client, "b");
  int counter = 0; // not atomic: what the sanitizers and the sum tell
  std::vector<std::future<void>> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.push_back(std::async(std::launch::async, [&, thread] {
      locker::mutex own_a(client, "a"), own_b(client, "b");
      auto &a = thread < 2 ? shared_a : own_a;
      auto &b = thread < 2 ? shared_b : own_b;
      for (int i = 0; i < 4; ++i) {
        const std::scoped_lock both(thread % 2 ? a : b, thread % 2 ? b : a);
        const int read = counter;
        std::this_thread::yield();
        counter = read + 1;
      }
    }));
  }
  for (auto &thread : threads) soon(std::move(thread));
  CHECK(counter == 16);
}

// A thread that lost its lock unlocks nothing of the thread that shares the mutex and has it now.
static void a_loser_cannot_unlock_the_winner() {
  const auto own = own_prefix();
  const locker::client client(endpoints(), own);
  auto ended = std::make_shared<std::promise<void>>();
  locker::lock_options options;
  options.on_change = [ended, once = std::make_shared<std::once_flag>()](locker::state state, const locker::error *) {
    if (state == locker::state::ended) std::call_once(*once, [&] { ended->set_value(); });
  };
  locker::mutex mutex(client, "x", options);
  mutex.lock();
  etcdctl("del --prefix '" + *own.prefix + "x/'");
  soon(ended->get_future());
  CHECK(!mutex.guard().held());

  std::promise<void> held, go;
  auto winner = std::async(std::launch::async, [&] {
    const std::lock_guard lock(mutex);
    held.set_value();
    soon(go.get_future());
    return mutex.guard().held();
  });
  soon(held.get_future());
  mutex.unlock();
  CHECK(!client.try_lock("x"));
  go.set_value();
  CHECK(soon(std::move(winner)));
}

// With a guard goes its on_change, which may ask the mutex as it goes.
struct asks {
  locker::mutex **of;
  std::atomic<int> *asked;
  asks(locker::mutex **m, std::atomic<int> *a) : of(m), asked(a) {}
  asks(const asks &) = default;
  ~asks() {
    if (*of == nullptr) return;
    ++*asked;
    if ((*of)->guard().held()) std::abort(); // a destructor cannot throw
  }
  void operator()(locker::state, const locker::error *) const {}
};

static void it_may_be_asked_by_what_goes_with_a_guard() {
  auto own = own_prefix();
  own.dispatch = true; // so that it goes in unlock
  const locker::client client(endpoints(), own);
  locker::mutex *of = nullptr;
  std::atomic<int> asked{0};
  locker::lock_options options;
  options.on_change = asks(&of, &asked);
  locker::mutex mutex(client, "asked", options);
  mutex.lock();
  of = &mutex;
  mutex.unlock();
  of = nullptr;
  CHECK(asked > 0);
}

// Also of a clock that counts to times which nanoseconds cannot.
static void a_time_that_never_comes_is_no_limit() {
  using std::chrono::seconds;
  using std::chrono::steady_clock;
  const auto own = own_prefix();
  const locker::client client(endpoints(), own), other(endpoints(), own);
  auto holder = client.lock("never");
  locker::mutex mutex(other, "never");
  CHECK(!mutex.try_lock_until(std::chrono::time_point<steady_clock, seconds>::min()));
  CHECK(!mutex.try_lock_until(steady_clock::time_point::min()));
  auto waits = std::async(std::launch::async, [&] {
    const bool held = mutex.try_lock_until(std::chrono::time_point<steady_clock, seconds>::max());
    if (held) mutex.unlock();
    return held;
  });
  while (client.get("never").waiters == 0 && waits.wait_for(10ms) != std::future_status::ready) {
  }
  holder.unlock();
  CHECK(soon(std::move(waits)));
}

int main() {
  return run([] {
    the_standard_locks_work();
    options_are_kept();
    threads_take_turns();
    a_loser_cannot_unlock_the_winner();
    it_may_be_asked_by_what_goes_with_a_guard();
    a_time_that_never_comes_is_no_limit();
  });
}
