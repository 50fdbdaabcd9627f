// One exception type for mistakes. Its text is one clear sentence: what is wrong, where, with which shapes,
// file or byte.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace tapestry {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A file or stream that can't be read, written or understood; the text names it.
class IoError : public Error {
 public:
  using Error::Error;
};

/// The parts, streamed into one string.
template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(text(parts...));
}

template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) fail(parts...);
}

}  // namespace tapestry
