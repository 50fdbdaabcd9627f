// Counts heap allocations, for tests which assert that there are none. A program that calls this has its
// malloc and its kin replaced, or under sanitizers its global operator new.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

namespace tapestry::test {

/// Allocations so far, in all threads and libraries (under sanitizers: calls of operator new).
std::size_t allocations();

/// While it lives, aligned blocks are larger than asked for by kMargin bytes, and the newest are remembered:
/// to see which bytes of one are written, and that none behind it is. Nothing is seen under sanitizers, which
/// look for themselves.
class BlockWatch {
 public:
  static constexpr std::size_t kMargin = 4096;
  BlockWatch();
  ~BlockWatch();
  BlockWatch(const BlockWatch&) = delete;
  BlockWatch& operator=(const BlockWatch&) = delete;

  /// The last block of which so many bytes were asked for; the margin is behind them.
  std::optional<std::span<std::byte>> find(std::size_t bytes) const;
};

}  // namespace tapestry::test
