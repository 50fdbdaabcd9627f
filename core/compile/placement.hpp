// Where a node's own loop lies within the loop of a group, and what it can take from there without going
// through memory.
#pragma once

#include <tapestry/ops/kernels/loop.hpp>

#include <array>
#include <optional>

namespace tapestry {

inline constexpr int kNoRows = -1;

/// A loop over all elements of a group's, or one that is computed once for each row of it: then the group's
/// dimensions before `row` are its own, but for extents of 1.
struct Placement {
  bool per_row = false;
  int rank = 0;                      // of the group
  std::array<int, kMaxRank> dims{};  // of the group, for each of its own; -1: of extent 1

  /// Strides along the group's dimensions.
  Shape strides(const Shape& own) const;
};

/// Nothing if it can't be a part of a loop over `extents` whose rows start at dimension `row`, or kNoRows.
std::optional<Placement> place_in(const kernels::Loop& loop, const Shape& extents, int row);

/// If the loop reduces the last dimensions alone: the first of them. Another loop over the same extents that
/// computes row by row can then use its result at once.
std::optional<int> first_reduced(const kernels::Loop& loop);

/// Do these strides lead to the same place for each element?
bool same_walk(const Shape& extents, const Shape& a, const Shape& b);

}  // namespace tapestry
