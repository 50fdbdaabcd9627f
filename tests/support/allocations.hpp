// Counts heap allocations, for tests which assert that there are none. A program that calls this has its
// global operator new replaced.
#pragma once

#include <cstddef>

namespace tapestry::test {

/// Calls of operator new so far, in all threads.
std::size_t allocations();

}  // namespace tapestry::test
