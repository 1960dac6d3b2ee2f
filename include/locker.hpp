// locker.hpp - named locks shared by every machine of an etcd cluster, for C++17 and later
//
//     locker::client client("http://127.0.0.1:2379");
//     {
//       auto guard = client.lock("db-migrate");      // waits for its turn; the guard's end unlocks
//       migrate(guard.token());
//     }
//     locker::mutex mutex(client, "db-migrate");     // the same lock, for std::lock_guard and its kin
//     std::lock_guard lock(mutex);
//
// Header only, over locker.h; link with -llocker. locker.h says what all languages have in common.
//
// ERRORS     Functions that can fail throw locker::error, whose what() is one line for people. The others are
//            noexcept. Destructors never throw.
// THREADS    Everything may be called by any thread at any time. Moving or destroying an object needs, as ever, that
//            nobody else uses it.
// WAITING    A time limit is any std::chrono duration, rounded up to milliseconds. Zero: do not wait. Left
//            out: for ever where one waits for other holders, the client's timeout where one waits for etcd.
// CALLBACKS  Run on a thread of the library, one at a time for each client. In them a call that would wait
//            throws LOCKER_BAD_CONTEXT. An exception that leaves one ends the program (std::terminate).
//            That none runs or comes any more is known when guard::unlock, watcher::unwatch or
//            client::disconnect has waited and has not thrown. Else, and after a guard went without unlock,
//            one may: what they refer to must outlive them, or belong to them (a std::shared_ptr).

#ifndef LOCKER_HPP
#define LOCKER_HPP

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "locker.h"

namespace locker {

using std::chrono::milliseconds;

/// What went wrong, named for what the caller can do about it: `if (e.code() == locker::errc::unavailable)`.
enum class errc : std::int32_t {
  timeout = LOCKER_TIMEOUT,
  cancelled = LOCKER_CANCELLED,
  lost = LOCKER_LOST,
  unavailable = LOCKER_UNAVAILABLE,
  denied = LOCKER_DENIED,
  invalid = LOCKER_INVALID,
  bad_handle = LOCKER_BAD_HANDLE,
  bad_context = LOCKER_BAD_CONTEXT,
  internal = LOCKER_INTERNAL,
};

} // namespace locker

template <> struct std::is_error_code_enum<locker::errc> : std::true_type {};

namespace locker {

/// The category of locker's codes. Four of them equal a standard condition: timed_out, operation_canceled,
/// permission_denied, invalid_argument.
inline const std::error_category &category() noexcept {
  struct locker_category final : std::error_category {
    const char *name() const noexcept override { return "locker"; }
    std::string message(int code) const override { return locker_code_name(code); }
    std::error_condition default_error_condition(int code) const noexcept override {
      switch (static_cast<errc>(code)) {
      case errc::timeout: return std::errc::timed_out;
      case errc::cancelled: return std::errc::operation_canceled;
      case errc::denied: return std::errc::permission_denied;
      case errc::invalid: return std::errc::invalid_argument;
      default: return {code, *this};
      }
    }
  };
  static const auto &instance = *new locker_category; // never destroyed: a static client may outlive all others
  return instance;
}

inline std::error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), category()}; }

/// What every function here throws.
class error : public std::system_error {
public:
  explicit error(const locker_error &e) : std::system_error(e.code, category()), text_(e.message), detail_(e.detail) {}
  error(errc code, const std::string &message) : std::system_error(make_error_code(code)), text_(message) {}

  /// One line for people; never parse it.
  const char *what() const noexcept override { return text_.what(); }
  /// Of errc::lost one of locker_loss; else the gRPC status when etcd or the transport to it gave one; else 0.
  int detail() const noexcept { return detail_; }

private:
  std::runtime_error text_; // a string that copies without throwing, as what an exception holds must
  int detail_ = 0;
};

/// How a lock is held.
enum class mode : std::int32_t {
  free = LOCKER_FREE,
  exclusive = LOCKER_EXCLUSIVE,
  foreign = LOCKER_FOREIGN, ///< by something that is not locker, such as `etcdctl lock`
};

/// Where a guard stands: waiting, then held and at_risk in turn, then ended.
enum class state : std::int32_t {
  none = LOCKER_NONE, ///< no such guard: default-made, moved from or already unlocked
  waiting = LOCKER_WAITING,
  held = LOCKER_HELD,
  at_risk = LOCKER_AT_RISK, ///< held, but it may soon be lost: finish, or stop
  ended = LOCKER_ENDED,
};

