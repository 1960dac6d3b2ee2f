// The worker in C++: guards that unlock at the end of their scope or by hand, and a locker::mutex now and then.
#include <chrono>
#include <csignal>
#include <iostream>
#include <optional>
#include <string>

#include "locker.hpp"
#include "record.h"

using std::chrono::milliseconds;

namespace {

volatile std::sig_atomic_t ended;

record event(kind k, record hold) {
  hold.kind = static_cast<std::uint8_t>(k);
  hold.at = now_ns();
  return hold;
}

std::uint64_t deadline(const locker::guard &guard, std::uint64_t at) {
  return at + static_cast<std::uint64_t>(guard.remaining().count()) * 1000000;
}

// Works under the lock, and at the end also on what the lock no longer protects: to be refused.
void work(const locker::guard &guard, const record &hold) {
  const auto number = read_naked(hold.lock);
  for (const auto until = now_ns() + work_ms() * 1000000ull; now_ns() < until; sleep_ms(5)) {
    record r = event(HELD_TRUE, hold);
    if (!guard.held()) break;
    r.deadline = deadline(guard, r.at);
    append(r);
  }
  write_fenced(hold);
  if (dice(8) == 0) write_guarded(hold);
  write_naked(hold, number + 1);
}

void had(const locker::guard &guard, record &hold) {
  record r = event(ACQ_RET, hold);
  r.token = hold.token = static_cast<std::uint64_t>(guard.token());
  r.deadline = deadline(guard, r.at);
  append(r);
  if (r.token != 0) work(guard, hold);
  append(event(REL_CALL, hold));
}

void fail(kind k, const record &hold, std::uint64_t code) {
  record r = event(k, hold);
  r.revision = code;
  append(r);
}

void with_guard(const locker::client &client, const std::string &name, milliseconds patience, record &hold) {
  locker::lock_options options;
  options.on_change = [hold](locker::state s, const locker::error *e) {
    if (s == locker::state::ended && e != nullptr && e->code() == locker::errc::lost) append(event(LOST, hold));
  };
  const auto guard = client.try_lock_for(name, patience, options);
  if (!guard) return fail(ACQ_FAIL, hold, LOCKER_TIMEOUT);
  had(*guard, hold);
  try {
    guard->unlock();
    fail(REL_RET, hold, LOCKER_OK);
  } catch (const locker::error &e) {
    fail(REL_RET, hold, static_cast<std::uint64_t>(e.code().value()));
  }
}

void with_mutex(locker::mutex &mutex, milliseconds patience, record &hold) {
  const std::unique_lock<locker::mutex> lock(mutex, patience);
  if (!lock) return fail(ACQ_FAIL, hold, LOCKER_TIMEOUT);
  had(mutex.guard(), hold);
} // its end is not waited for, and nothing is said of it

void once(const locker::client &client, record hold) {
  const std::string name = "L" + std::to_string(hold.lock);
  const milliseconds patience(patience_ms());
  record call = event(ACQ_CALL, hold);
  call.deadline = call.at + static_cast<std::uint64_t>(patience.count()) * 1000000;
  append(call);
  try {
    locker::mutex mutex(client, name);
    if (dice(5) == 0) with_mutex(mutex, patience, hold);
    else with_guard(client, name, patience, hold);
  } catch (const locker::error &e) {
    fail(ACQ_FAIL, hold, static_cast<std::uint64_t>(e.code().value()));
  }
}

record plain(kind k) {
  record r{};
  r.lang = CPP;
  return event(k, r);
}

} // namespace

int main() try {
  std::signal(SIGTERM, [](int) { ended = 1; });
  const auto locks = static_cast<std::uint32_t>(std::stoul(setting("CHECK_LOCKS")));
  locker::connect_options options;
  options.prefix = "/check/";
  options.ttl = milliseconds(std::stoi(setting("CHECK_TTL")));
  const locker::client client(setting("LOCKER_ENDPOINTS"), options);

  record start = plain(START);
  start.token = static_cast<std::uint64_t>(options.ttl.count());
  append(start);
  for (std::uint32_t seq = 1; !ended; seq++) {
    record hold = plain(START);
    hold.lock = 1 + dice(locks);
    hold.seq = seq;
    once(client, hold);
  }
  append(plain(DONE));
} catch (const std::exception &e) {
  std::cerr << e.what() << '\n';
  return 1;
}
