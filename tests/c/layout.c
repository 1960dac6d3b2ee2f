/* The layout and the signatures of the header, frozen: locker-sys/src/layout.rs has the same numbers.
 * Compiled as C99 to C23 and as C++11 to C++23; it need not run. */
#include "locker.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define FROZEN(condition) typedef char JOIN(frozen_, __LINE__)[(condition) ? 1 : -1] UNUSED
#define UNUSED __attribute__((unused))
#define SIZE(type, size) FROZEN(sizeof(type) == (size))
#define AT(type, field, offset) FROZEN(offsetof(struct type, field) == (offset))

SIZE(locker_client, 8);
SIZE(locker_guard, 8);
SIZE(locker_watcher, 8);
SIZE(locker_code, 4);
SIZE(locker_state, 4);
SIZE(locker_mode, 4);

SIZE(locker_error, 512);
AT(locker_error, code, 0);
AT(locker_error, detail, 4);
AT(locker_error, message, 8);

SIZE(locker_info, 2128);
AT(locker_info, token, 0);
AT(locker_info, since_ms, 8);
AT(locker_info, lease_left_ms, 16);
AT(locker_info, revision, 24);
AT(locker_info, holders, 32);
AT(locker_info, limit, 36);
AT(locker_info, reserved, 40);
AT(locker_info, pid, 64);
AT(locker_info, waiters, 68);
AT(locker_info, mode, 72);
AT(locker_info, reserved_mode, 76);
AT(locker_info, name, 80);
AT(locker_info, host, 336);
AT(locker_info, program, 592);
AT(locker_info, reason, 848);
AT(locker_info, value, 1104);
FROZEN(sizeof ((locker_info *)0)->name == LOCKER_NAME_MAX + 1);
FROZEN(sizeof ((locker_info *)0)->value == LOCKER_VALUE_MAX + 1);
FROZEN(sizeof ((locker_info *)0)->reason == LOCKER_REASON_MAX + 1);

#if UINTPTR_MAX > 0xffffffffu
SIZE(locker_connect_options, 80);
AT(locker_connect_options, struct_size, 0);
AT(locker_connect_options, prefix, 8);
AT(locker_connect_options, ttl_ms, 16);
AT(locker_connect_options, timeout_ms, 24);
AT(locker_connect_options, username, 32);
AT(locker_connect_options, password, 40);
AT(locker_connect_options, ca_file, 48);
AT(locker_connect_options, cert_file, 56);
AT(locker_connect_options, key_file, 64);
AT(locker_connect_options, dispatch, 72);
AT(locker_connect_options, reserved, 76);

SIZE(locker_lock_options, 64);
AT(locker_lock_options, struct_size, 0);
AT(locker_lock_options, value, 8);
AT(locker_lock_options, reason, 16);
AT(locker_lock_options, timeout_ms, 24);
AT(locker_lock_options, on_change, 32);
AT(locker_lock_options, user_data, 40);
AT(locker_lock_options, free_user_data, 48);
AT(locker_lock_options, limit, 56);
AT(locker_lock_options, shared, 60);
AT(locker_lock_options, reserved, 61);

SIZE(locker_watch_options, 32);
AT(locker_watch_options, struct_size, 0);
AT(locker_watch_options, on_event, 8);
AT(locker_watch_options, user_data, 16);
AT(locker_watch_options, free_user_data, 24);
#endif

FROZEN(LOCKER_ABI == 1 && LOCKER_NO_WAIT == -1 && LOCKER_NAMES_MAX == 60);
FROZEN(LOCKER_OK == 0 && LOCKER_TIMEOUT == 1 && LOCKER_CANCELLED == 2 && LOCKER_LOST == 3 && LOCKER_UNAVAILABLE == 4);
FROZEN(LOCKER_DENIED == 5 && LOCKER_INVALID == 6 && LOCKER_BAD_HANDLE == 7 && LOCKER_BAD_CONTEXT == 8);
FROZEN(LOCKER_INTERNAL == 9);
FROZEN(LOCKER_NONE == 0 && LOCKER_WAITING == 1 && LOCKER_HELD == 2 && LOCKER_AT_RISK == 3 && LOCKER_ENDED == 4);
FROZEN(LOCKER_FREE == 0 && LOCKER_EXCLUSIVE == 1 && LOCKER_SHARED == 2 && LOCKER_FOREIGN == 15);

/* A changed parameter or result does not compile. */
#define SIGNATURE(result, function, ...)                                                                               \
  do {                                                                                                                 \
    result (*pointer)(__VA_ARGS__) = function;                                                                         \
    (void)pointer;                                                                                                     \
  } while (0)

void signatures(void);
void signatures(void) {
  SIGNATURE(uint32_t, locker_abi, void);
  SIGNATURE(const char *, locker_version, void);
  SIGNATURE(const char *, locker_code_name, int32_t);
  SIGNATURE(size_t, locker_live_handles, void);
  SIGNATURE(locker_code, locker_connect, const char *, const locker_connect_options *, locker_client *, locker_error *);
  SIGNATURE(locker_code, locker_disconnect, locker_client, int64_t, locker_error *);
  SIGNATURE(locker_code, locker_client_fd, locker_client, int *, locker_error *);
  SIGNATURE(locker_code, locker_dispatch, locker_client, size_t, size_t *, locker_error *);
  SIGNATURE(locker_code, locker_get, locker_client, const char *, int64_t, locker_info *, locker_error *);
  SIGNATURE(locker_code, locker_get_cached, locker_client, const char *, int64_t, locker_info *, locker_error *);
  SIGNATURE(locker_code, locker_lock, locker_client, const char *, const locker_lock_options *, locker_guard *,
            locker_error *);
  SIGNATURE(locker_code, locker_lock_start, locker_client, const char *, const locker_lock_options *, locker_guard *,
            locker_error *);
  SIGNATURE(locker_code, locker_lock_all, locker_client, const char *const *, size_t, const locker_lock_options *,
            locker_guard *, locker_error *);
  SIGNATURE(locker_code, locker_lock_all_start, locker_client, const char *const *, size_t, const locker_lock_options *,
            locker_guard *, locker_error *);
  SIGNATURE(locker_code, locker_wait, locker_guard, int64_t, locker_error *);
  SIGNATURE(locker_code, locker_on_change, locker_guard, locker_change_fn, void *, locker_free_fn, locker_error *);
  SIGNATURE(locker_code, locker_unlock, locker_guard, int64_t, locker_error *);
  SIGNATURE(locker_state, locker_guard_state, locker_guard);
  SIGNATURE(int64_t, locker_guard_token, locker_guard);
  SIGNATURE(int64_t, locker_guard_remaining_ms, locker_guard);
  SIGNATURE(size_t, locker_guard_name, locker_guard, size_t, char *, size_t);
  SIGNATURE(locker_code, locker_guard_info, locker_guard, locker_info *, locker_error *);
  SIGNATURE(locker_code, locker_watch, locker_client, const char *, const locker_watch_options *, locker_watcher *,
            locker_error *);
  SIGNATURE(locker_code, locker_watch_next, locker_watcher, int64_t, locker_info *, locker_error *);
  SIGNATURE(locker_code, locker_unwatch, locker_watcher, int64_t, locker_error *);
  SIGNATURE(void, locker_set_log, int32_t, locker_log_fn, void *, locker_free_fn);
  SIGNATURE(void, locker_shutdown, int64_t);
}
