// Waits for the lock "db-migrate" until it comes or a stop is requested (C++20).
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "locker.hpp"

int main() try {
  using namespace std::chrono_literals;
  const char *endpoints = std::getenv("LOCKER_ENDPOINTS");
  locker::client client(endpoints ? endpoints : "http://127.0.0.1:2379");

  auto held = client.lock("db-migrate"); // so that there is something to wait for
  std::jthread worker([&](std::stop_token stop) {
    if (auto guard = client.lock("db-migrate", stop))
      std::cout << "token " << guard->token() << std::endl;
    else
      std::cout << "stopped" << std::endl; // and out of the queue
  });
  std::this_thread::sleep_for(100ms);
  worker.request_stop();
  worker.join();
} catch (const locker::error &e) {
  std::cerr << e.what() << '\n';
  return 1;
}
