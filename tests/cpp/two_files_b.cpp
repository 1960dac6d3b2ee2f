// The other half of two_files_a.cpp.
#include "locker.hpp"

locker::guard lock_elsewhere(const locker::client &client);
const std::error_category &category_elsewhere();

#if __cplusplus >= 202002L
locker::guard lock_elsewhere(const locker::client &client) { return client.lock("x", {.reason = "a test"}); }
#else
locker::guard lock_elsewhere(const locker::client &client) { return client.lock("x"); }
#endif
const std::error_category &category_elsewhere() { return locker::category(); }
