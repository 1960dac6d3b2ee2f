// locker.hpp - named locks shared by every machine of an etcd cluster, for C++17 and later
//
//     locker::client client("http://127.0.0.1:2379");
//     {
//       auto guard = client.lock("db-migrate");      // waits for its turn; the guard's end unlocks
//       migrate(guard.token());
//     }
//     locker::mutex mutex(client, "db-migrate");     // the same lock, for std::lock_guard and its kin
//     std::lock_guard lock(mutex);                   // or std::shared_lock, to hold it together with other readers
//     auto both = client.lock_all({"account/4711", "account/815"}); // both or none, whatever others do
//
// Header only, over locker.h; link with -llocker. locker.h says what all languages have in common.
//
// ERRORS     Functions that can fail throw locker::error, whose what() is one line for people. Each has an overload
//            that is noexcept and has one more argument, the last: a std::error_code&, or a locker_error&, which has
//            the message, too. It is set where the other overload throws, else cleared; what is returned then is
//            empty: a guard that holds nothing, an info with token 0. Destructors never throw.
//            Without exceptions (-fno-exceptions) only these overloads are there: to call another does not compile.
//            If memory runs out, std::bad_alloc leaves the functions that throw and ends the program (std::terminate)
//            in those that are noexcept.
// THREADS    Everything may be called by any thread at any time. Moving or destroying an object needs, as ever, that
//            nobody else uses it.
// WAITING    A time limit is any std::chrono duration, rounded up to milliseconds. Zero: do not wait. Left
//            out: for ever where one waits for other holders, the client's timeout where one waits for etcd. With
//            C++20 a std::stop_token ends the wait for a lock.
// CALLBACKS  Run on a thread of the library, one at a time for each client. In them a call that would wait
//            throws LOCKER_BAD_CONTEXT. An exception that leaves one ends the program (std::terminate).
//            That none runs or comes any more is known when guard::unlock, watcher::unwatch or
//            client::disconnect has waited and has not thrown. Else, and after a guard went without unlock,
//            one may: what they refer to must outlive them, or belong to them (a std::shared_ptr).
// EVENT LOOP With connect_options::dispatch they run in client::dispatch, on the thread that calls it, when client::fd
//            is readable. Then none comes after what ended its guard, watcher or client has returned, also a destructor.

#ifndef LOCKER_HPP
#define LOCKER_HPP

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
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
#include <vector>
#if __has_include(<version>)
#include <version>
#endif
#ifdef __cpp_lib_jthread
#include <concepts>
#include <stop_token>
#endif

#include "locker.h"

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define LOCKER_HPP_THROWS 1
#else
#define LOCKER_HPP_THROWS 0
#endif

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
/// permission_denied, invalid_argument. As any category in a header it is one for all that is linked together, but a
/// plugin that was loaded with dlopen and RTLD_LOCAL may have one of its own, whose codes never equal the program's:
/// hand a locker_error or a number over such a border.
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
      case errc::lost:
      case errc::unavailable:
      case errc::bad_handle:
      case errc::bad_context:
      case errc::internal:
      default: return {code, *this};
      }
    }
  };
  static const auto &instance = *new locker_category; // never destroyed: a static client may outlive all others
  return instance;
}

inline std::error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), category()}; }

/// What every function here throws, and what callbacks are told.
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

/// Where the overloads that do not throw put their error. It is made from what the caller gives them.
class error_to {
public:
  error_to(std::error_code &to) noexcept : code_(&to) { clear(); }
  error_to(locker_error &to) noexcept : error_(&to) { clear(); }
  error_to(const error_to &) = delete;
  error_to &operator=(const error_to &) = delete;

  void clear() const noexcept {
    error_->code = LOCKER_OK;
    error_->detail = 0;
    error_->message[0] = '\0';
    if (code_ != nullptr) code_->clear();
  }
  bool failed() const noexcept { return error_->code != LOCKER_OK; }
  /// An error of this header's own: `subject` says what is wrong, `what` in which way.
  void fail(errc code, const char *subject, const char *what) const noexcept {
    std::snprintf(error_->message, sizeof error_->message, "%s%s", subject, what);
    error_->detail = 0;
    set(static_cast<std::int32_t>(code));
  }
  /// Where a call of C puts its error.
  locker_error *c() const noexcept { return error_; }
  /// Takes over what that call gave: whether it worked.
  bool ok(std::int32_t code) const noexcept {
    if (code != LOCKER_OK) set(code);
    return code == LOCKER_OK;
  }
  /// The same of a call that waits: false without an error if the wait ended first.
  bool in_time(std::int32_t code) const noexcept {
    if (code != LOCKER_TIMEOUT) return ok(code);
    clear();
    return false;
  }

private:
  void set(std::int32_t code) const noexcept {
    error_->code = code;
    if (code_ != nullptr) code_->assign(code, category());
  }
  std::error_code *code_ = nullptr;
  mutable locker_error own_; // not initialised: it is half a kilobyte
  locker_error *error_ = &own_;
};

