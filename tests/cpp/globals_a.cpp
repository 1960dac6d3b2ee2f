// Locks that are global objects of three files, destroyed in an order that nobody chose, after main.
#include <sys/wait.h>

#include "../c/row.h"
#include "check.hpp"
#include "globals.hpp"

// Made at its first use, and so before what uses it, and destroyed after that.
const locker::client &shared_client() {
  static const locker::client client(endpoints(), own_prefix());
  return client;
}

static const locker::client own_client(endpoints(), own_prefix());
static const auto guard = own_client.lock("a");
static const auto shared_guard = shared_client().lock("shared a");

static std::chrono::steady_clock::rep now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

// How long this program takes to end, from the end of main.
static std::chrono::nanoseconds end_of(const char *program) {
  std::array<int, 2> ends{};
  CHECK(pipe(ends.data()) == 0);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    execl(program, program, "ends", static_cast<char *>(nullptr));
    _exit(127);
  }
  close(ends[1]);
  auto begin = now();
  const bool said = read(ends[0], &begin, sizeof begin) == sizeof begin;
  close(ends[0]);
  int status = 1;
  CHECK(waitpid(child, &status, 0) == child && status == 0 && said);
  return std::chrono::steady_clock::duration(now() - begin);
}

int main(int argc, char **argv) try {
  CHECK(guard.held() && shared_guard.held() && held_elsewhere());
  if (argc > 1) {
    const auto ending = now();
    return write(STDOUT_FILENO, &ending, sizeof ending) == sizeof ending ? 0 : 1;
  }
  const long ends = trials(42, "global locks in three C++ files", 1000);
  auto slowest = 0ns;
  long late = 0;
  for (long i = 0; i < ends; i++) {
    const auto took = end_of(argv[0]);
    slowest = std::max(slowest, took);
    late += took > 200ms ? 1 : 0;
  }
  CHECK(late <= ends / 10); // a busy machine may stop one for a while
  row_ok("exit code 0, slowest %.0f ms, %ld over 200 ms", static_cast<double>(slowest.count()) / 1e6, late);
  return 0;
} catch (const std::exception &e) {
  std::fprintf(stderr, "%s\n", e.what());
  row_failed(e.what());
  return 1;
}