/// Who holds a lock. Texts are empty when not known.
struct info {
  std::string name{};
  std::int64_t token = 0; ///< the holder's fencing token; 0 when nobody holds the lock
  locker::mode mode = locker::mode::free;
  std::string value{};  ///< what the holder published; of a foreign holder, the value of its key
  std::string reason{}; ///< why it is held
  std::string host{};
  std::uint32_t pid = 0; ///< the holder's process on `host`; 0: not known
  std::string program{};
  std::optional<std::chrono::system_clock::time_point> since{}; ///< when it was asked for, by the holder's clock
  std::uint32_t waiters = 0;                                    ///< how many clients wait behind the holder
  /// How long the holder's lease lasts if it is not kept alive from now on. Not told by this release: always nothing.
  std::optional<milliseconds> lease_left{};
  /// The revision of etcd at which it was so; 0: not known. It rises with every write to etcd, of whatever key.
  std::int64_t revision = 0;

  bool held() const noexcept { return token != 0; }
};

/// What may be said when connecting. Zero and empty mean the default.
struct connect_options {
  std::optional<std::string> prefix{};  ///< put before every key; "/locker/". An empty one is no prefix at all
  milliseconds ttl{};                   ///< how long a dead process keeps its locks: 10 seconds; at least 2
  milliseconds timeout{};               ///< the limit of all that waits for etcd: 5 seconds
  std::string username{}, password{};   ///< an etcd user: none
  std::string ca_file{};                ///< PEM file of the authorities to trust: the system's
  std::string cert_file{}, key_file{};  ///< PEM files of the client's certificate and its key: none
};

/// What may be said when locking.
struct lock_options {
  std::optional<std::string> value{}; ///< what others read with client::get; "<host>:<pid>"
  std::string reason{};               ///< why the lock is wanted, shown to those who find it busy
  /// Called with each change of state, in order; the last is state::ended. The error says why the guard ended or is
  /// at risk, and is null when that was asked for. None runs after guard::unlock has returned or the client has gone;
  /// the guard's destructor does not wait for it.
  std::function<void(state, const error *)> on_change{};
};

/// How long to wait, from any duration.
class limit {
public:
  /// For ever where one waits for other holders, the client's timeout where one waits for etcd.
  limit() = default;
  /// Rounded up to milliseconds. What is longer than std::chrono's clocks can count is the same as no limit.
  template <class Rep, class Period> limit(const std::chrono::duration<Rep, Period> &d) : ms_(to_ms(d)) {}
  std::int64_t ms() const noexcept { return ms_; }

private:
  template <class Rep, class Period> static std::int64_t to_ms(const std::chrono::duration<Rep, Period> &d) {
    using namespace std::chrono;
    if (!(d >= d.zero())) throw error(errc::invalid, "timeout is negative");
    if (d == d.zero()) return LOCKER_NO_WAIT;
    if (duration<double>(d) >= duration<double>(hours(24 * 365 * 100))) return 0; // as good as for ever
    return ceil<milliseconds>(d).count();
  }
  std::int64_t ms_ = 0;
};

