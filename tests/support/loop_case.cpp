#include "loop_case.hpp"

#include <tapestry/ops/kernels/loop_plan.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

namespace tapestry::kernels {
namespace {

template <class T>
T one_of(Generator& random, std::initializer_list<T> values) {
  return values.begin()[random() % values.size()];
}

Shape random_extents(Generator& random) {
  const int kind = int(random() % 8);
  if (kind == 0) return {below(random, 300000)};
  if (kind == 1) return {below(random, 400), below(random, 400)};
  if (kind == 2) return {below(random, 5), below(random, 40000)};
  if (kind == 3) return {below(random, 40000), below(random, 5)};
  Shape extents;
  const int rank = int(random() % 6);
  for (int d = 0; d < rank; ++d)
    extents.push_back(one_of<std::int64_t>(random, {1, 1, 2, 3, 5, 8, 16, 17, 33}));
  if (rank > 0 && random() % 16 == 0) extents[int(random() % std::uint32_t(rank))] = 0;
  return extents;
}

// Row-major, permuted, sliced or flipped.
Shape random_full_strides(Generator& random, const Shape& extents) {
  Shape strides = strides_of(extents);
  if (random() % 2) return strides;
  std::vector<int> order;
  for (int d = 0; d < extents.rank(); ++d) order.push_back(d);
  if (random() % 2) std::ranges::shuffle(order, random);
  std::int64_t stride = one_of<std::int64_t>(random, {1, 1, 2});
  for (auto d = order.rbegin(); d != order.rend(); ++d) {
    strides[*d] = random() % 6 == 0 ? -stride : stride;
    stride *= extents[*d] + (random() % 6 == 0);
  }
  return strides;
}

Shape random_strides(Generator& random, const Shape& extents) {
  Shape strides = random_full_strides(random, extents);
  const auto kind = random() % 3;
  if (kind == 0) return strides;
  if (kind == 1) return Shape::filled(extents.rank(), 0);
  Shape kept = extents;
  for (int d = 0; d < extents.rank(); ++d) {
    if (random() % 2) kept[d] = 1;
  }
  strides = random_full_strides(random, kept);
  for (int d = 0; d < extents.rank(); ++d) {
    if (kept[d] == 1) strides[d] = 0;
  }
  return strides;
}

DType random_dtype(Generator& random) { return DType(random() % 7); }

Operand random_operand(Generator& random, const Loop& loop) {
  const auto kind = random() % 8;
  if (kind == 0) return Operand::constant(one_of(random, {0.0, -1.0, 2.5, 3.0}));
  if (kind < 5 && !loop.code.empty()) {
    const auto back = std::min<std::size_t>(loop.code.size(), 1 + random() % 4);
    return Operand::result(loop.code.size() - back);
  }
  if (loop.inputs.empty()) return Operand::constant(1);
  return Operand::input(random() % loop.inputs.size());
}

// Instructions whose results are defined to the bit.
Code random_code(Generator& random, Lane lane, int rank) {
  for (;;) {
    const auto code = Code(random() % (std::size_t(Code::index) + 1));
    if (code == Code::index && rank == 0) continue;
    if ((code >= Code::exp && code <= Code::erf) || code == Code::pow) continue;
    if (lane == Lane::i64 && code == Code::sqrt) continue;
    return code;
  }
}

bool has_defined_conversion(long double value, DType dtype) {
  if (dtype == DType::boolean || is_floating(dtype)) return true;
  if (std::isnan(value)) return false;
  if (dtype == DType::u8) return value > -1 && value < 256;
  return std::abs(value) < (dtype == DType::i32 ? 0x1p31L : 0x1p62L);
}

long double converted(long double value, Lane lane, DType dtype) {
  const auto in_lane = [&]() -> long double {
    return lane == Lane::f32 ? float(value) : lane == Lane::f64 ? double(value) : value;
  }();
  switch (dtype) {
    case DType::f32:
      return float(in_lane);
    case DType::f64:
      return double(in_lane);
    case DType::bf16:
      return float(bf16(float(in_lane)));
    case DType::boolean:
      return in_lane != 0;
    default:
      return std::trunc(in_lane);
  }
}

/// Runs it, with outputs in the memory of the inputs that `shared` says (-1: none), or in a copy of it.
template <class Run>
std::vector<Storage> run(const Loop& loop, std::size_t scratch_bytes, const Run& run_it,
                         std::vector<Storage> inputs, const std::vector<int>& shared, bool in_place) {
  std::vector<Storage> outputs;
  for (const LoopOutput& output : loop.outputs) {
    const int from = shared[outputs.size()];
    outputs.push_back(from < 0 ? Storage(loop.extents, output.strides, output.dtype)
                               : inputs[std::size_t(from)]);
  }
  std::vector<const void*> from;
  std::vector<void*> to;
  for (Storage& input : inputs) from.push_back(input.data());
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    to.push_back(shared[o] < 0 || !in_place ? outputs[o].data() : inputs[std::size_t(shared[o])].data());
  }
  std::vector<std::byte> scratch(scratch_bytes + 64, std::byte{0xcd});
  void* aligned = scratch.data();
  std::size_t space = scratch.size();
  std::align(64, scratch_bytes, aligned, space);
  run_it(from, to, aligned);
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    if (shared[o] >= 0 && in_place) outputs[o] = inputs[std::size_t(shared[o])];
  }
  return outputs;
}

}  // namespace