/// How a lock is held.
enum class mode : std::int32_t {
  free = LOCKER_FREE,
  exclusive = LOCKER_EXCLUSIVE,
  shared = LOCKER_SHARED,   ///< by several at the same time: see lock_options::shared and lock_options::limit
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
  std::uint32_t waiters = 0; ///< how many clients wait behind those who hold it
  /// How long the holder's lease lasts if it is not kept alive from now on. Not told by this release: always nothing.
  std::optional<milliseconds> lease_left{};
  /// The revision of etcd at which it was so; 0: not known. It rises with every write to etcd, of whatever key.
  std::int64_t revision = 0;
  /// How many hold it: more than one only if it is shared. All else here is of the one who has held it for the longest
  /// time; in what guard::info says of a guard that holds it is of this guard, and 1.
  std::uint32_t holders = 0;
  std::uint32_t limit = 0; ///< how many may hold it at the same time, if it is shared with a limit; else 0

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
  bool dispatch = false;                ///< callbacks run in client::dispatch, not on a thread of the library
};

/// What is told of each change of a guard's state, and why.
using change_function = std::function<void(state, const error *)>;

/// What may be said when locking.
struct lock_options {
  std::optional<std::string> value{}; ///< what others read with client::get; "<host>:<pid>"
  std::string reason{};               ///< why the lock is wanted, shown to those who find it busy
  /// Called with each change of state, in order; the last is state::ended. The error says why the guard ended or is
  /// at risk, and is null when that was asked for. None runs after guard::unlock has returned or the client has gone;
  /// the guard's destructor does not wait for it.
  change_function on_change{};
  /// To hold it together with others, at most so many at the same time: a counting semaphore. All that want a lock at the
  /// same time must say the same limit, or the later one fails with errc::invalid and both numbers. Zero: no limit.
  std::uint32_t limit = 0;
  /// To hold it together with all others who ask for it so: the read side of a read-write lock. Who wants it alone waits
  /// until none of them is left, and those who come later wait behind him. Not with client::lock_all, nor is `limit`.
  bool shared = false;
};

/// How long to wait, from any duration.
class limit {
public:
  /// For ever where one waits for other holders, the client's timeout where one waits for etcd.
  limit() = default;
  /// Rounded up to milliseconds. What is longer than std::chrono's clocks can count is the same as no limit. A negative
  /// one is refused by what it is given to, with errc::invalid.
  template <class Rep, class Period> limit(const std::chrono::duration<Rep, Period> &d) noexcept : ms_(to_ms(d)) {}
  std::int64_t ms() const noexcept { return ms_; }

private:
  template <class Rep, class Period> static std::int64_t to_ms(const std::chrono::duration<Rep, Period> &d) noexcept {
    using namespace std::chrono;
    if (!(d >= d.zero())) return LOCKER_NO_WAIT - 1; // not a number is none, too
    if (d == d.zero()) return LOCKER_NO_WAIT;
    if (duration<double>(d) >= duration<double>(hours(24 * 365 * 100))) return 0; // as good as for ever
    return ceil<milliseconds>(d).count();
  }
  std::int64_t ms_ = 0;
};

namespace detail {

/// Texts as C takes them. A NUL would cut one short there: then this has failed.
class texts {
public:
  explicit texts(const error_to &e) noexcept : e_(e) {}
  const char *operator()(const std::string &text, const char *argument) const noexcept {
    if (text.find('\0') != std::string::npos && !e_.failed()) e_.fail(errc::invalid, argument, " contains a NUL");
    return text.c_str();
  }
  const char *or_null(const std::string &text, const char *argument) const noexcept {
    return text.empty() ? nullptr : (*this)(text, argument);
  }
  const char *or_null(const std::optional<std::string> &text, const char *argument) const noexcept {
    return text ? (*this)(*text, argument) : nullptr;
  }
  /// What names there are to be locked: one, or several at once.
  const char *names(const std::string &name) const noexcept { return (*this)(name, "name"); }
  std::vector<const char *> names(const std::vector<std::string> &names) const {
    std::vector<const char *> all;
    if (names.empty() && !e_.failed()) e_.fail(errc::invalid, "names", " is empty");
    for (const auto &name : names) {
      char argument[32];
      std::snprintf(argument, sizeof argument, "names[%zu]", all.size());
      all.push_back((*this)(name, argument));
    }
    return all;
  }

private:
  const error_to &e_;
};

#if LOCKER_HPP_THROWS
/// Makes a call that is given where its error goes, and throws that.
template <class Call> auto or_throw(Call call) {
  locker_error e;
  if constexpr (std::is_void_v<decltype(call(error_to(e)))>) {
    call(error_to(e));
    if (e.code != LOCKER_OK) throw error(e);
  } else {
    auto result = call(error_to(e));
    if (e.code != LOCKER_OK) throw error(e);
    return result;
  }
}
#endif

template <class T> void free_data(void *data) noexcept { delete static_cast<T *>(data); }

inline mode to_mode(std::int32_t m) noexcept {
  return m == LOCKER_FREE || m == LOCKER_SHARED || m == LOCKER_FOREIGN ? static_cast<mode>(m) : mode::exclusive;
}

/// Another program wrote the time: it need not be one that this clock can count.
inline std::chrono::system_clock::time_point to_time(std::int64_t since_ms) noexcept {
  using clock = std::chrono::system_clock;
  constexpr auto latest = std::chrono::duration_cast<milliseconds>(clock::duration::max());
  return since_ms > latest.count() ? clock::time_point::max() : clock::time_point(milliseconds(since_ms));
}

inline info to_info(const locker_info &c) {
  info i;
  i.name = c.name;
  i.token = c.token;
  i.mode = to_mode(c.mode);
  i.value = c.value;
  i.reason = c.reason;
  i.host = c.host;
  i.pid = c.pid;
  i.program = c.program;
  if (c.since_ms != 0) i.since = to_time(c.since_ms);
  i.holders = c.holders;
  i.limit = c.limit;
  i.waiters = c.waiters;
  if (c.lease_left_ms >= 0) i.lease_left = milliseconds(c.lease_left_ms);
  i.revision = c.revision;
  return i;
}

inline state to_state(std::int32_t s) noexcept {
  return s >= LOCKER_NONE && s <= LOCKER_ENDED ? static_cast<state>(s) : state::at_risk;
}

/// Calls a change_function for C.
inline void call_change(void *data, locker_guard, locker_state s, const locker_error *e) noexcept {
  const auto &call = *static_cast<const change_function *>(data);
  if (e == nullptr) return call(to_state(s), nullptr);
  const error why(*e);
  call(to_state(s), &why);
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
  void end(limit timeout, const error_to &e) const noexcept { e.ok(End(handle_, timeout.ms(), e.c())); }

private:
  Handle handle_{0};
};

} // namespace detail

