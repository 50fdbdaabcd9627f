#include <tapestry/ops/kernels/loop_assembler.hpp>

#include <algorithm>
#include <map>
#include <mutex>
#include <span>
#include <vector>

namespace tapestry::kernels {

bool Segment::has_rows() const {
  return std::ranges::any_of(inputs,
                             [](const Input& i) { return i.from == From::row || i.from == From::column; }) ||
         std::ranges::any_of(outputs, [](const Output& o) { return o.to >= To::column_sum; });
}

bool can_assemble(Code code) {
  switch (code) {
    case Code::copy:
    case Code::neg:
    case Code::abs:
    case Code::sqrt:
    case Code::exp:
    case Code::erf:
    case Code::gelu_slope:
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

/// Translated so that as many constants are in registers as there is room for: what is kept needs none in
/// passing, so the first try that leaves enough is found from above. False if not even one without is.
bool translate(SegmentAssembler& assembler) {
  const auto fits = [&](int kept) {
    try {
      assembler.run(kept);
      return true;
    } catch (OutOfRegisters) {
      return false;
    }
  };
  if (!fits(0)) return false;
  int kept = assembler.wanted();
  while (!fits(kept)) --kept;
  return true;
}

bool translate(const Segment& segment, std::size_t constants_before, std::vector<SegmentAssembler>& all) {
  for (const int vectors : {2, 1}) {
    const std::vector<RowValue> given = all.empty() ? std::vector<RowValue>{} : all.back().left();
    SegmentAssembler& assembler = all.emplace_back(segment, vectors, constants_before, given);
    if (translate(assembler)) return true;
    all.pop_back();
  }
  return false;
}

std::shared_ptr<const AssembledSegment> make(std::span<const Segment> segments) {
  std::vector<SegmentAssembler> all;
  std::vector<float> constants;
  for (const Segment& segment : segments) {
    if (!translate(segment, constants.size(), all)) return nullptr;
    const std::vector<float>& more = all.back().constants();
    constants.insert(constants.end(), more.begin(), more.end());
  }
  auto made = std::make_shared<const AssembledSegment>(function_of(all), constants);
  return made->is_runnable() ? made : nullptr;
}

/// Adds all that the code depends on.
void add_key(const Segment& segment, std::vector<int>& key) {
  for (const Segment::Input& i : segment.inputs) {
    key.insert(key.end(), {int(i.from), i.slot, int(i.dtype), i.ahead, int(i.into_second), i.drawing});
  }
  key.push_back(-1);
  for (const Segment::Step& s : segment.steps) {
    key.insert(key.end(), {int(s.code), s.operands[0], s.operands[1], s.operands[2], int(s.of_words)});
  }
  key.push_back(-1);
  for (const Segment::Output& o : segment.outputs) {
    key.insert(key.end(), {o.value, o.slot, int(o.to), int(o.streams)});
  }
  key.push_back(-2 - int(segment.is_of_rows));
}

/// The segments that somebody has. What nobody has any more is forgotten whenever as many again have come as
/// were left the last time.
class Segments {
 public:
  std::shared_ptr<const AssembledSegment> find_or_make(std::span<const Segment> segments) {
    const std::lock_guard lock(mutex_);
    std::vector<int> key;
    for (const Segment& segment : segments) add_key(segment, key);
    const auto found = all_.find(key);
    if (found != all_.end()) {
      if (auto known = found->second.lock()) return known;
    }
    auto made = make(segments);
    if (!made) return nullptr;
    all_.insert_or_assign(std::move(key), made);
    if (all_.size() > most_) {
      std::erase_if(all_, [](const auto& entry) { return entry.second.expired(); });
      most_ = std::max(kLeast, 2 * all_.size());
    }
    return made;
  }

  std::size_t size() {
    const std::lock_guard lock(mutex_);
    return all_.size();
  }

 private:
  static constexpr std::size_t kLeast = 64;
  std::mutex mutex_;
  std::map<std::vector<int>, std::weak_ptr<const AssembledSegment>> all_;
  std::size_t most_ = kLeast;
};

/// Never destroyed: a static object may compile a loop as the process ends.
Segments& segments() {
  static Segments& all = *new Segments;
  return all;
}

}  // namespace

std::shared_ptr<const AssembledSegment> assemble(std::span<const Segment> all) {
  return segments().find_or_make(all);
}

std::size_t remembered_segments() { return segments().size(); }

}  // namespace tapestry::kernels
