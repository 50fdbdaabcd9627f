// Asking for memory before it is read.
#include <tapestry/ops/kernels/loop_plan.hpp>

#include <algorithm>
#include <vector>

namespace tapestry::kernels {
namespace {

// Loops of so many steps or more over much memory wait for it less if it is asked for early: what the
// hardware fetches by itself stops while a block is computed on.
constexpr std::size_t kFetchSteps = 3;
// In bytes. What the hardware fetches by itself ends with each page of memory.
constexpr int kFetchAhead = 4096;
// Where a block's rows take turns: no multiple of 4 KiB, which costs up to a tenth, for one stream of 8 KiB,
// or more than all asking gains, of 4 KiB.
constexpr int kFetchJoined = 9 * 1024;
// What of this block and the next stays in the first cache until the next is worked on.
constexpr std::int64_t kTwoBlocks = 40 * 1024;

/// Drawing random numbers takes long enough for a leaf's elements to come meanwhile, of the same block.
void fetch_while_drawing(LoopPlan& plan) {
  const auto random =
      std::ranges::find_if(plan.leaves, [](const Leaf& leaf) { return leaf.random && leaf.drawing < 0; });
  const auto other = std::ranges::find_if(plan.leaves, [&](const Leaf& leaf) {
    return leaf.is_read() && !leaf.fetched && leaf.element_bytes == plan.lane_bytes;
  });
  if (random == plan.leaves.end() || other == plan.leaves.end() || plan.loop.lane != Lane::f32) return;
  random->meanwhile = int(other - plan.leaves.begin());
  other->fetched = true;
}

/// The first segment to read a leaf's elements asks for later ones: for those of the next block if there are
/// other steps in between. If the first cache holds no two blocks, the last segment does: what it reads is
/// done with, and makes place for what it asks for. It does, too, if they come into the second cache alone:
/// it has most to do, so that they are asked for more evenly.
void fetch_in_segments(LoopPlan& plan, bool into_second) {
  const std::int64_t block = plan.block_slices * plan.slice_elements;
  std::int64_t bytes = 0;
  for (const Leaf& leaf : plan.leaves) bytes += leaf.is_read() ? block * leaf.element_bytes : 0;
  std::vector<Step> steps = plan.steps;
  if (plan.has_joined() ? into_second : plan.fetches && (into_second || 2 * bytes > kTwoBlocks))
    std::ranges::reverse(steps);
  for (Leaf& leaf : plan.leaves) {
    if (!leaf.is_read() || leaf.fetched) continue;
    for (const Step& step : steps) {
      if (step.kind != Step::Kind::segment) continue;
      Segment& segment = plan.segments[std::size_t(step.segment)];
      const auto input = std::ranges::find(segment.inputs, leaf.slot, &Segment::Input::slot);
      if (input == segment.inputs.end() || input->from != From::element) continue;
      input->ahead = plan.has_joined() ? kFetchJoined
                     : plan.fetches    ? int(block * leaf.element_bytes)
                                       : kFetchAhead;
      input->into_second = into_second;
      leaf.fetched = true;
      break;
    }
  }
}

}  // namespace

Fetching fetching_of_this_cpu() { return __builtin_cpu_is("amd") ? Fetching::single_streams : Fetching::all; }

void fetch_ahead(LoopPlan& plan, Fetching fetching) {
  const std::int64_t direct = std::ranges::count(plan.leaves, Leaf::Kind::direct, &Leaf::kind);
  std::int64_t elements = 1;
  for (int d = 0; d < plan.rank; ++d) elements *= plan.extents[std::size_t(d)];
  if (direct * elements * plan.lane_bytes < kMuchMemory) return;
  fetch_while_drawing(plan);
  plan.fetches = plan.steps.size() >= kFetchSteps && !plan.has_joined();
  const auto streams =
      std::ranges::count_if(plan.leaves, [](const Leaf& leaf) { return leaf.is_read() && !leaf.fetched; });
  // A segment that draws takes long enough for one stream to come meanwhile, on any CPU.
  const bool draws = streams == 1 && plan.steps.size() == 1 && plan.steps[0].draws;
  if (fetching == Fetching::single_streams && !draws && !plan.has_joined() &&
      (!plan.fetches || streams > 1)) {
    plan.fetches = false;
    return;
  }
  fetch_in_segments(plan, fetching == Fetching::single_streams && !draws);
}

}  // namespace tapestry::kernels
