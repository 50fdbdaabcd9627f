// What is called for each block: steps one after the other, or, where a piece of machine code can do several
// of them, one row after the other.
#include <tapestry/ops/kernels/gemm_bf16.hpp>
#include <tapestry/ops/kernels/loop_lowering.hpp>

#include <algorithm>
#include <map>
#include <span>
#include <utility>
#include <vector>

namespace tapestry::kernels {
namespace {

/// What is computed once a row, by an instruction that segments have, too.
bool is_of_rows(const LoopPlan& plan, const Step& step) {
  return step.kind == Step::Kind::sweep && step.level == Level::row && can_assemble(step.code) &&
         step.sweep == find_sweep(plan.loop.lane, step.code);
}

std::span<const int> operands_of(const Step& step) { return {step.slots.data(), std::size_t(step.operands)}; }

/// Is the slot read by a step that isn't one of [first, end), or after all of them?
bool is_read_outside(const LoopPlan& plan, int slot, int first, int end) {
  for (int i = 0; i < int(plan.steps.size()); ++i) {
    if (i >= first && i < end) continue;
    const Step& step = plan.steps[std::size_t(i)];
    if (step.kind == Step::Kind::segment) {
      const auto& inputs = plan.segments[std::size_t(step.segment)].inputs;
      if (std::ranges::find(inputs, slot, &Segment::Input::slot) != inputs.end()) return true;
    } else if (std::ranges::find(operands_of(step), slot) != operands_of(step).end()) {
      return true;
    }
  }
  return std::ranges::find(plan.fulls, slot, &FullOutput::slot) != plan.fulls.end() ||
         std::ranges::find(plan.reduceds, slot, &ReducedOutput::slot) != plan.reduceds.end();
}

/// Steps [first, end), all of them once a row.
Segment segment_of_rows(const LoopPlan& plan, int first, int end) {
  Segment segment{.is_of_rows = true};
  std::map<int, int> numbers;  // of slots
  const auto steps = std::span(plan.steps).subspan(std::size_t(first), std::size_t(end - first));
  const auto is_made = [&](int slot) { return std::ranges::find(steps, slot, &Step::result) != steps.end(); };
  for (const Step& step : steps) {
    for (std::size_t k = 0; k < operands_of(step).size(); ++k) {
      const int slot = step.slots[k];
      if (is_made(slot) || numbers.contains(slot)) continue;
      numbers[slot] = int(segment.inputs.size());
      segment.inputs.push_back({step.levels[k] == Level::block ? From::block : From::row, slot});
    }
  }
  for (const Step& step : steps) {
    Segment::Step made{.code = step.code};
    for (std::size_t k = 0; k < operands_of(step).size(); ++k) made.operands[k] = numbers.at(step.slots[k]);
    const int number = numbers[step.result] = int(segment.inputs.size() + segment.steps.size());
    segment.steps.push_back(made);
    if (is_read_outside(plan, step.result, first, end)) {
      segment.outputs.push_back({number, step.result, To::row});
    }
  }
  return segment;
}

/// Steps [first, end) as segments that take turns.
std::vector<Segment> segments_of(const LoopPlan& plan, int first, int end) {
  std::vector<Segment> all;
  while (first < end) {
    const auto is_segment = [&](int i) { return plan.steps[std::size_t(i)].kind == Step::Kind::segment; };
    if (is_segment(first)) {
      all.push_back(plan.segments[std::size_t(plan.steps[std::size_t(first++)].segment)]);
      continue;
    }
    const int begin = first;
    while (first < end && !is_segment(first)) ++first;
    all.push_back(segment_of_rows(plan, begin, first));
  }
  return all;
}

/// A vector of booleans is a quarter of a cache line, which is written once all are there: on AMD's CPUs that
/// is better than to copy a block of them, on others it wasn't measured.
bool writes_past(To to) {
  return to == To::element || (to == To::bf16 && cpu_multiplies_bf16()) ||
         (to == To::boolean && __builtin_cpu_is("amd"));
}

/// Marks outputs that are written past the caches, if they lie well.
void write_past(LoopPlan& plan, Segment& segment) {
  for (Segment::Output& output : segment.outputs) {
    const auto full = std::ranges::find(plan.fulls, output.slot, &FullOutput::slot);
    if (full == plan.fulls.end() || !full->direct || !full->streams) continue;
    // What is reduced after the segment is read once more.
    if (std::ranges::find(plan.reduceds, output.slot, &ReducedOutput::slot) != plan.reduceds.end()) continue;
    if (!writes_past(output.to)) continue;
    output.streams = full->in_segment = true;
  }
}

}  // namespace

Joining joining_of_this_cpu() { return __builtin_cpu_is("amd") ? Joining::large : Joining::none; }

/// All that goes over elements, one segment after the other, if nothing else is in between.
void Lowering::join_steps() {
  if (!plan_.joins) return;
  const auto is_segment = [](const Step& step) { return step.kind == Step::Kind::segment; };
  // One that draws starts anew with each block.
  const auto stays = [&](const Step& step) {
    return (is_segment(step) && !step.draws) || is_of_rows(plan_, step);
  };
  const auto& steps = plan_.steps;
  const auto first = std::ranges::find_if(steps, stays);
  const auto end = std::find_if_not(first, steps.end(), stays);
  const auto is_once_a_row = [](const Step& step) {
    return step.kind == Step::Kind::pick || (step.kind == Step::Kind::sweep && step.level != Level::element);
  };
  if (std::count_if(first, end, is_segment) < 2 || !std::all_of(steps.begin(), first, is_once_a_row) ||
      !std::all_of(end, steps.end(), is_once_a_row))
    return;
  plan_.joined = {int(first - steps.begin()), int(end - steps.begin())};
  slots_.join(plan_.joined.first, plan_.joined.end);
}

bool make_calls(LoopPlan& plan) {
  const int count = int(plan.steps.size());
  for (int first = 0, end = 0; first < count; first = end) {
    const bool is_joined = first == plan.joined.first && plan.has_joined();
    const Step& step = plan.steps[std::size_t(first)];
    end = is_joined ? plan.joined.end : first + 1;
    LoopPlan::Call& call = plan.calls.emplace_back();
    call.step = first;
    if (!is_joined && step.kind != Step::Kind::segment) continue;
    std::vector<Segment> segments = segments_of(plan, first, end);
    call.has_rows = is_joined || step.has_rows;
    call.assembled = assemble(segments);
    if (!call.assembled) return false;
    if (!plan.streams) continue;
    for (Segment& segment : segments) write_past(plan, segment);
    call.streaming = assemble(segments);
    if (!call.streaming) return false;
  }
  return true;
}

}  // namespace tapestry::kernels