/// One acquisition of one lock, or of several at once. It unlocks when it goes, without waiting for etcd to confirm: for a
/// moment the lock may still be found busy, also by this thread. unlock() waits.
class guard {
public:
  /// No lock at all: what a moved-from guard is.
  guard() = default;

  /// The fencing token while held, else 0. Each holder of a name gets a greater one: have what the lock protects
  /// refuse a token lower than one it has seen.
  std::int64_t token() const noexcept { return locker_guard_token(handle_.get()); }
  locker::state state() const noexcept { return detail::to_state(locker_guard_state(handle_.get())); }
  /// Whether the lock is held now, as far as this process can know.
  bool held() const noexcept {
    const auto now = state(); // once: it may be at risk at one moment and held at the next
    return now == locker::state::held || now == locker::state::at_risk;
  }
  explicit operator bool() const noexcept { return held(); }
  /// The names of its locks, in the order of client::lock_all; none once it is unlocked.
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    char name[LOCKER_NAME_MAX + 1];
    while (locker_guard_name(handle_.get(), all.size(), name, sizeof name) != 0) all.emplace_back(name);
    return all;
  }
  /// For how long the lock stays held if etcd stops answering now; zero when it is not held.
  milliseconds remaining() const noexcept { return milliseconds(locker_guard_remaining_ms(handle_.get())); }

#if LOCKER_HPP_THROWS
  /// What client::get would say of this guard, from memory; of several locks it is about the first, and of one that
  /// waits about who is in the way. Throws errc::bad_handle once it is unlocked.
  locker::info info() const {
    return detail::or_throw([&](const error_to &e) { return read(e); });
  }

  /// Waits until a guard of client::lock_start is held: false if `timeout` ended first, which leaves it in the queue,
  /// or the one that client::lock_start was given: then its state is ended.
  bool wait(limit timeout = {}) const {
    return detail::or_throw([&](const error_to &e) { return wait(timeout, e); });
  }

  /// Has `on_change` called as if it had been given with the lock_options: also for what has changed since.
  void on_change(change_function on_change) const {
    detail::or_throw([&](const error_to &e) { tell(std::move(on_change), e); });
  }

  /// Unlocks and waits until etcd has confirmed it. Throws errc::lost if the lock was lost before, errc::bad_handle
  /// if it was unlocked before. Whatever it throws, the guard no longer holds the lock.
  void unlock(limit timeout = {}) const {
    detail::or_throw([&](const error_to &e) { unlock(timeout, e); });
  }
#endif

  locker::info info(const error_to &e) const noexcept { return read(e); }
  bool wait(limit timeout, const error_to &e) const noexcept {
    return e.in_time(locker_wait(handle_.get(), timeout.ms(), e.c()));
  }
  bool wait(const error_to &e) const noexcept { return wait(limit(), e); }
  void on_change(change_function on_change, const error_to &e) const noexcept { tell(std::move(on_change), e); }
  void unlock(limit timeout, const error_to &e) const noexcept { handle_.end(timeout, e); }
  void unlock(const error_to &e) const noexcept { unlock(limit(), e); }

