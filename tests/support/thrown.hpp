// The text of the E that `f` throws; "(nothing was thrown)" if it doesn't. Other exceptions pass through.
#pragma once

#include <tapestry/core/error.hpp>

#include <string>

namespace tapestry::test {

template <class E = Error, class F>
std::string thrown(F&& f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  return "(nothing was thrown)";
}

}  // namespace tapestry::test