namespace detail {

/// `text` as C takes it. A NUL would cut it short there.
inline const char *c(const std::string &text, const char *argument) {
  if (text.find('\0') != std::string::npos) throw error(errc::invalid, std::string(argument) + " contains a NUL");
  return text.c_str();
}
inline const char *c_or_null(const std::string &text, const char *argument) {
  return text.empty() ? nullptr : c(text, argument);
}
inline const char *c_or_null(const std::optional<std::string> &text, const char *argument) {
  return text ? c(*text, argument) : nullptr;
}

/// Makes a call that waits, given where its error goes: false if the wait ended first.
template <class Call> bool in_time(Call call) {
  locker_error e;
  const std::int32_t code = call(&e);
  if (code != LOCKER_OK && code != LOCKER_TIMEOUT) throw error(e);
  return code == LOCKER_OK;
}
/// The same where that is a failure too.
template <class Call> void check(Call call) {
  locker_error e;
  if (call(&e) != LOCKER_OK) throw error(e);
}

inline info to_info(const locker_info &c) {
  info i;
  i.name = c.name;
  i.token = c.token;
  i.mode = c.mode == LOCKER_FREE || c.mode == LOCKER_FOREIGN ? static_cast<mode>(c.mode) : mode::exclusive;
  i.value = c.value;
  i.reason = c.reason;
  i.host = c.host;
  i.pid = c.pid;
  i.program = c.program;
  if (c.since_ms != 0) i.since = std::chrono::system_clock::time_point(milliseconds(c.since_ms));
  i.waiters = c.waiters;
  if (c.lease_left_ms >= 0) i.lease_left = milliseconds(c.lease_left_ms);
  i.revision = c.revision;
  return i;
}

inline state to_state(std::int32_t s) noexcept {
  return s >= LOCKER_NONE && s <= LOCKER_ENDED ? static_cast<state>(s) : state::at_risk;
}

/// Owns one handle and ends it, waiting for `LimitMs`, when it goes. The number stays after an early end: it is
/// never used again, so that all one can meet with it is LOCKER_BAD_HANDLE, and threads need not agree on who ends it.
template <class Handle, auto End, std::int64_t LimitMs> class owned {
public:
  owned() = default;
  explicit owned(Handle handle) noexcept : handle_(handle) {}
  owned(owned &&other) noexcept : handle_(std::exchange(other.handle_, Handle{0})) {}
  owned &operator=(owned &&other) noexcept {
    const owned old(std::exchange(handle_, std::exchange(other.handle_, Handle{0})));
    return *this;
  }
  ~owned() {
    if (handle_.id != 0 && End(handle_, LimitMs, nullptr) == LOCKER_BAD_CONTEXT)
      End(handle_, LOCKER_NO_WAIT, nullptr); // in a callback nothing may wait
  }
  Handle get() const noexcept { return handle_; }
  void end(limit timeout) const {
    check([&](locker_error *e) { return End(handle_, timeout.ms(), e); });
  }

private:
  Handle handle_{0};
};

} // namespace detail

/// One acquisition of one lock. It unlocks when it goes, without waiting for etcd to confirm.
class guard {
public:
  /// No lock at all: what a moved-from guard is.
  guard() = default;

  /// The fencing token while held, else 0. Each holder of a name gets a greater one: have what the lock protects
  /// refuse a token lower than one it has seen.
  std::int64_t token() const noexcept { return locker_guard_token(handle_.get()); }
  locker::state state() const noexcept { return detail::to_state(locker_guard_state(handle_.get())); }
  /// Whether the lock is held now, as far as this process can know.
  bool held() const noexcept { return state() == locker::state::held || state() == locker::state::at_risk; }
  explicit operator bool() const noexcept { return held(); }
  /// For how long the lock stays held if etcd stops answering now; zero when it is not held.
  milliseconds remaining() const noexcept { return milliseconds(locker_guard_remaining_ms(handle_.get())); }

  /// What client::get would say of this guard, from memory. Throws errc::bad_handle once it is unlocked.
  locker::info info() const {
    locker_info i;
    detail::check([&](locker_error *e) { return locker_guard_info(handle_.get(), &i, e); });
    return detail::to_info(i);
  }

  /// Unlocks and waits until etcd has confirmed it. Throws errc::lost if the lock was lost before, errc::bad_handle
  /// if it was unlocked before. Whatever it throws, the guard no longer holds the lock.
  void unlock(limit timeout = {}) const { handle_.end(timeout); }

private:
  friend class client;
  explicit guard(locker_guard handle) noexcept : handle_(handle) {}
  detail::owned<locker_guard, locker_unlock, LOCKER_NO_WAIT> handle_;
};

/// A subscription to who holds one lock: first the present holder, then each change. When it goes it waits for its
/// running callback, at most for the client's timeout; after that none begins.
class watcher {
public:
  /// The next state, or nothing if there is none within `timeout`. For a watcher without callbacks.
  std::optional<info> next(limit timeout = {}) const {
    locker_info i;
    if (!detail::in_time([&](locker_error *e) { return locker_watch_next(handle_.get(), timeout.ms(), &i, e); }))
      return std::nullopt;
    return detail::to_info(i);
  }

