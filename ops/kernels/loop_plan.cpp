#include <tapestry/core/error.hpp>
#include <tapestry/ops/kernels/loop_lowering.hpp>

#include <algorithm>
#include <bit>
#include <tuple>

namespace tapestry::kernels {
namespace {

// A chunk should take ten microseconds or more, and no more chunks than keep many threads busy.
constexpr std::int64_t kChunkWork = 128 * 1024;
constexpr std::int64_t kMostChunks = 128;
// Elements that a chunk has at least, whatever is done with them; rows that it reduces at least, so that
// partial results stay a small part of the work.
constexpr std::int64_t kLeastElements = 4096;
constexpr std::int64_t kLeastReduced = 16;
// The same where squared deviations are gathered, whose partial results are larger, and parts of what there
// is.
constexpr std::int64_t kLeastDeviating = 512;
constexpr std::int64_t kPartsDeviating = 16;
// Accumulators of columns that a chunk has, about: they are gone over again and again.
constexpr std::int64_t kMostColumns = 8192;
// Loops over so much memory find little of it in a cache next time. A store to memory that isn't there reads
// it first, unless it goes past the caches.
constexpr std::int64_t kStreamBytes = 32 * 1024 * 1024;
constexpr std::int64_t kReadOnlyBlock = 128 * 1024;
// What a block's operands should take together: two thirds of a common L1 cache.
constexpr std::int64_t kBlockBytes = 32 * 1024;
// Rows that a block should have at least, for what is computed once a row, and for what is summed over rows;
// and of rows that are short enough for each operand to stay in such a cache.
constexpr std::int64_t kLeastRows = 2;
constexpr std::int64_t kLeastSummedRows = 8;
constexpr std::int64_t kLeastShortRows = 8;
// Rows of a block whose steps take turns: a block takes some hundred cycles besides them. Elements that such
// rows have at least if there are functions: their constants are read anew for each row, and nothing hides
// how long they take.
constexpr std::int64_t kJoinedRows = 32;
constexpr std::int64_t kJoinedElements = 256;

// A loop that runs once over no more is not worth machine code.
constexpr std::int64_t kFewElements = 4096;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

std::int64_t weight_of(Code code) {
  switch (code) {
    case Code::row_sum:
    case Code::row_max:
    case Code::row_min:
      return 2;
    case Code::sqrt:
    case Code::div:
      return 4;
    case Code::exp:
    case Code::erf:
    case Code::gelu_slope:
      return 4;
    case Code::log:
    case Code::expm1:
    case Code::tanh:
      return 8;
    case Code::log1p:
    case Code::sin:
    case Code::cos:
    case Code::uniform:
    case Code::pow:
      return 16;
    default:
      return 1;
  }
}

bool deviates(const Loop& loop) {
  return std::ranges::any_of(
      loop.outputs, [](const LoopOutput& output) { return output.reduce == Reduce::squared_deviations; });
}

/// Steps of shorter rows don't take turns.
std::int64_t least_joined_row(const Loop& loop) {
  const auto is_function = [](const Instruction& i) { return i.code == Code::exp || i.code == Code::erf; };
  return std::ranges::any_of(loop.code, is_function) ? kJoinedElements : kLongRow;
}

std::int64_t inner_elements(const LoopPlan& plan, int dim) {
  std::int64_t product = 1;
  for (int d = dim + 1; d < plan.rank; ++d) product *= plan.extents[std::size_t(d)];
  return product;
}

// Cuts `dim` into at most `wanted` pieces of at least `least`.
void cut(LoopPlan& plan, int dim, std::int64_t wanted, std::int64_t least) {
  const auto d = std::size_t(dim);
  const std::int64_t extent = plan.extents[d];
  const std::int64_t pieces = std::clamp<std::int64_t>(extent / std::max<std::int64_t>(least, 1), 1, wanted);
  std::int64_t piece = ceil_div(extent, pieces);
  // Whole cache lines, whatever the dtype.
  if (dim == plan.rank - 1 && pieces > 1) piece = round_up(piece, 64);
  plan.piece[d] = piece;
  plan.parts[d] = ceil_div(extent, piece);
}

}  // namespace

Geometry merge_dimensions(const Loop& loop) {
  Geometry all;
  for (const LoopInput& input : loop.inputs) all.inputs.push_back(input.strides);
  for (const Instruction& instruction : loop.code) {
    Shape strides = Shape::filled(loop.extents.rank(), 0);
    if (instruction.code == Code::index) strides[instruction.dim] = 1;
    if (instruction.code == Code::uniform) strides = strides_of(loop.extents);
    all.positions.push_back(strides);
  }
  const int row = loop.row.value_or(loop.extents.rank());
  for (const LoopOutput& output : loop.outputs) all.outputs.push_back(output.strides);

  Geometry merged;
  merged.inputs.resize(all.inputs.size());
  merged.positions.resize(all.positions.size());
  merged.outputs.resize(all.outputs.size());
  const auto for_each = [&](auto&& f) {
    for (std::size_t i = 0; i < all.inputs.size(); ++i) f(all.inputs[i], merged.inputs[i]);
    for (std::size_t i = 0; i < all.positions.size(); ++i) f(all.positions[i], merged.positions[i]);
    for (std::size_t i = 0; i < all.outputs.size(); ++i) f(all.outputs[i], merged.outputs[i]);
  };
  const auto add_single = [&] {
    merged.extents.push_back(1);
    for_each([&](const Shape&, Shape& to) { to.push_back(0); });
  };
  for (int d = 0; d < loop.extents.rank(); ++d) {
    const std::int64_t extent = loop.extents[d];
    if (d == row) {
      if (merged.extents.empty()) add_single();  // blocks are made of slices that hold whole rows
      merged.row = merged.extents.rank();
    }
    if (extent == 1) continue;
    const int last = merged.extents.rank() - 1;
    bool merges = last >= 0 && (d < row || last >= merged.row);
    if (merges) {
      for_each([&](const Shape& from, const Shape& to) { merges &= to[last] == from[d] * extent; });
    }
    if (merges) {
      merged.extents[last] *= extent;
      for_each([&](const Shape& from, Shape& to) { to[last] = from[d]; });
    } else {
      merged.extents.push_back(extent);
      for_each([&](const Shape& from, Shape& to) { to.push_back(from[d]); });
    }
  }
  if (merged.extents.empty()) add_single();
  if (row == loop.extents.rank()) merged.row = merged.extents.rank();
  return merged;
}

void cut_into_chunks(LoopPlan& plan, const Geometry& geometry, std::int64_t weight) {
  const std::int64_t elements = geometry.extents.elements();
  for (int d = 0; d < plan.rank; ++d) {
    plan.piece[std::size_t(d)] = plan.extents[std::size_t(d)];
    plan.parts[std::size_t(d)] = 1;
  }
  const double work = double(elements) * double(weight);
  // A power of two: any common number of threads then has as much to do on each.
  const auto chunks = std::uint64_t(std::clamp(work / kChunkWork, 1.0, double(kMostChunks)));
  auto wanted = std::int64_t(std::bit_ceil(chunks));

  std::array<bool, kMaxRank> reduced{};
  std::int64_t most_kept = 0;
  for (std::size_t o = 0; o < plan.loop.outputs.size(); ++o) {
    if (plan.loop.outputs[o].reduce == Reduce::none) continue;
    std::int64_t kept = 1;
    for (int d = 0; d < plan.rank; ++d) {
      const bool keeps = geometry.outputs[o][d] != 0;
      if (!keeps) reduced[std::size_t(d)] = true;
      if (keeps) kept *= plan.extents[std::size_t(d)];
    }
    // Reduced inner dimensions end within a block or leave few results.
    if (geometry.outputs[o][plan.rank - 1] != 0 && kept < elements) most_kept = std::max(most_kept, kept);
  }
  wanted = std::max(wanted, std::min(ceil_div(most_kept, kMostColumns), elements / kLeastElements));

  // Outermost first; dimensions that nothing reduces before those that leave partial results to combine.
  for (const bool reducing : {false, true}) {
    for (int d = 0; d < plan.rank && wanted > 1; ++d) {
      if (reduced[std::size_t(d)] != reducing || d >= plan.row) continue;
      std::int64_t least = ceil_div(kLeastElements, inner_elements(plan, d));
      if (reducing) least = std::max(least, kLeastReduced);
      if (reducing && deviates(plan.loop)) {
        least = std::max(least, std::min(plan.extents[std::size_t(d)] / kPartsDeviating, kLeastDeviating));
      }
      cut(plan, d, wanted, least);
      wanted = ceil_div(wanted, plan.parts[std::size_t(d)]);
    }
  }
  plan.chunks = 1;
  for (int d = 0; d < plan.rank; ++d) plan.chunks *= plan.parts[std::size_t(d)];
}

void cut_into_blocks(LoopPlan& plan, std::int64_t elements) {
  int deepest = 0;  // a block lies within a chunk, whole in its inner dimensions
  for (int d = 0; d < plan.rank; ++d) {
    if (plan.parts[std::size_t(d)] > 1) deepest = d;
  }
  int split = plan.row - 1;
  std::int64_t inner = plan.row_elements;
  while (split > deepest && inner * plan.extents[std::size_t(split)] <= elements) {
    inner *= plan.extents[std::size_t(split--)];
  }
  const std::int64_t rows = plan.piece[std::size_t(split)];
  const std::int64_t blocks = ceil_div(rows, std::max<std::int64_t>(1, elements / inner));
  plan.split = split;
  plan.slice_elements = inner;
  plan.block_slices = ceil_div(rows, blocks);
  if (inner == 1 && blocks > 1) plan.block_slices = round_up(plan.block_slices, 64);
}

namespace {

/// If a block's steps take turns, no more than a row has to be in the nearest cache at once, unless values of
/// all elements are in the arena.
void enlarge_blocks_of_joined_rows(LoopPlan& plan, const Geometry& geometry) {
  if (!plan.has_joined()) return;
  const std::int64_t before = plan.block_slices * plan.slice_elements;
  if (before >= kJoinedRows * plan.row_elements) return;
  cut_into_blocks(plan, kJoinedRows * plan.row_elements);
  if (lower(plan, geometry) && plan.value_bytes <= kBlockBytes) return;
  cut_into_blocks(plan, before);
  lower(plan, geometry);
}

std::optional<LoopPlan> plan_of(const Loop& loop, bool assembled, Joining joining) {
  LoopPlan plan{.loop = loop};
  read_single_elements(plan.loop);
  plan.assembles = assembled && loop.lane == Lane::f32;
  plan.lane_bytes = plan.loop.lane == Lane::f32 ? 4 : 8;
  plan.empty = plan.loop.extents.elements() == 0;
  if (plan.empty) return plan;

  const Geometry geometry = merge_dimensions(plan.loop);
  plan.rank = geometry.extents.rank();
  std::copy(geometry.extents.begin(), geometry.extents.end(), plan.extents.begin());
  plan.row = geometry.row;
  plan.row_elements = elements_of_row(plan.loop);
  std::int64_t weight = std::int64_t(plan.loop.inputs.size() + plan.loop.outputs.size());
  for (const Instruction& instruction : plan.loop.code) weight += weight_of(instruction.code);
  if (deviates(loop)) ++weight;
  cut_into_chunks(plan, geometry, weight);

  const auto full_size = [&](const Shape& strides) { return std::ranges::find(strides, 0) == strides.end(); };
  const std::int64_t operands_of_all_elements =
      std::ranges::count_if(geometry.inputs, full_size) + std::ranges::count_if(geometry.outputs, full_size);
  const std::int64_t bytes = operands_of_all_elements * geometry.extents.elements() * plan.lane_bytes;
  plan.streams = bytes >= kStreamBytes;
  plan.stream = find_stream();
  plan.joins = plan.assembles && (joining == Joining::large
                                      ? bytes >= kMuchMemory && plan.row_elements >= least_joined_row(loop)
                                      : joining == Joining::all && plan.row_elements >= kLongRow);

  // How many elements a block should have depends on the operands that it touches, and these on the block.
  std::int64_t elements = 1024;
  cut_into_blocks(plan, elements);
  bool fits = lower(plan, geometry);
  std::int64_t operands = plan.value_bytes / (plan.block_slices * plan.slice_elements * plan.lane_bytes);
  for (const Leaf& leaf : plan.leaves) operands += leaf.kind == Leaf::Kind::direct;
  // Of drawn numbers a batch is there, not a block, and a mask of them is small.
  const std::int64_t drawn =
      std::ranges::count_if(plan.leaves, [](const Leaf& leaf) { return leaf.drawing >= 0; });
  operands -= drawn;
  for (const FullOutput& full : plan.fulls) operands += full.direct && (drawn == 0 || full.element_bytes > 1);
  // Where squared deviations are gathered, what they are gathered in is in that cache, too.
  const bool shares = deviates(loop) && geometry.extents.elements() * plan.lane_bytes >= kMuchMemory;
  elements = std::clamp<std::int64_t>(
      kBlockBytes / (shares ? 2 : 1) / (std::max<std::int64_t>(operands, 1) * plan.lane_bytes), 256, 4096);
  if (plan.loop.row) {
    const bool sums = std::ranges::any_of(plan.loop.outputs, [](const LoopOutput& output) {
      return output.reduce != Reduce::none && !output.per_row;
    });
    const std::int64_t most = kBlockBytes / plan.lane_bytes;
    elements = std::max({elements, (sums ? kLeastSummedRows : kLeastRows) * plan.row_elements,
                         std::min(kLeastShortRows, most / plan.row_elements) * plan.row_elements});
  }
  // Where each element is touched once and nothing stored: fewer, larger blocks.
  if (plan.steps.empty() && plan.fulls.empty() && operands <= 1) elements = kReadOnlyBlock;
  for (;; elements /= 2) {
    const auto cut = [&] { return std::tuple(plan.split, plan.block_slices, plan.slice_elements); };
    const auto before = cut();
    cut_into_blocks(plan, elements);
    if (cut() != before) fits = lower(plan, geometry);
    if (fits) break;
    if (elements < 64) return {};
  }
  enlarge_blocks_of_joined_rows(plan, geometry);
  fetch_ahead(plan, fetching_of_this_cpu());
  if (!make_calls(plan)) return plan_of(loop, false, joining);
  return plan;
}

}  // namespace

std::optional<LoopPlan> make_plan(const Loop& loop, Use use, Joining joining) {
  // Segments add up in another order than sweeps do, and where the CPU rounds to bf16 subnormal numbers are
  // 0.
  const auto differs = [](const LoopOutput& o) {
    return o.reduce == Reduce::sum || o.reduce == Reduce::squared_deviations || o.dtype == DType::bf16;
  };
  const bool may_differ = loop.row || std::ranges::any_of(loop.outputs, differs);
  const bool few = loop.extents.elements() <= kFewElements;
  return plan_of(loop, assembles() && (use == Use::often || may_differ || !few), joining);
}

}  // namespace tapestry::kernels