private:
  friend class client;
  explicit guard(locker_guard handle) noexcept : handle_(handle) {}

  locker::info read(const error_to &e) const {
    locker_info i;
    return e.ok(locker_guard_info(handle_.get(), &i, e.c())) ? detail::to_info(i) : locker::info();
  }
  void tell(change_function f, const error_to &e) const {
    if (!f) return e.fail(errc::invalid, "on_change", " is empty");
    auto *const data = new change_function(std::move(f)); // the library's from here on
    e.ok(locker_on_change(handle_.get(), detail::call_change, data, detail::free_data<change_function>, e.c()));
  }

  detail::owned<locker_guard, locker_unlock, LOCKER_NO_WAIT> handle_;
};

/// A subscription to who holds one lock: first the present holder, then each change. When it goes it waits for its
/// running callback, at most for the client's timeout; after that none begins.
class watcher {
public:
  /// No subscription at all: what a moved-from watcher is.
  watcher() = default;

#if LOCKER_HPP_THROWS
  /// The next state, or nothing if there is none within `timeout`. For a watcher without callbacks.
  std::optional<info> next(limit timeout = {}) const {
    return detail::or_throw([&](const error_to &e) { return read(timeout, e); });
  }

  /// What the destructor does, with a limit of one's own, and told if it fails.
  void unwatch(limit timeout = {}) const {
    detail::or_throw([&](const error_to &e) { unwatch(timeout, e); });
  }
#endif

  std::optional<info> next(limit timeout, const error_to &e) const noexcept { return read(timeout, e); }
  std::optional<info> next(const error_to &e) const noexcept { return read(limit(), e); }
  void unwatch(limit timeout, const error_to &e) const noexcept { handle_.end(timeout, e); }
  void unwatch(const error_to &e) const noexcept { unwatch(limit(), e); }

private:
  friend class client;
  explicit watcher(locker_watcher handle) noexcept : handle_(handle) {}

  std::optional<info> read(limit timeout, const error_to &e) const {
    locker_info i;
    if (!e.in_time(locker_watch_next(handle_.get(), timeout.ms(), &i, e.c()))) return std::nullopt;
    return detail::to_info(i);
  }

  detail::owned<locker_watcher, locker_unwatch, 0> handle_;
};

/// A connection to an etcd cluster. When it goes it disconnects and waits until etcd has confirmed it, at most for
/// its timeout: the process may be about to end, and what was not sent by then never is.
class client {
public:
  using info_function = std::function<void(const info &)>;
  using error_function = std::function<void(const error &)>;

  /// No connection at all: what a moved-from client is.
  client() = default;

#if LOCKER_HPP_THROWS
  /// Connects. `endpoints` is a comma-separated list of URLs, each with a port.
  explicit client(const std::string &endpoints, const connect_options &options = {})
      : handle_(detail::or_throw([&](const error_to &e) { return connect(endpoints, options, e); })) {}

  /// Acquires the lock `name`, first come first served, however long that takes. Two guards for one name exclude
  /// each other, also within one client and one thread, unless both share it.
  [[nodiscard]] guard lock(const std::string &name, const lock_options &options = {}) const {
    return detail::or_throw([&](const error_to &e) { return acquire(name, limit(), options, e); });
  }
  /// Nothing if somebody holds it.
  [[nodiscard]] std::optional<guard> try_lock(const std::string &name, const lock_options &options = {}) const {
    return try_lock_for(name, milliseconds(0), options);
  }
  /// Nothing if somebody holds it for all of `timeout`.
  [[nodiscard]] std::optional<guard> try_lock_for(const std::string &name, limit timeout,
                                                  const lock_options &options = {}) const {
    return detail::or_throw([&](const error_to &e) { return acquire_in_time(name, timeout, options, e); });
  }
#ifdef __cpp_lib_jthread
  /// Nothing if a stop was requested before it came; then it leaves the queue, behind the call.
  [[nodiscard]] std::optional<guard> lock(const std::string &name, const std::same_as<std::stop_token> auto &stop,
                                          const lock_options &options = {}) const {
    return detail::or_throw([&](const error_to &e) { return acquire_unless(stop, name, options, e); });
  }
#endif
  /// A guard that waits for its turn behind the call: for lock_options::on_change, guard::wait, guard::unlock. If
  /// `timeout` ends first it ends with errc::timeout.
  [[nodiscard]] guard lock_start(const std::string &name, const lock_options &options = {}, limit timeout = {}) const {
    return detail::or_throw([&](const error_to &e) { return start(name, timeout, options, e); });
  }

