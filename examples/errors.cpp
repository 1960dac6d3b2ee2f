// The same as lock.cpp in a program without exceptions (-fno-exceptions): what the other overload would throw is said in
// the last argument.
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "locker.hpp"

static int fails(const char *why) {
  std::fprintf(stderr, "%s\n", why);
  return 1;
}

int main() {
  using namespace std::chrono_literals;
  const char *endpoints = std::getenv("LOCKER_ENDPOINTS");
  locker_error why; // or a std::error_code, which has no room for the message
  locker::client client(endpoints ? endpoints : "http://127.0.0.1:2379", why);
  if (why.code != LOCKER_OK) return fails(why.message);

  auto guard = client.try_lock_for("db-migrate", 30s, why);
  if (why.code != LOCKER_OK) return fails(why.message);
  if (!guard) return fails("busy"); // which is no error, and would not be thrown either
  std::printf("token %" PRId64 "\n", guard->token());

  std::error_code code;
  guard->unlock(code);
  if (code == locker::errc::lost) return fails("somebody else may have had it before we were done");
  return code ? fails(code.message().c_str()) : 0;
}
