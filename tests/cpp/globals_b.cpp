// The second file of globals_a.cpp: a lock of the shared client, and a mutex.
#include <mutex>

#include "globals.hpp"

static const auto guard = shared_client().lock("shared b");
static locker::mutex mutex(shared_client(), "mutex");
static const std::lock_guard<locker::mutex> lock(mutex);

bool held_elsewhere() { return guard.held() && held_in_the_third(); }