  /// What the destructor does, with a limit of one's own, and told if it fails.
  void unwatch(limit timeout = {}) const { handle_.end(timeout); }

private:
  friend class client;
  explicit watcher(locker_watcher handle) noexcept : handle_(handle) {}
  detail::owned<locker_watcher, locker_unwatch, 0> handle_;
};

/// A connection to an etcd cluster. When it goes it disconnects and waits until etcd has confirmed it, at most for
/// its timeout: the process may be about to end, and what was not sent by then never is.
class client {
public:
  /// Connects. `endpoints` is a comma-separated list of URLs, each with a port.
  explicit client(const std::string &endpoints, const connect_options &options = {})
      : handle_(connect(endpoints, options)) {}

  /// Acquires the lock `name`, first come first served, however long that takes. Two guards for one name exclude
  /// each other, also within one client and one thread.
  [[nodiscard]] guard lock(const std::string &name, const lock_options &options = {}) const {
    return *acquire(name, {}, options);
  }
  /// Nothing if somebody holds it.
  [[nodiscard]] std::optional<guard> try_lock(const std::string &name, const lock_options &options = {}) const {
    return acquire(name, milliseconds(0), options);
  }
  /// Nothing if somebody holds it for all of `timeout`.
  [[nodiscard]] std::optional<guard> try_lock_for(const std::string &name, limit timeout,
                                                  const lock_options &options = {}) const {
    return acquire(name, timeout, options);
  }

  /// Reads who holds the lock `name`. A free lock is an info with token 0.
  info get(const std::string &name) const {
    locker_info i;
    const char *const c_name = detail::c(name, "name");
    detail::check([&](locker_error *e) { return locker_get(handle_.get(), c_name, 0, &i, e); });
    return detail::to_info(i);
  }

  /// The same from memory, without waiting, where this client watches the lock or waits for it; else it asks etcd.
  /// What it tells was so at its revision, and is never more than 10 seconds old: see locker_get_cached.
  info get_cached(const std::string &name) const {
    locker_info i;
    const char *const c_name = detail::c(name, "name");
    detail::check([&](locker_error *e) { return locker_get_cached(handle_.get(), c_name, 0, &i, e); });
    return detail::to_info(i);
  }

  /// Subscribes to the lock `name`, to be read with watcher::next.
  [[nodiscard]] watcher watch(const std::string &name) const {
    locker_watch_options o{};
    o.struct_size = sizeof o;
    return subscribe(detail::c(name, "name"), o);
  }
  /// Subscribes to the lock `name`. An error is the last call.
  [[nodiscard]] watcher watch(const std::string &name, std::function<void(const info &)> on_info,
                              std::function<void(const error &)> on_error = {}) const {
    if (!on_info) throw error(errc::invalid, "on_info is empty");
    struct callbacks {
      std::function<void(const info &)> on_info;
      std::function<void(const error &)> on_error;
    };
    const char *const c_name = detail::c(name, "name");
    locker_watch_options o{};
    o.struct_size = sizeof o;
    o.on_event = [](void *data, const locker_info *i, const locker_error *e) noexcept {
      const auto &to = *static_cast<const callbacks *>(data);
      if (i != nullptr) to.on_info(detail::to_info(*i));
      else if (to.on_error) to.on_error(error(*e));
    };
    o.free_user_data = [](void *data) noexcept { delete static_cast<callbacks *>(data); };
    o.user_data = new callbacks{std::move(on_info), std::move(on_error)}; // the library's from here on
    return subscribe(c_name, o);
  }

  /// Ends all guards and watchers of this client and waits until etcd has confirmed it. Whatever it throws, the
  /// client is disconnected; then its locks end with their lease.
  void disconnect(limit timeout = {}) const { handle_.end(timeout); }

private:
  static locker_client connect(const std::string &endpoints, const connect_options &options) {
    if (locker_abi() != LOCKER_ABI)
      throw error(errc::invalid, "liblocker has ABI " + std::to_string(locker_abi()) +
                                     " but this program was built for ABI " + std::to_string(LOCKER_ABI));
    const char *const c_endpoints = detail::c(endpoints, "endpoints");
    locker_connect_options o{};
    o.struct_size = sizeof o;
    o.prefix = detail::c_or_null(options.prefix, "prefix");
    o.ttl_ms = options.ttl.count();
    o.timeout_ms = options.timeout.count();
    o.username = detail::c_or_null(options.username, "username");
    o.password = detail::c_or_null(options.password, "password");
    o.ca_file = detail::c_or_null(options.ca_file, "ca_file");
    o.cert_file = detail::c_or_null(options.cert_file, "cert_file");
    o.key_file = detail::c_or_null(options.key_file, "key_file");
    locker_client handle;
    detail::check([&](locker_error *e) { return locker_connect(c_endpoints, &o, &handle, e); });
    return handle;
  }