std::int64_t below(Generator& random, std::int64_t limit) {
  return std::int64_t(random() % std::uint32_t(limit));
}

Storage::Storage(const Shape& extents, const Shape& strides, DType type) : dtype(type) {
  std::int64_t low = 0, high = 0;
  for (int d = 0; d < extents.rank(); ++d) {
    const std::int64_t reach = std::max<std::int64_t>(extents[d] - 1, 0) * strides[d];
    (reach < 0 ? low : high) += reach;
  }
  bytes.assign(std::size_t(high - low + 1) * size_of(dtype), std::byte{0x5a});
  zero = -low;
}

void Storage::fill(Generator& random, bool special) {
  visit_dtype(dtype, [&](auto t) {
    using T = decltype(t);
    for (std::size_t i = 0; i < bytes.size(); i += sizeof(T)) {
      double value = double(below(random, 2001) - 1000) / (is_floating(dtype) ? 64 : 10);
      if (special && random() % 16 == 0) {
        value =
            one_of(random, {0.0, -0.0, 1.0, double(INFINITY), -double(INFINITY), double(NAN), 1e30, 1e-30});
      }
      if (!is_floating(dtype) && !(std::abs(value) < 200)) value = 7;
      if (dtype == DType::u8 || dtype == DType::boolean) value = std::abs(value);
      T element{};
      if constexpr (std::is_same_v<T, bool>) {
        element = value > 50;
      } else if constexpr (std::is_same_v<T, bf16>) {
        element = bf16(float(value));
      } else {
        element = T(value);
      }
      std::memcpy(&bytes[i], &element, sizeof element);
    }
  });
}

namespace {

/// Adds an instruction that reduces rows. Sums are of what is exact: then all that follows is, too.
void reduce_rows(Generator& random, Loop& loop) {
  Instruction instruction{.code = Code::row_sum};
  if (random() % 4 == 0) {
    instruction = {Code::row_at, random_operand(random, loop),
                   Operand::constant(one_of(random, {-1.0, 0.0, 1.0, 2.5, 3.0, 20.0}))};
  } else if (random() % 2 || loop.inputs.empty()) {
    instruction.code = random() % 2 ? Code::row_max : Code::row_min;
    instruction.a = random_operand(random, loop);
  } else {
    instruction.a = Operand::input(random() % loop.inputs.size());
  }
  loop.code.push_back(instruction);
}

/// Somewhere among the dimensions, if rows have few enough elements to be held.
void choose_rows(Generator& random, Loop& loop) {
  const int rank = loop.extents.rank(), row = int(random() % std::uint32_t(rank + 1));
  std::int64_t elements = 1;
  for (int d = row; d < rank; ++d) elements *= loop.extents[d];
  if (loop.extents.elements() > 0 && elements <= 1000) loop.row = row;
}

/// What is the same for all of a row may be stored or reduced once for each.
void store_per_row(Generator& random, Loop& loop) {
  for (LoopOutput& output : loop.outputs) {
    if (output.value.kind != Operand::Kind::result || random() % 4 == 0) continue;
    if (loop.code[output.value.index].code < Code::row_sum) continue;
    output.per_row = true;
    for (int d = *loop.row; d < loop.extents.rank(); ++d) output.strides[d] = 0;
  }
}

/// The sum and the squared deviations of the same values, which are gathered together.
void add_moments(Generator& random, Loop& loop) {
  const auto reduces = [](const LoopOutput& output) { return output.reduce == Reduce::sum; };
  const auto sum = std::ranges::find_if(loop.outputs, reduces);
  if (sum == loop.outputs.end() || loop.lane == Lane::i64) return;
  LoopOutput squares = *sum;
  squares.reduce = Reduce::squared_deviations;
  loop.outputs.insert(random() % 2 ? loop.outputs.begin() : loop.outputs.end(), squares);
}

}  // namespace

