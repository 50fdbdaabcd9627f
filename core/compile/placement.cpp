#include <tapestry/core/compile/placement.hpp>

#include <algorithm>

namespace tapestry {

using kernels::Code;
using kernels::Loop;

Shape Placement::strides(const Shape& own) const {
  if (!per_row) return own;
  Shape all = Shape::filled(rank, 0);
  for (int d = 0; d < own.rank(); ++d) {
    if (const int to = dims[std::size_t(d)]; to >= 0) all[to] = own[d];
  }
  return all;
}

std::optional<Placement> place_in(const Loop& loop, const Shape& extents, int row) {
  if (loop.extents == extents) return Placement{};
  if (row == kNoRows) return {};
  // Positions are counted over all elements.
  const auto counts = [](const kernels::Instruction& i) {
    return i.code == Code::index || i.code == Code::uniform;
  };
  if (std::ranges::any_of(loop.code, counts)) return {};
  Placement placement{.per_row = true, .rank = extents.rank()};
  int next = 0;
  for (int d = 0; d < loop.extents.rank(); ++d) {
    if (loop.extents[d] == 1) {
      placement.dims[std::size_t(d)] = -1;
      continue;
    }
    while (next < row && extents[next] == 1) ++next;
    if (next >= row || extents[next] != loop.extents[d]) return {};
    placement.dims[std::size_t(d)] = next++;
  }
  while (next < row && extents[next] == 1) ++next;
  return next == row ? std::optional(placement) : std::nullopt;
}

std::optional<int> first_reduced(const Loop& loop) {
  const kernels::LoopOutput& output = loop.outputs.front();
  if (output.reduce == kernels::Reduce::none || loop.extents.elements() == 0) return {};
  if (output.reduce == kernels::Reduce::squared_deviations) return {};  // no instruction does that for a row
  // From the end: reduced ones, then kept ones.
  std::optional<int> first;
  bool kept = false;
  for (int d = loop.extents.rank() - 1; d >= 0; --d) {
    if (loop.extents[d] == 1) continue;
    const bool reduces = output.strides[d] == 0;
    if (reduces && kept) return {};
    if (reduces) first = d;
    kept = !reduces;
  }
  return first;
}

bool same_walk(const Shape& extents, const Shape& a, const Shape& b) {
  for (int d = 0; d < extents.rank(); ++d) {
    if (extents[d] != 1 && a[d] != b[d]) return false;
  }
  return true;
}

}  // namespace tapestry
