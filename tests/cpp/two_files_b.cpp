// The other half of two_files_a.cpp.
#include "locker.hpp"

locker::guard lock_elsewhere(const locker::client &client);
const std::error_category &category_elsewhere();

locker::guard lock_elsewhere(const locker::client &client) { return client.lock("x"); }
const std::error_category &category_elsewhere() { return locker::category(); }