Loop random_loop(Generator& random) {
  Loop loop{.extents = random_extents(random), .lane = Lane(random() % 3)};
  if (random() % 2) choose_rows(random, loop);
  const DType lane_dtype = one_of(random, {DType::f32, DType::f64, DType::i64});
  const auto dtype = [&] { return random() % 2 ? lane_dtype : random_dtype(random); };
  const int rank = loop.extents.rank();
  for (auto n = random() % 5; n > 0; --n) {
    loop.inputs.push_back({dtype(), random_strides(random, loop.extents)});
  }
  for (auto n = random() % (random() % 8 ? 8 : 40); n > 0; --n) {
    Instruction instruction{.code = random_code(random, loop.lane, rank)};
    instruction.a = random_operand(random, loop);
    instruction.b = random_operand(random, loop);
    instruction.c = random_operand(random, loop);
    if (rank > 0) instruction.dim = std::uint8_t(random() % std::uint32_t(rank));
    if (loop.row && random() % 3 == 0) reduce_rows(random, loop);
    loop.code.push_back(instruction);
  }
  for (auto n = 1 + random() % 3; n > 0; --n) {
    LoopOutput output{.value = random_operand(random, loop), .dtype = dtype()};
    Shape kept = loop.extents;
    if (random() % 2) {
      output.reduce = one_of(random, {Reduce::sum, Reduce::sum, Reduce::max, Reduce::min,
                                      loop.lane == Lane::i64 ? Reduce::sum : Reduce::squared_deviations});
      // Rounding makes the integer part of a sum uncertain.
      if (loop.lane != Lane::i64 && !is_floating(output.dtype)) output.dtype = DType::f64;
      for (int d = 0; d < rank; ++d) {
        if (random() % 2) kept[d] = 1;
      }
    }
    output.strides = random() % 4 ? strides_of(kept) : random_full_strides(random, kept);
    for (int d = 0; d < rank; ++d) {
      if (kept[d] == 1) output.strides[d] = 0;
    }
    loop.outputs.push_back(output);
  }
  if (random() % 4 == 0) add_moments(random, loop);
  if (loop.row) store_per_row(random, loop);
  return loop;
}

std::vector<int> shareable(const Loop& loop) {
  std::vector<int> shared(loop.outputs.size(), -1);
  std::vector<bool> taken(loop.inputs.size());
  for (std::size_t o = 0; o < loop.outputs.size(); ++o) {
    const LoopOutput& output = loop.outputs[o];
    if (output.reduce != Reduce::none) continue;
    for (std::size_t i = 0; i < loop.inputs.size() && shared[o] < 0; ++i) {
      if (taken[i] || loop.inputs[i].dtype != output.dtype || loop.inputs[i].strides != output.strides)
        continue;
      taken[i] = true;
      shared[o] = int(i);
    }
  }
  return shared;
}

LoopCase::LoopCase(const Loop& loop, Generator& random) : compiled(loop) {
  // A sum of huge and small numbers isn't exact.
  const bool exact = std::ranges::find(loop.code, Code::row_sum, &Instruction::code) != loop.code.end();
  const bool special = random() % 4 == 0 && !exact;
  for (const LoopInput& input : loop.inputs) {
    inputs.emplace_back(loop.extents, input.strides, input.dtype).fill(random, special);
  }
}

std::vector<Storage> LoopCase::run(bool in_place) const {
  const auto run_it = [&](const auto& from, const auto& to, void* scratch) {
    compiled.run(from, to, scratch);
  };
  return kernels::run(compiled.loop(), compiled.scratch_bytes(), run_it, inputs, shareable(compiled.loop()),
                      in_place);
}

std::vector<Storage> LoopCase::run(const LoopPlan& plan, bool in_place) const {
  const auto run_it = [&](const auto& from, const auto& to, void* scratch) {
    run_plan(plan, from, to, static_cast<std::byte*>(scratch));
  };
  return kernels::run(plan.loop, std::size_t(plan.chunks * plan.chunk_scratch), run_it, inputs,
                      shareable(plan.loop), in_place);
}

std::string difference(const LoopCase& one, const std::vector<Storage>& outputs) {
  const Loop& loop = one.compiled.loop();
  std::vector<const void*> from;
  for (const Storage& input : one.inputs) from.push_back(input.data());
  const std::vector<NaiveResult> expected = evaluate_naively(loop, from);
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    const LoopOutput& output = loop.outputs[o];
    for (std::size_t i = 0; i < expected[o].offsets.size(); ++i) {
      const long double raw = expected[o].values[i];
      if (!has_defined_conversion(raw, output.dtype)) continue;
      const long double want = converted(raw, loop.lane, output.dtype);
      const long double got = load_naively(output.dtype, outputs[o].data(), expected[o].offsets[i]);
      if (want == got || (std::isnan(want) && std::isnan(got))) continue;
      const bool sums = output.reduce == Reduce::sum || output.reduce == Reduce::squared_deviations;
      if (sums && loop.lane != Lane::i64 && std::isfinite(want)) {
        const double epsilon = loop.lane == Lane::f32 ? 0x1p-23 : 0x1p-52;
        const double storage = output.dtype == DType::bf16  ? 0x1p-7
                               : output.dtype == DType::f32 ? 0x1p-23
                                                            : 0;
        if (std::abs(want - got) <= 16 * epsilon * expected[o].magnitudes[i] + storage * std::abs(want))
          continue;
      }
      return text(to_string(loop), "output ", o, " at ", expected[o].offsets[i], ": ", double(got), ", not ",
                  double(want));
    }
  }
  return {};
}

bool same_bytes(const std::vector<Storage>& a, const std::vector<Storage>& b) {
  return std::ranges::equal(a, b, {}, &Storage::bytes, &Storage::bytes);
}

}  // namespace tapestry::kernels