  std::optional<guard> acquire(const std::string &name, limit timeout, const lock_options &options) const {
    const char *const c_name = detail::c(name, "name");
    locker_lock_options o{};
    o.struct_size = sizeof o;
    o.value = detail::c_or_null(options.value, "value");
    o.reason = detail::c_or_null(options.reason, "reason");
    o.timeout_ms = timeout.ms();
    if (options.on_change) tell(options.on_change, o);
    locker_guard handle;
    if (!detail::in_time([&](locker_error *e) { return locker_lock(handle_.get(), c_name, &o, &handle, e); }))
      return std::nullopt;
    return guard(handle);
  }

  /// Has `o` call `f` at each change of state. Its copy of `f` is the library's from here on.
  static void tell(const decltype(lock_options::on_change) &f, locker_lock_options &o) {
    using function = decltype(lock_options::on_change);
    o.on_change = [](void *data, locker_guard, locker_state s, const locker_error *e) noexcept {
      const auto &call = *static_cast<const function *>(data);
      if (e == nullptr) return call(detail::to_state(s), nullptr);
      const error why(*e);
      call(detail::to_state(s), &why);
    };
    o.free_user_data = [](void *data) noexcept { delete static_cast<function *>(data); };
    o.user_data = new function(f);
  }

  watcher subscribe(const char *name, const locker_watch_options &o) const {
    locker_watcher handle;
    detail::check([&](locker_error *e) { return locker_watch(handle_.get(), name, &o, &handle, e); });
    return watcher(handle);
  }

  detail::owned<locker_client, locker_disconnect, 0> handle_;
};

/// A named lock as a TimedLockable, for std::lock_guard, std::unique_lock and std::scoped_lock. Threads may share
/// one; each has its own guard in it, so that one whose lock was lost cannot unlock another's. The client must
/// outlive it. As with std::mutex, a thread that locks it twice waits for itself.
class mutex {
public:
  explicit mutex(const client &client, std::string name, lock_options options = {})
      : client_(client), name_(std::move(name)), options_(std::move(options)) {}
  explicit mutex(client &&, std::string, lock_options = {}) = delete; // it would outlive its client
  mutex(const mutex &) = delete;
  mutex &operator=(const mutex &) = delete;

  void lock() { keep(client_.lock(name_, options_)); }
  bool try_lock() { return keep(client_.try_lock(name_, options_)); }
  template <class Rep, class Period> bool try_lock_for(const std::chrono::duration<Rep, Period> &timeout) {
    if (!(timeout > timeout.zero())) return try_lock();
    return keep(client_.try_lock_for(name_, timeout, options_));
  }
  template <class Clock, class Duration> bool try_lock_until(const std::chrono::time_point<Clock, Duration> &time) {
    const auto now = Clock::now();
    return time > now ? try_lock_for(time - now) : try_lock();
  }
  /// Unlocks without waiting for etcd to confirm. It cannot tell that the lock was lost meanwhile: ask guard()
  /// before, or use client::lock.
  void unlock() noexcept {
    const std::lock_guard<std::mutex> lock(own_);
    guards_.erase(std::this_thread::get_id());
  }

  /// The guard of the calling thread, until it unlocks: its token, and whether it is still held.
  const locker::guard &guard() const {
    static const locker::guard none;
    const std::lock_guard<std::mutex> lock(own_);
    const auto found = guards_.find(std::this_thread::get_id());
    return found == guards_.end() ? none : found->second;
  }

private:
  bool keep(std::optional<locker::guard> acquired) {
    if (!acquired) return false;
    const std::lock_guard<std::mutex> lock(own_);
    guards_[std::this_thread::get_id()] = std::move(*acquired);
    return true;
  }

  const client &client_;
  const std::string name_;
  const lock_options options_;
  mutable std::mutex own_;
  std::unordered_map<std::thread::id, locker::guard> guards_;
};

} // namespace locker

#endif // LOCKER_HPP