  /// Acquires all these locks or none, in one request and with one token, however long that takes: at most
  /// LOCKER_NAMES_MAX, none of them twice. The guard is held once it is the first in all their queues, and ends as a
  /// whole, also when only one of the locks is lost. Two such requests never wait for each other, in whatever order
  /// they have their names; but who holds one guard and asks for another may wait for ever, as with any lock.
  [[nodiscard]] guard lock_all(const std::vector<std::string> &names, const lock_options &options = {}) const {
    return detail::or_throw([&](const error_to &e) { return acquire(names, limit(), options, e); });
  }
  /// Nothing if somebody holds one of them.
  [[nodiscard]] std::optional<guard> try_lock_all(const std::vector<std::string> &names,
                                                  const lock_options &options = {}) const {
    return try_lock_all_for(names, milliseconds(0), options);
  }
  /// Nothing if they do not come to be free within `timeout`.
  [[nodiscard]] std::optional<guard> try_lock_all_for(const std::vector<std::string> &names, limit timeout,
                                                      const lock_options &options = {}) const {
    return detail::or_throw([&](const error_to &e) { return acquire_in_time(names, timeout, options, e); });
  }
#ifdef __cpp_lib_jthread
  /// Nothing if a stop was requested before they came; then it leaves their queues, behind the call.
  [[nodiscard]] std::optional<guard> lock_all(const std::vector<std::string> &names,
                                              const std::same_as<std::stop_token> auto &stop,
                                              const lock_options &options = {}) const {
    return detail::or_throw([&](const error_to &e) { return acquire_unless(stop, names, options, e); });
  }
#endif
  /// As lock_start, of several names.
  [[nodiscard]] guard lock_all_start(const std::vector<std::string> &names, const lock_options &options = {},
                                     limit timeout = {}) const {
    return detail::or_throw([&](const error_to &e) { return start(names, timeout, options, e); });
  }

  /// Reads who holds the lock `name`. A free lock is an info with token 0.
  info get(const std::string &name) const {
    return detail::or_throw([&](const error_to &e) { return read<locker_get>(name, e); });
  }

  /// The same from memory, without waiting, where this client watches the lock or waits for it; else it asks etcd.
  /// What it tells was so at its revision, and is never more than 10 seconds old: see locker_get_cached.
  info get_cached(const std::string &name) const {
    return detail::or_throw([&](const error_to &e) { return read<locker_get_cached>(name, e); });
  }

  /// Subscribes to the lock `name`, to be read with watcher::next.
  [[nodiscard]] watcher watch(const std::string &name) const {
    return detail::or_throw([&](const error_to &e) { return watch(name, e); });
  }
  /// Subscribes to the lock `name`. An error is the last call.
  [[nodiscard]] watcher watch(const std::string &name, info_function on_info, error_function on_error = {}) const {
    return detail::or_throw(
        [&](const error_to &e) { return subscribe(name, std::move(on_info), std::move(on_error), e); });
  }

  /// What to poll for reading, with connect_options::dispatch: see locker_client_fd. It is closed by disconnect.
  int fd() const {
    return detail::or_throw([&](const error_to &e) { return fd(e); });
  }
  /// Runs the callbacks that are due, at most `max` unless that is 0, on this thread, and says how many that were. It
  /// does not wait for any. For connect_options::dispatch: see locker_dispatch.
  std::size_t dispatch(std::size_t max = 0) const {
    return detail::or_throw([&](const error_to &e) { return dispatch(max, e); });
  }

  /// Ends all guards and watchers of this client and waits until etcd has confirmed it. Whatever it throws, the
  /// client is disconnected; then its locks end with their lease.
  void disconnect(limit timeout = {}) const {
    detail::or_throw([&](const error_to &e) { disconnect(timeout, e); });
  }
#endif

  client(const std::string &endpoints, const connect_options &options, const error_to &e) noexcept
      : handle_(connect(endpoints, options, e)) {}
  client(const std::string &endpoints, const error_to &e) noexcept : client(endpoints, connect_options(), e) {}

