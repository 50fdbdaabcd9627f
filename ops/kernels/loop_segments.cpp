// Segments: the single instructions of a plan, put together into as few runs as what comes between them
// allows, the reductions of rows mostly.
#include <tapestry/ops/kernels/loop_drawing.hpp>
#include <tapestry/ops/kernels/loop_lowering.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace tapestry::kernels {

class Gathering {
 public:
  explicit Gathering(Lowering& lowering)
      : lowering_(lowering), plan_(lowering.plan_), slots_(lowering.slots_), all_(std::move(plan_.steps)) {
    plan_.steps.clear();
    for (std::size_t i = 0; i < all_.size(); ++i) maker_[all_[i].result] = i;
    placed_.resize(all_.size());
  }

  /// What is between comes as early as its operands allow; a single instruction waits for the first that
  /// needs it, so that as much as possible of what uses its result is in the same segment.
  void run() {
    read_as_stored();
    draw_in_segments();
    write_converted();
    sum_columns();
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if (is_single(i) || placed_[i]) continue;
      if (needs_segment(i) || reduces_leaf(i)) place_segment(needed_from(i));
      if (!placed_[i]) place(i);  // a segment may have taken it in
    }
    std::vector<std::size_t> rest;
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if (!placed_[i]) rest.push_back(i);
    }
    if (!rest.empty()) place_segment(rest);
    note_reads();
  }

 private:
  bool is_single(std::size_t i) const { return all_[i].kind == Step::Kind::single; }

  std::span<const int> operands(std::size_t i) const {
    return {all_[i].slots.data(), std::size_t(all_[i].operands)};
  }

  /// Adds the steps that have to come before i. False if one of them is itself not a single, and not placed
  /// yet.
  bool add_needed(std::size_t i, std::vector<std::size_t>& needed) const {
    for (const int slot : operands(i)) {
      const auto maker = maker_.find(slot);
      if (maker == maker_.end() || placed_[maker->second]) continue;
      const std::size_t step = maker->second;
      if (std::ranges::find(needed, step) != needed.end()) continue;
      if (!is_single(step) || !add_needed(step, needed)) return false;
      needed.push_back(step);
    }
    return true;
  }

  bool needs_segment(std::size_t i) const {
    std::vector<std::size_t> needed;
    add_needed(i, needed);
    return !needed.empty();
  }

  /// The singles that step i waits for, and those that later ones do if they wait for nothing else.
  std::vector<std::size_t> needed_from(std::size_t i) const {
    std::vector<std::size_t> all;
    for (std::size_t later = i; later < all_.size(); ++later) {
      if (is_single(later)) continue;
      std::vector<std::size_t> needed = all;
      if (add_needed(later, needed)) all = std::move(needed);
    }
    std::ranges::sort(all);
    return all;
  }

  void place(std::size_t i) {
    placed_[i] = true;
    if (all_[i].kind == Step::Kind::pick) read_as_stored(all_[i]);
    place_step(all_[i]);
  }

  /// What single elements are read of may be bf16, or a row that is the same for all.
  void read_as_stored(Step& pick) const {
    const int slot = pick.slots[0];
    const DType dtype = stored_as(slot);
    pick.load = find_load(plan_.loop.lane, dtype);
    pick.strides[0] = columns_.contains(slot) ? 0 : plan_.row_elements * std::int64_t(size_of(dtype));
    pick.steps[0] = std::int64_t(size_of(dtype));
  }

  void place_step(const Step& step) {
    plan_.steps.push_back(step);
    slots_.set_first(step.result, int(plan_.steps.size()) - 1);
  }

  /// Is it made again in each segment that reads it? One cheap instruction takes less than to store its
  /// results and to read them.
  bool is_made_again(std::size_t i) const {
    const Code code = all_[i].code;
    const bool is_cheap = code == Code::add || code == Code::sub || code == Code::mul || code == Code::neg;
    return is_single(i) && is_cheap && std::ranges::none_of(operands(i), [&](int slot) {
             return maker_.contains(slot) && is_single(maker_.at(slot));
           });
  }

  /// With those of earlier segments that are made again.
  std::vector<std::size_t> with_earlier(std::vector<std::size_t> steps) const {
    const std::size_t count = steps.size();
    for (std::size_t n = 0; n < count; ++n) {
      for (const int slot : operands(steps[n])) {
        const auto maker = maker_.find(slot);
        if (maker != maker_.end() && is_made_again(maker->second) &&
            std::ranges::find(steps, maker->second) == steps.end()) {
          steps.push_back(maker->second);
        }
      }
    }
    std::ranges::sort(steps);
    return steps;
  }

  void place_segment(const std::vector<std::size_t>& needed) {
    const std::vector<std::size_t> steps = with_earlier(needed);
    const auto is_first = [&](std::size_t i) { return std::ranges::find(needed, i) != needed.end(); };
    Segment segment;
    std::map<int, int> numbers;  // of slots
    std::set<std::size_t> here(steps.begin(), steps.end());
    const auto makes = [&](int slot) {
      const auto maker = maker_.find(slot);
      return maker != maker_.end() && here.contains(maker->second);
    };
    const auto read = [&](std::size_t i) {
      for (std::size_t k = 0; k < operands(i).size(); ++k) {
        const int slot = all_[i].slots[k];
        if (makes(slot) || numbers.contains(slot)) continue;
        numbers[slot] = int(segment.inputs.size());
        segment.inputs.push_back({from_of(slot, all_[i].levels[k]), slot, stored_as(slot)});
        if (drawn_.contains(slot)) segment.inputs.back().drawing = drawn_.at(slot);
      }
    };
    for (const std::size_t i : steps) {
      placed_[i] = true;
      read(i);
    }
    std::vector<std::size_t> reductions;
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if (placed_[i] || !reduction_of(i) || !(makes(all_[i].slots[0]) || reduces_leaf(i))) continue;
      reductions.push_back(i);
      read(i);
    }
    for (const std::size_t i : steps) {
      Segment::Step made{.code = all_[i].code, .of_words = all_[i].of_words};
      for (std::size_t k = 0; k < operands(i).size(); ++k) made.operands[k] = numbers.at(all_[i].slots[k]);
      numbers[all_[i].result] = int(segment.inputs.size() + segment.steps.size());
      segment.steps.push_back(made);
    }
    const int at = int(plan_.steps.size());
    for (const std::size_t i : reductions) {
      placed_[i] = true;
      here.insert(i);
      segment.outputs.push_back({numbers.at(all_[i].slots[0]), all_[i].result, *reduction_of(i)});
      slots_.set_first(all_[i].result, at);
    }
    for (const std::size_t i : steps) {
      const int slot = all_[i].result;
      if (!is_first(i)) continue;
      if (is_read_outside(slot, here)) {
        segment.outputs.push_back({numbers.at(slot), slot, To::element});
        slots_.set_first(slot, at);
      } else {
        slots_.drop(slot);
      }
    }
    std::erase_if(wanted_, [&](const Wanted& wanted) {
      const auto number = numbers.find(wanted.slot);
      if (number == numbers.end()) return false;
      segment.outputs.push_back({number->second, wanted.as, wanted.to});
      return true;
    });
    plan_.steps.push_back(
        {.kind = Step::Kind::segment,
         .level = Level::element,
         .segment = int(plan_.segments.size()),
         .draws = std::ranges::any_of(segment.inputs,
                                      [](const Segment::Input& input) { return input.drawing >= 0; }),
         .has_rows = segment.has_rows()});
    plan_.segments.push_back(std::move(segment));
  }

  DType stored_as(int slot) const {
    const auto found = stored_as_.find(slot);
    return found == stored_as_.end() ? DType::f32 : found->second;
  }

  From from_of(int slot, Level level) const {
    if (columns_.contains(slot)) return From::column;
    if (rows_.contains(slot)) return From::row;
    return level == Level::block ? From::block : level == Level::row ? From::row : From::element;
  }

  /// What it is to a segment if it reduces each row, and a segment can keep that in a register.
  std::optional<To> reduction_of(std::size_t i) const {
    const auto is = [&](Reduce r) { return all_[i].reducer == &find_reducer(plan_.loop.lane, r); };
    if (all_[i].kind != Step::Kind::fold || plan_.row_elements < kLongRow) return {};
    if (is(Reduce::max)) return To::row_max;
    if (is(Reduce::min)) return To::row_min;
    if (is(Reduce::sum) && plan_.row_elements <= kMostSummedColumns) return To::row_sum;
    return {};
  }

  /// The same of what no step makes.
  bool reduces_leaf(std::size_t i) const { return reduction_of(i) && !maker_.contains(all_[i].slots[0]); }

  /// By a step of another segment, as an output or by what reduces to one?
  bool is_read_outside(int slot, const std::set<std::size_t>& here) const {
    const auto has_it = [&](const auto& output) { return output.slot == slot; };
    const bool again = is_made_again(maker_.at(slot));
    return std::ranges::any_of(lowering_.direct_outputs_,
                               [&](const auto& o) { return o.second.slot == slot; }) ||
           std::ranges::any_of(plan_.fulls, has_it) || std::ranges::any_of(plan_.reduceds, has_it) ||
           is_read(slot, [&](std::size_t i) { return !here.contains(i) && !(again && is_single(i)); });
  }

  template <class Which>
  bool is_read(int slot, const Which& which) const {
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if (which(i) && std::ranges::find(operands(i), slot) != operands(i).end()) return true;
    }
    return false;
  }

  /// Of what only segments read, bf16 and booleans are converted on the way, and a row that is the same for
  /// all slices is repeated, as is the value of each slice.
  void read_as_stored() {
    for (Leaf& leaf : plan_.leaves) {
      if (leaf.kind != Leaf::Kind::tile || leaf.input < 0 || leaf.random || leaf.level != Level::element)
        continue;
      const DType dtype = plan_.loop.inputs[std::size_t(leaf.input)].dtype;
      const bool dense = lowering_.block_.is_dense(leaf.strides, leaf.level) && !leaf.steady;
      const bool columns = !dense && is_columns(leaf.strides);
      const bool rows = dtype == DType::f32 && is_rows(leaf.strides);
      if (dtype != DType::bf16 && dtype != DType::boolean && (dtype != DType::f32 || dense)) continue;
      if ((!dense && !columns && !rows) || slots_.last_read(leaf.slot) == Slots::kEnd ||
          !is_read_by_singles(leaf.slot))
        continue;
      leaf.kind = Leaf::Kind::direct;
      slots_.drop(leaf.slot);
      stored_as_[leaf.slot] = dtype;
      if (columns) columns_.insert(leaf.slot);
      if (rows) {
        rows_.insert(leaf.slot);
        leaf.fetched = true;  // there is next to nothing to fetch
      }
    }
  }

  /// Random numbers that only segments read: they draw them.
  void draw_in_segments() {
    for (Leaf& leaf : plan_.leaves) {
      if (!leaf.random || slots_.last_read(leaf.slot) == Slots::kEnd || !is_read_by_singles(leaf.slot) ||
          is_read(leaf.slot, [&](std::size_t i) { return all_[i].kind == Step::Kind::pick; }))
        continue;
      leaf.drawing = drawn_[leaf.slot] = slots_.add_memory(sizeof(Drawing), true, Slots::kBegin);
      for (Step& step : all_) compare_words(step, leaf.slot);
    }
  }

  /// Compared with a constant, words needn't become numbers: these are multiples of 2^-24.
  void compare_words(Step& step, int words) {
    if (step.kind != Step::Kind::single || step.code < Code::lt || step.code > Code::ge) return;
    const std::size_t side = step.slots[0] == words ? 0 : 1;
    const auto& constants = lowering_.constant_values_;
    const auto other = std::ranges::find(constants, step.slots[1 - side], &Value::slot);
    if (step.slots[side] != words || other == constants.end()) return;
    float limit = 0;
    std::memcpy(&limit, &plan_.constants[std::size_t(other - constants.begin())], sizeof limit);
    const bool or_equal = step.code == Code::le || step.code == Code::ge;
    const bool is_upper = (step.code == Code::lt || step.code == Code::le) == (side == 0);
    // The multiples below `below` are the smaller ones.
    const double scaled = double(limit) * 0x1p24;
    const double below = or_equal == is_upper ? std::floor(scaled) + 1 : std::ceil(scaled);
    if (!(below >= 1 && below <= 0x1p24)) return;
    LoopPlan::Constant bound;
    const auto last = std::uint32_t(below * 256 - 1);
    for (std::size_t at = 0; at < bound.bytes.size(); at += sizeof last) {
      std::memcpy(&bound.bytes[at], &last, sizeof last);
    }
    const int slot = slots_.add();
    slots_.set_offset(slot, LoopPlan::kConstant + std::int64_t(plan_.constants.size()) * kVectorBytes);
    plan_.constants.push_back(bound);
    step.of_words = true;
    step.code = is_upper ? Code::le : Code::gt;
    step.slots = {words, slot};
    step.levels = {Level::element, Level::block};
  }

  /// By them, by what reduces rows, and as what single elements are picked of, if by anything.
  bool is_read_by_singles(int slot) const {
    const auto reads = [&](const Step& step) {
      return std::find(step.slots.begin(), step.slots.begin() + step.operands, slot) !=
             step.slots.begin() + step.operands;
    };
    return std::ranges::none_of(plan_.steady_steps, reads) && !is_read(slot, [&](std::size_t i) {
             return !is_single(i) && !reduction_of(i) &&
                    (all_[i].kind != Step::Kind::pick || all_[i].slots[1] == slot);
           });
  }

  /// Are slices the rows of segments, and long enough to go over one by one?
  bool has_slices() const {
    return plan_.block_slices > 1 && plan_.slice_elements >= kLongRow &&
           (!plan_.loop.row || plan_.split == plan_.row - 1);
  }

  /// A value for each element of a slice, in order, and the same for all slices?
  bool is_columns(const Shape& strides) const {
    std::int64_t expected = 1;
    for (int d = plan_.rank - 1; d > plan_.split; --d) {
      if (strides[d] != expected && plan_.extents[std::size_t(d)] != 1) return false;
      expected *= plan_.extents[std::size_t(d)];
    }
    return has_slices() && strides[plan_.split] == 0;
  }

  /// A value for each slice, in order?
  bool is_rows(const Shape& strides) const {
    const auto inner = strides.begin() + plan_.split + 1;
    return has_slices() && !plan_.loop.row && strides[plan_.split] == 1 &&
           std::all_of(inner, strides.begin() + plan_.rank, [](auto stride) { return stride == 0; });
  }

  void write_converted() {
    for (FullOutput& full : plan_.fulls) {
      const LoopOutput& output = plan_.loop.outputs[std::size_t(full.output)];
      if (full.direct || (output.dtype != DType::bf16 && output.dtype != DType::boolean) ||
          full.level != Level::element || !is_single_result(full.slot) ||
          !lowering_.block_.is_dense(full.strides, full.level)) {
        continue;
      }
      wanted_.push_back({full.slot, slots_.add(), output.dtype == DType::bf16 ? To::bf16 : To::boolean});
      full.slot = wanted_.back().as;
      full.direct = true;
      full.streams = plan_.streams;
      lowering_.direct_outputs_[std::size_t(full.output)] = {full.slot, 0};
    }
  }

  bool is_single_result(int slot) const {
    const auto maker = maker_.find(slot);
    return maker != maker_.end() && is_single(maker->second);
  }

  /// Sums of columns are gathered in a panel, of up to kMostPanelRows before they join the accumulators.
  void sum_columns() {
    if (!has_slices() || plan_.block_slices > kMostPanelRows) return;
    for (ReducedOutput& reduced : plan_.reduceds) {
      const bool read = is_read(reduced.slot, [&](std::size_t i) { return is_single(i); });
      const bool is_leaf = std::ranges::any_of(plan_.leaves, [&](const Leaf& leaf) {
        return leaf.slot == reduced.slot && leaf.kind == Leaf::Kind::direct && leaf.level == Level::element;
      });
      const auto outer = reduced.strides.begin();
      if (reduced.reducer != &find_reducer(plan_.loop.lane, Reduce::sum) || reduced.level != Level::element ||
          reduced.groups != 2 || reduced.group_kept[0] || reduced.group_extents[0] != 1 ||
          !std::all_of(outer, outer + plan_.split + 1, [](auto s) { return s == 0; }) ||
          !(is_single_result(reduced.slot) || (is_leaf && read))) {
        continue;
      }
      const int panel = slots_.add_memory(plan_.slice_elements * plan_.lane_bytes, true, Slots::kBegin);
      wanted_.push_back({reduced.slot, panel, To::column_sum});
      reduced.slot = panel;
      reduced.panel = true;
    }
  }

  void note_reads() {
    slots_.forget_reads();
    for (int at = 0; at < int(plan_.steps.size()); ++at) {
      const Step& step = plan_.steps[std::size_t(at)];
      const auto writes = [&](int slot) {
        for (auto& [output, direct] : lowering_.direct_outputs_) {
          if (direct.slot == slot) direct.when = at;
        }
      };
      if (step.kind == Step::Kind::segment) {
        const Segment& segment = plan_.segments[std::size_t(step.segment)];
        for (const Segment::Input& input : segment.inputs) {
          // A scalar is read for each row, after sums of earlier rows were written.
          slots_.read(input.slot, input.from == From::block ? at + 1 : at);
        }
        for (const Segment::Output& output : segment.outputs) writes(output.slot);
      } else {
        for (int k = 0; k < step.operands; ++k) slots_.read(step.slots[std::size_t(k)], at);
        writes(step.result);
      }
    }
    for (const FullOutput& full : plan_.fulls) {
      if (!full.direct) slots_.read(full.slot, Slots::kEnd);
    }
    for (const ReducedOutput& reduced : plan_.reduceds) slots_.read(reduced.slot, Slots::kEnd);
  }

  Lowering& lowering_;
  LoopPlan& plan_;
  Slots& slots_;
  std::vector<Step> all_;
  std::map<int, std::size_t> maker_;  // of slots
  std::vector<bool> placed_;
  std::set<int> columns_, rows_;    // slots that segments read as such
  std::map<int, DType> stored_as_;  // slots that they convert
  std::map<int, int> drawn_;        // slots that they draw, and those of Drawings
  struct Wanted {
    int slot;  // of the value
    int as;    // the slot for it in this form
    To to;
  };
  std::vector<Wanted> wanted_;
};

void Lowering::gather_segments() { Gathering(*this).run(); }

}  // namespace tapestry::kernels
