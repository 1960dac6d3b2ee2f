// What the C++ tests share: checks that throw (so that a failed test cleans up too), an etcd, and names of one's own.
#ifndef LOCKER_TESTS_CHECK_HPP
#define LOCKER_TESTS_CHECK_HPP

#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <stdexcept>
#include <string>

#include "locker.hpp"

#define CHECK(condition)                                                                                             \
  do {                                                                                                               \
    if (!(condition)) throw std::logic_error(std::string(__FILE__ ":") + std::to_string(__LINE__) + ": " #condition); \
  } while (false)

using namespace std::chrono_literals;

// How long an event may take that is bound to come. No test waits this long unless it fails.
constexpr auto patience = 20s;

inline std::string endpoints() {
  const char *e = std::getenv("LOCKER_ENDPOINTS");
  if (e == nullptr) throw std::runtime_error("LOCKER_ENDPOINTS is not set: run this under `locker dev --`");
  return e;
}

// A prefix that no other test uses, also not the same one run twice at once.
inline locker::connect_options own_prefix() {
  static std::atomic<int> counter{0};
  locker::connect_options options;
  options.prefix = "/t/" + std::to_string(getpid()) + "-" + std::to_string(++counter) + "/";
  return options;
}

// `call` throws this error, with this text somewhere in its message.
template <class Call> void fails(locker::errc code, const std::string &text, Call call) {
  std::string got = "nothing was thrown";
  try {
    call();
  } catch (const locker::error &e) {
    if (e.code() == code && std::string(e.what()).find(text) != std::string::npos) return;
    got = e.code().message() + ": " + e.what();
  }
  throw std::logic_error("expected " + make_error_code(code).message() + " with '" + text + "', got " + got);
}

// Runs etcdctl against the same etcd; returns what it printed.
inline std::string etcdctl(const std::string &arguments) {
  const std::string line = "ETCDCTL_API=3 ETCDCTL_ENDPOINTS='" + endpoints() + "' etcdctl " + arguments;
  std::FILE *pipe = popen(line.c_str(), "r");
  CHECK(pipe != nullptr);
  std::string output;
  std::array<char, 4096> buffer;
  for (std::size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) output.append(buffer.data(), n);
  const int status = pclose(pipe);
  if (status != 0) throw std::runtime_error("failed: " + line);
  return output;
}

template <class T> T soon(std::future<T> future) {
  if (future.wait_for(patience) != std::future_status::ready) throw std::logic_error("an event did not come");
  return future.get();
}

// The state of a lock for which `wanted` holds, read from a watcher.
template <class Wanted> locker::info await(const locker::watcher &watcher, Wanted wanted) {
  for (;;) {
    const auto info = watcher.next(patience);
    CHECK(info.has_value());
    if (wanted(*info)) return *info;
  }
}

// Runs a program's tests: 0 if they passed and left no handle open, else 1 and why.
template <class Tests> int run(Tests tests) {
  try {
    tests();
    CHECK(locker_live_handles() == 0);
    return 0;
  } catch (const std::exception &e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}

#endif