  [[nodiscard]] guard lock(const std::string &name, const lock_options &options, const error_to &e) const noexcept {
    return acquire(name, limit(), options, e);
  }
  [[nodiscard]] guard lock(const std::string &name, const error_to &e) const noexcept { return lock(name, {}, e); }
  [[nodiscard]] std::optional<guard> try_lock(const std::string &name, const lock_options &options,
                                              const error_to &e) const noexcept {
    return acquire_in_time(name, milliseconds(0), options, e);
  }
  [[nodiscard]] std::optional<guard> try_lock(const std::string &name, const error_to &e) const noexcept {
    return try_lock(name, {}, e);
  }
  [[nodiscard]] std::optional<guard> try_lock_for(const std::string &name, limit timeout, const lock_options &options,
                                                  const error_to &e) const noexcept {
    return acquire_in_time(name, timeout, options, e);
  }
  [[nodiscard]] std::optional<guard> try_lock_for(const std::string &name, limit timeout,
                                                  const error_to &e) const noexcept {
    return try_lock_for(name, timeout, {}, e);
  }
#ifdef __cpp_lib_jthread
  [[nodiscard]] std::optional<guard> lock(const std::string &name, const std::same_as<std::stop_token> auto &stop,
                                          const lock_options &options, const error_to &e) const noexcept {
    return acquire_unless(stop, name, options, e);
  }
  [[nodiscard]] std::optional<guard> lock(const std::string &name, const std::same_as<std::stop_token> auto &stop,
                                          const error_to &e) const noexcept {
    return acquire_unless(stop, name, {}, e);
  }
#endif
  [[nodiscard]] guard lock_start(const std::string &name, const lock_options &options, limit timeout,
                                 const error_to &e) const noexcept {
    return start(name, timeout, options, e);
  }
  [[nodiscard]] guard lock_start(const std::string &name, const lock_options &options,
                                 const error_to &e) const noexcept {
    return start(name, limit(), options, e);
  }
  [[nodiscard]] guard lock_start(const std::string &name, const error_to &e) const noexcept {
    return lock_start(name, {}, e);
  }
  [[nodiscard]] guard lock_all(const std::vector<std::string> &names, const lock_options &options,
                               const error_to &e) const noexcept {
    return acquire(names, limit(), options, e);
  }
  [[nodiscard]] guard lock_all(const std::vector<std::string> &names, const error_to &e) const noexcept {
    return lock_all(names, {}, e);
  }
  [[nodiscard]] std::optional<guard> try_lock_all(const std::vector<std::string> &names, const lock_options &options,
                                                  const error_to &e) const noexcept {
    return acquire_in_time(names, milliseconds(0), options, e);
  }
  [[nodiscard]] std::optional<guard> try_lock_all(const std::vector<std::string> &names,
                                                  const error_to &e) const noexcept {
    return try_lock_all(names, {}, e);
  }
  [[nodiscard]] std::optional<guard> try_lock_all_for(const std::vector<std::string> &names, limit timeout,
                                                      const lock_options &options, const error_to &e) const noexcept {
    return acquire_in_time(names, timeout, options, e);
  }
  [[nodiscard]] std::optional<guard> try_lock_all_for(const std::vector<std::string> &names, limit timeout,
                                                      const error_to &e) const noexcept {
    return try_lock_all_for(names, timeout, {}, e);
  }
#ifdef __cpp_lib_jthread
  [[nodiscard]] std::optional<guard> lock_all(const std::vector<std::string> &names,
                                              const std::same_as<std::stop_token> auto &stop,
                                              const lock_options &options, const error_to &e) const noexcept {
    return acquire_unless(stop, names, options, e);
  }
  [[nodiscard]] std::optional<guard> lock_all(const std::vector<std::string> &names,
                                              const std::same_as<std::stop_token> auto &stop,
                                              const error_to &e) const noexcept {
    return acquire_unless(stop, names, {}, e);
  }
#endif
  [[nodiscard]] guard lock_all_start(const std::vector<std::string> &names, const lock_options &options, limit timeout,
                                     const error_to &e) const noexcept {
    return start(names, timeout, options, e);
  }
  [[nodiscard]] guard lock_all_start(const std::vector<std::string> &names, const lock_options &options,
                                     const error_to &e) const noexcept {
    return start(names, limit(), options, e);
  }
  [[nodiscard]] guard lock_all_start(const std::vector<std::string> &names, const error_to &e) const noexcept {
    return lock_all_start(names, {}, e);
  }
  info get(const std::string &name, const error_to &e) const noexcept { return read<locker_get>(name, e); }
  info get_cached(const std::string &name, const error_to &e) const noexcept {
    return read<locker_get_cached>(name, e);
  }
  [[nodiscard]] watcher watch(const std::string &name, const error_to &e) const noexcept {
    locker_watch_options o{};
    o.struct_size = sizeof o;
    return subscribe(detail::texts(e)(name, "name"), o, e);
  }
  [[nodiscard]] watcher watch(const std::string &name, info_function on_info, error_function on_error,
                              const error_to &e) const noexcept {
    return subscribe(name, std::move(on_info), std::move(on_error), e);
  }
  [[nodiscard]] watcher watch(const std::string &name, info_function on_info, const error_to &e) const noexcept {
    return subscribe(name, std::move(on_info), {}, e);
  }
  int fd(const error_to &e) const noexcept {
    int fd = -1;
    e.ok(locker_client_fd(handle_.get(), &fd, e.c()));
    return fd;
  }
  std::size_t dispatch(std::size_t max, const error_to &e) const noexcept {
    std::size_t ran = 0;
    e.ok(locker_dispatch(handle_.get(), max, &ran, e.c()));
    return ran;
  }
  std::size_t dispatch(const error_to &e) const noexcept { return dispatch(0, e); }
  void disconnect(limit timeout, const error_to &e) const noexcept { handle_.end(timeout, e); }
  void disconnect(const error_to &e) const noexcept { disconnect(limit(), e); }

private:
  using owned = detail::owned<locker_client, locker_disconnect, 0>;

  static owned connect(const std::string &endpoints, const connect_options &options, const error_to &e) noexcept {
    if (locker_abi() != LOCKER_ABI) {
      e.fail(errc::invalid, "liblocker", " has another ABI than the one that this program was built for");
      return {};
    }
    const detail::texts c(e);
    locker_connect_options o{};
    o.struct_size = sizeof o;
    o.prefix = c.or_null(options.prefix, "prefix");
    o.ttl_ms = options.ttl.count();
    o.timeout_ms = options.timeout.count();
    o.username = c.or_null(options.username, "username");
    o.password = c.or_null(options.password, "password");
    o.ca_file = c.or_null(options.ca_file, "ca_file");
    o.cert_file = c.or_null(options.cert_file, "cert_file");
    o.key_file = c.or_null(options.key_file, "key_file");
    o.dispatch = options.dispatch ? 1 : 0;
    const char *const c_endpoints = c(endpoints, "endpoints");
    locker_client handle{0};
    if (!e.failed()) e.ok(locker_connect(c_endpoints, &o, &handle, e.c()));
    return owned(handle);
  }

