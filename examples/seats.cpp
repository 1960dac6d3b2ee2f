// Ten workers, of which no more than three work at a time: a semaphore, also if each were on a machine of its own.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

#include "locker.hpp"

int main() try {
  using namespace std::chrono_literals;
  const char *endpoints = std::getenv("LOCKER_ENDPOINTS");
  locker::client client(endpoints ? endpoints : "http://127.0.0.1:2379");

  locker::lock_options options;
  options.limit = 3; // all of them have to say the same
  std::mutex mutex;
  int working = 0, most = 0;
  std::vector<std::thread> workers;
  for (int n = 0; n < 10; ++n)
    workers.emplace_back([&] {
      auto seat = client.lock("seats", options);
      const auto count = [&](int by) {
        const std::lock_guard lock(mutex);
        most = std::max(most, working += by);
      };
      count(1);
      std::this_thread::sleep_for(50ms); // the work
      count(-1);
    }); // the seat is free
  for (auto &worker : workers) worker.join();
  std::cout << "10 have worked, " << most << " at a time" << std::endl;
} catch (const locker::error &e) {
  std::cerr << e.what() << '\n';
  return 1;
}
