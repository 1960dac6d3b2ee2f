// One thread and its event loop: takes the lock "db-migrate" and tells who has it, and never blocks in either.
#include <poll.h>

#include <cstdlib>
#include <iostream>

#include "locker.hpp"

int main() try {
  using namespace std::chrono_literals;
  const char *endpoints = std::getenv("LOCKER_ENDPOINTS");
  locker::connect_options options;
  options.dispatch = true; // callbacks run in dispatch(), and so on this thread only: no mutex is needed
  locker::client client(endpoints ? endpoints : "http://127.0.0.1:2379", options);

  std::int64_t holder = 0;
  auto watcher = client.watch("db-migrate", [&](const locker::info &info) {
    holder = info.token;
    std::cout << info.name << (info.held() ? " held by " + info.value : " free") << std::endl;
  });

  bool ended = false;
  locker::lock_options lock;
  lock.value = "loop.cpp";
  lock.on_change = [&](locker::state state, const locker::error *why) {
    ended = state == locker::state::ended;
    if (why != nullptr) std::cerr << why->what() << std::endl; // lost, or at risk to be
  };
  auto guard = client.lock_start("db-migrate", lock); // waits for its turn behind the call

  pollfd fds[] = {{client.fd(), POLLIN, 0}}; // and all the other descriptors of a daemon
  while (!ended && (holder == 0 || holder != guard.token())) {
    if (poll(fds, 1, -1) > 0) client.dispatch();
  }
  std::cout << "token " << guard.token() << std::endl; // here the work would begin
  guard.unlock(0s);                                    // does not wait for etcd; nothing of it is told any more
} catch (const locker::error &e) {
  std::cerr << e.what() << '\n';
  return 1;
}