  /// A guard of either way to lock, of one name (`One`) or of several (`All`); an empty one if that fails.
  template <auto One, auto All, class Names>
  guard locked(const Names &names, limit timeout, const lock_options &options, const error_to &e) const {
    const detail::texts c(e);
    locker_lock_options o{};
    o.struct_size = sizeof o;
    o.value = c.or_null(options.value, "value");
    o.reason = c.or_null(options.reason, "reason");
    o.timeout_ms = timeout.ms();
    o.limit = options.limit;
    o.shared = options.shared;
    const auto c_names = c.names(names);
    if (e.failed()) return {};
    if (options.on_change) {
      o.on_change = detail::call_change;
      o.free_user_data = detail::free_data<change_function>;
      o.user_data = new change_function(options.on_change); // the library's from here on
    }
    locker_guard handle{0};
    if constexpr (std::is_same_v<Names, std::string>) e.ok(One(handle_.get(), c_names, &o, &handle, e.c()));
    else e.ok(All(handle_.get(), c_names.data(), c_names.size(), &o, &handle, e.c()));
    return guard(handle);
  }
  template <class Names>
  guard acquire(const Names &names, limit timeout, const lock_options &options, const error_to &e) const {
    return locked<locker_lock, locker_lock_all>(names, timeout, options, e);
  }
  template <class Names>
  guard start(const Names &names, limit timeout, const lock_options &options, const error_to &e) const {
    return locked<locker_lock_start, locker_lock_all_start>(names, timeout, options, e);
  }
  template <class Names>
  std::optional<guard> acquire_in_time(const Names &names, limit timeout, const lock_options &options,
                                       const error_to &e) const {
    auto acquired = acquire(names, timeout, options, e);
    if (e.in_time(e.c()->code)) return acquired;
    return std::nullopt;
  }
#ifdef __cpp_lib_jthread
  template <class Names>
  std::optional<guard> acquire_unless(const std::stop_token &stop, const Names &names, const lock_options &options,
                                      const error_to &e) const {
    if (stop.stop_requested()) return std::nullopt;
    auto waiting = start(names, limit(), options, e);
    if (e.failed()) return std::nullopt;
    std::atomic<bool> left{false};
    {
      // Ending the guard is what wakes the wait, on whatever thread the stop is requested.
      const std::stop_callback leave(stop, [&]() noexcept {
        left = true;
        locker_unlock(waiting.handle_.get(), LOCKER_NO_WAIT, nullptr);
      });
      waiting.wait(e);
    }
    if (left) e.clear();
    else if (!e.failed()) return waiting;
    return std::nullopt;
  }
#endif

  template <auto Get> info read(const std::string &name, const error_to &e) const {
    const char *const c_name = detail::texts(e)(name, "name");
    locker_info i;
    if (e.failed() || !e.ok(Get(handle_.get(), c_name, 0, &i, e.c()))) return {};
    return detail::to_info(i);
  }

  watcher subscribe(const std::string &name, info_function on_info, error_function on_error, const error_to &e) const {
    struct callbacks {
      info_function on_info;
      error_function on_error;
    };
    const char *const c_name = detail::texts(e)(name, "name");
    if (!e.failed() && !on_info) e.fail(errc::invalid, "on_info", " is empty");
    if (e.failed()) return {};
    locker_watch_options o{};
    o.struct_size = sizeof o;
    o.on_event = [](void *data, const locker_info *i, const locker_error *why) noexcept {
      const auto &to = *static_cast<const callbacks *>(data);
      if (i != nullptr) to.on_info(detail::to_info(*i));
      else if (to.on_error) to.on_error(error(*why));
    };
    o.free_user_data = detail::free_data<callbacks>;
    o.user_data = new callbacks{std::move(on_info), std::move(on_error)}; // the library's from here on
    return subscribe(c_name, o, e);
  }
  watcher subscribe(const char *name, const locker_watch_options &o, const error_to &e) const noexcept {
    locker_watcher handle{0};
    if (!e.failed()) e.ok(locker_watch(handle_.get(), name, &o, &handle, e.c()));
    return watcher(handle);
  }

  owned handle_;
};

