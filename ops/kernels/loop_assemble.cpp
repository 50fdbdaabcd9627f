#include <tapestry/ops/kernels/loop_assembler.hpp>

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

namespace tapestry::kernels {

bool Segment::has_rows() const {
  return std::ranges::any_of(inputs,
                             [](const Input& i) { return i.from == From::row || i.from == From::column; }) ||
         std::ranges::any_of(outputs,
                             [](const Output& o) { return o.to == To::row_sum || o.to == To::column_sum; });
}

bool can_assemble(Code code) {
  switch (code) {
    case Code::copy:
    case Code::neg:
    case Code::abs:
    case Code::sqrt:
    case Code::exp:
    case Code::erf:
    case Code::floor:
    case Code::logical_not:
    case Code::logical_and:
    case Code::mul_no_nan:
    case Code::select:
    case Code::mul_add:
      return true;
    default:
      return code >= Code::add && code <= Code::ge && code != Code::pow;
  }
}

namespace {

std::shared_ptr<const AssembledSegment> make(const Segment& segment) {
  try {
    SegmentAssembler assembler(segment);
    assembler.run(0);
    assembler.run(assembler.spare());
    auto made = std::make_shared<const AssembledSegment>(assembler.code(), assembler.constants());
    return made->is_runnable() ? made : nullptr;
  } catch (OutOfRegisters) {
    return nullptr;
  }
}

/// All that the code depends on.
std::vector<int> key_of(const Segment& segment) {
  std::vector<int> key{int(segment.fetches)};
  for (const Segment::Input& i : segment.inputs) {
    key.insert(key.end(), {int(i.from), i.slot, int(i.is_bf16)});
  }
  key.push_back(-1);
  for (const Segment::Step& s : segment.steps) {
    key.insert(key.end(), {int(s.code), s.operands[0], s.operands[1], s.operands[2]});
  }
  key.push_back(-1);
  for (const Segment::Output& o : segment.outputs) key.insert(key.end(), {o.value, o.slot, int(o.to)});
  return key;
}

}  // namespace

std::shared_ptr<const AssembledSegment> assemble(const Segment& segment) {
  static std::mutex mutex;
  static std::map<std::vector<int>, std::weak_ptr<const AssembledSegment>> all;
  const std::lock_guard lock(mutex);
  std::weak_ptr<const AssembledSegment>& entry = all[key_of(segment)];
  auto found = entry.lock();
  if (!found) entry = found = make(segment);
  return found;
}

}  // namespace tapestry::kernels
