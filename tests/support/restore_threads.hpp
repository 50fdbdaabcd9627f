#pragma once

#include <tapestry/core/run/parallel.hpp>

namespace tapestry::test {

/// Puts the number of threads back to what it was: for tests that change it.
struct RestoreThreads {
  int before = thread_count();
  ~RestoreThreads() { set_thread_count(before); }
};

}  // namespace tapestry::test