/// A named lock as a TimedLockable, for std::lock_guard, std::unique_lock and std::scoped_lock, and to be shared, for
/// std::shared_lock. Threads may share one; each has its own guard in it, so that one whose lock was lost cannot unlock
/// another's. The client must outlive it. As with std::shared_mutex, a thread that has it must not lock it again.
/// With lock_options::limit it is a semaphore.
class mutex {
public:
  explicit mutex(const client &client, std::string name, lock_options options = {})
      : client_(client), name_(std::move(name)), options_(std::move(options)), shared_(options_) {
    shared_.shared = true;
  }
  explicit mutex(client &&, std::string, lock_options = {}) = delete; // it would outlive its client
  mutex(const mutex &) = delete;
  mutex &operator=(const mutex &) = delete;

#if LOCKER_HPP_THROWS
  void lock() { keep(client_.lock(name_, options_)); }
  bool try_lock() { return keep(client_.try_lock(name_, options_)); }
  template <class Rep, class Period> bool try_lock_for(const std::chrono::duration<Rep, Period> &timeout) {
    return keep(client_.try_lock_for(name_, not_negative(timeout), options_));
  }
  template <class Clock, class Duration> bool try_lock_until(const std::chrono::time_point<Clock, Duration> &time) {
    return keep(client_.try_lock_for(name_, until(time), options_));
  }
  /// Together with all others who lock it so.
  void lock_shared() { keep(client_.lock(name_, shared_)); }
  bool try_lock_shared() { return keep(client_.try_lock(name_, shared_)); }
  template <class Rep, class Period> bool try_lock_shared_for(const std::chrono::duration<Rep, Period> &timeout) {
    return keep(client_.try_lock_for(name_, not_negative(timeout), shared_));
  }
  template <class Clock, class Duration>
  bool try_lock_shared_until(const std::chrono::time_point<Clock, Duration> &time) {
    return keep(client_.try_lock_for(name_, until(time), shared_));
  }
#endif

  /// Not held if this fails; then there is nothing to unlock.
  void lock(const error_to &e) noexcept {
    auto acquired = client_.lock(name_, options_, e);
    if (!e.failed()) keep(std::move(acquired));
  }
  bool try_lock(const error_to &e) noexcept { return keep(client_.try_lock(name_, options_, e)); }
  template <class Rep, class Period>
  bool try_lock_for(const std::chrono::duration<Rep, Period> &timeout, const error_to &e) noexcept {
    return keep(client_.try_lock_for(name_, not_negative(timeout), options_, e));
  }
  template <class Clock, class Duration>
  bool try_lock_until(const std::chrono::time_point<Clock, Duration> &time, const error_to &e) noexcept {
    return keep(client_.try_lock_for(name_, until(time), options_, e));
  }
  void lock_shared(const error_to &e) noexcept {
    auto acquired = client_.lock(name_, shared_, e);
    if (!e.failed()) keep(std::move(acquired));
  }
  bool try_lock_shared(const error_to &e) noexcept { return keep(client_.try_lock(name_, shared_, e)); }
  template <class Rep, class Period>
  bool try_lock_shared_for(const std::chrono::duration<Rep, Period> &timeout, const error_to &e) noexcept {
    return keep(client_.try_lock_for(name_, not_negative(timeout), shared_, e));
  }
  template <class Clock, class Duration>
  bool try_lock_shared_until(const std::chrono::time_point<Clock, Duration> &time, const error_to &e) noexcept {
    return keep(client_.try_lock_for(name_, until(time), shared_, e));
  }

  /// Unlocks without waiting for etcd to confirm. It cannot tell that the lock was lost meanwhile: ask guard()
  /// before, or use client::lock.
  void unlock() noexcept {
    decltype(guards_)::node_type ended; // outside of own_: with it may go what on_change refers to, which may ask guard()
    const std::lock_guard<std::mutex> lock(own_);
    ended = guards_.extract(std::this_thread::get_id());
  }
  void unlock_shared() noexcept { unlock(); }

  /// The guard of the calling thread, until it unlocks: its token, and whether it is still held.
  const locker::guard &guard() const {
    static const locker::guard none;
    const std::lock_guard<std::mutex> lock(own_);
    const auto found = guards_.find(std::this_thread::get_id());
    return found == guards_.end() ? none : found->second;
  }

private:
  /// A time that is over is no mistake here, as it is none with std::timed_mutex.
  template <class Rep, class Period> static limit not_negative(const std::chrono::duration<Rep, Period> &d) noexcept {
    return d > d.zero() ? limit(d) : limit(milliseconds(0));
  }
  template <class Clock, class Duration>
  static limit until(const std::chrono::time_point<Clock, Duration> &time) noexcept {
    using rough = std::chrono::duration<double>;
    const auto now = Clock::now();
    const auto left = rough(time.time_since_epoch()) - rough(now.time_since_epoch());
    if (left < rough::zero()) return limit(milliseconds(0));
    if (left > std::chrono::hours(24 * 365)) return limit(left); // the exact difference may be more than can be counted
    return time > now ? limit(time - now) : limit(milliseconds(0));
  }

  bool keep(std::optional<locker::guard> acquired) {
    if (!acquired) return false;
    locker::guard lost; // as in unlock
    const std::lock_guard<std::mutex> lock(own_);
    auto &mine = guards_[std::this_thread::get_id()];
    lost = std::move(mine);
    mine = std::move(*acquired);
    return true;
  }

  const client &client_;
  const std::string name_;
  const lock_options options_;
  lock_options shared_; ///< the same, to share it
  mutable std::mutex own_;
  std::unordered_map<std::thread::id, locker::guard> guards_;
};

} // namespace locker

#endif // LOCKER_HPP
