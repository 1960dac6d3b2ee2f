// Prints who holds a lock, now and each time it changes hands: watch NAME
#include <cstdlib>
#include <iostream>

#include "locker.hpp"

int main(int argc, char **argv) try {
  if (argc != 2) {
    std::cerr << "usage: watch NAME\n";
    return 2;
  }
  const char *endpoints = std::getenv("LOCKER_ENDPOINTS");
  locker::client client(endpoints ? endpoints : "http://127.0.0.1:2379");

  auto watcher = client.watch(argv[1]);
  while (auto info = watcher.next()) {
    if (info->held())
      std::cout << info->name << " held by " << info->value << ", token " << info->token << std::endl;
    else
      std::cout << info->name << " free" << std::endl;
  }
} catch (const locker::error &e) {
  std::cerr << e.what() << '\n';
  return 1;
}
