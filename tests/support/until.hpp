// For tests: a switch of the library in another position.
#pragma once

namespace tapestry {

/// Until its end `set` has been called with a value; then with what `get` said before.
template <auto set, auto get>
class Until {
 public:
  using Value = decltype(get());
  explicit Until(Value value) { set(value); }
  ~Until() { set(before_); }
  Until(const Until&) = delete;
  Until& operator=(const Until&) = delete;

 private:
  Value before_ = get();
};

}  // namespace tapestry
