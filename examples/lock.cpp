// Takes the lock "db-migrate", does a short piece of work and gives it back.
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "locker.hpp"

int main() try {
  using namespace std::chrono_literals;
  const char *endpoints = std::getenv("LOCKER_ENDPOINTS");
  locker::client client(endpoints ? endpoints : "http://127.0.0.1:2379");

  locker::lock_options options;
  options.value = "example.cpp";           // who we are, for those who ask
  options.reason = "migrating the schema"; // and why they have to wait
  auto guard = client.try_lock_for("db-migrate", 30s, options);
  if (!guard) {
    std::cerr << "busy: held by " << client.get("db-migrate").value << '\n';
    return 1;
  }
  std::cout << "token " << guard->token() << '\n'; // rises with each holder: let the database refuse lower ones

  for (int step = 0; step < 5 && guard->held(); ++step) // held() is false as soon as the lock is lost
    std::this_thread::sleep_for(100ms);

  guard->unlock(); // throws if the lock was lost before
} catch (const locker::error &e) {
  std::cerr << e.what() << '\n';
  return 1;
}
