// Counts heap allocations, for tests which assert that there are none. A program that calls this has its
// malloc and its kin replaced, or under sanitizers its global operator new.
#pragma once

#include <cstddef>

namespace tapestry::test {

/// Allocations so far, in all threads and libraries (under sanitizers: calls of operator new).
std::size_t allocations();

}  // namespace tapestry::test
