// What is wrong is an error at once, which names the argument, and loses nothing.
#include "check.hpp"

using locker::errc;
using namespace std::string_literals;

static void names_values_and_reasons() {
  const locker::client client(endpoints(), own_prefix());
  for (const auto &name : {""s, std::string(256, 'n'), "a\0b"s, "\xff\xfe"s}) {
    fails(errc::invalid, "name", [&] { (void)client.lock(name); });
    fails(errc::invalid, "name", [&] { (void)client.try_lock(name); });
    fails(errc::invalid, "name", [&] { (void)client.try_lock_for(name, 1s); });
    fails(errc::invalid, "name", [&] { (void)client.get(name); });
    fails(errc::invalid, "name", [&] { (void)client.watch(name); });
    fails(errc::invalid, "name", [&] { (void)client.watch(name, [](const locker::info &) {}); });
    fails(errc::invalid, "name", [&] { locker::mutex(client, name).lock(); });
  }
  fails(errc::invalid, "on_info", [&] { (void)client.watch("x", nullptr); });
  for (const auto &value : {std::string(1024, 'v'), "a\0b"s, "\xff"s}) {
    locker::lock_options options;
    options.value = value;
    fails(errc::invalid, "value", [&] { (void)client.lock("x", options); });
  }
  for (const auto &reason : {std::string(256, 'r'), "a\0b"s, "\xff"s}) {
    locker::lock_options options;
    options.reason = reason;
    options.on_change = [](locker::state, const locker::error *) {}; // freed though the call fails
    fails(errc::invalid, "reason", [&] { (void)client.lock("x", options); });
  }
  locker::lock_options longest;
  longest.value = std::string(1023, 'v');
  longest.reason = std::string(255, 'r');
  const auto guard = client.lock(std::string(255, 'n'), longest);
  const auto info = client.get(std::string(255, 'n'));
  CHECK(info.value == *longest.value && info.reason == longest.reason && info.name.size() == 255);
}

static void times() {
  const locker::client client(endpoints(), own_prefix());
  const auto guard = client.lock("x");
  const auto watcher = client.watch("x");
  fails(errc::invalid, "timeout", [&] { (void)client.try_lock_for("x", -1ms); });
  fails(errc::invalid, "timeout", [&] { (void)client.try_lock_for("x", -1ns); });
  fails(errc::invalid, "timeout", [&] { guard.unlock(-5s); });
  fails(errc::invalid, "timeout", [&] { (void)watcher.next(-1ms); });
  fails(errc::invalid, "timeout", [&] { watcher.unwatch(-1ms); });
  fails(errc::invalid, "timeout", [&] { client.disconnect(-1ms); });
  CHECK(guard.held() && watcher.next(patience)->token == guard.token()); // nothing was lost by all that
}

template <class Set> static void refuses(const std::string &argument, Set set, const std::string &at = endpoints()) {
  auto options = own_prefix();
  set(options);
  fails(errc::invalid, argument, [&] { locker::client(at, options); });
}

static void connecting() {
  fails(errc::invalid, "endpoint", [] { locker::client(""); });
  fails(errc::invalid, "endpoint", [] { locker::client(","); });
  fails(errc::invalid, "ftp://nowhere", [] { locker::client("ftp://nowhere"); });
  fails(errc::invalid, "endpoints", [] { locker::client("http://a\0b"s); });
  refuses("ttl", [](auto &o) { o.ttl = -1ms; });
  refuses("ttl", [](auto &o) { o.ttl = 1999ms; });
  refuses("timeout", [](auto &o) { o.timeout = -1ms; });
  refuses("prefix", [](auto &o) { o.prefix = "a\0b"s; });
  refuses("prefix", [](auto &o) { o.prefix = "\xff"; });
  refuses("username", [](auto &o) { o.username = "a\0b"s; });
  refuses("password", [](auto &o) { o.password = "secret"; });
  const std::string none = "/no/such/file.pem", secure = "https://127.0.0.1:1";
  refuses(none, [&](auto &o) { o.ca_file = none; }, secure);
  refuses(none, [&](auto &o) { o.cert_file = o.key_file = none; }, secure);
  refuses("key_file", [&](auto &o) { o.cert_file = none; }, secure);
}

static void an_absent_etcd_is_named_in_time() {
  auto options = own_prefix();
  options.timeout = 500ms;
  const auto start = std::chrono::steady_clock::now();
  fails(errc::unavailable, "127.0.0.1:1", [&] { locker::client("http://127.0.0.1:1", options); });
  CHECK(std::chrono::steady_clock::now() - start < 2s);
}

int main() {
  return run([] {
    names_values_and_reasons();
    times();
    connecting();
    an_absent_etcd_is_named_in_time();
  });
}
