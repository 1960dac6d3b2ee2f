// The third file of globals_a.cpp: a lock and a watcher with callbacks, which still come while objects are destroyed.
#include <atomic>

#include "globals.hpp"

static std::atomic<int> seen{0};
static const auto watcher = shared_client().watch("shared c", [](const locker::info &) { ++seen; });
static const auto guard = shared_client().lock("shared c");

bool held_in_the_third() { return guard.held(); }
