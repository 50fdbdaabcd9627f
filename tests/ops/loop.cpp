#include "../support/naive_loop.hpp"

#include <tapestry/core/error.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/loop.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <hwy/targets.h>

using namespace tapestry;
using namespace tapestry::kernels;

namespace {

using Generator = std::mt19937;

template <class T>
T one_of(Generator& random, std::initializer_list<T> values) {
  return values.begin()[random() % values.size()];
}
std::int64_t below(Generator& random, std::int64_t limit) {
  return std::int64_t(random() % std::uint32_t(limit));
}

/// Bytes for the elements that strides can reach, and where offset 0 is.
struct Storage {
  std::vector<std::byte> bytes;
  std::int64_t zero = 0;
  DType dtype{};

  Storage(const Shape& extents, const Shape& strides, DType type) : dtype(type) {
    std::int64_t low = 0, high = 0;
    for (int d = 0; d < extents.rank(); ++d) {
      const std::int64_t reach = std::max<std::int64_t>(extents[d] - 1, 0) * strides[d];
      (reach < 0 ? low : high) += reach;
    }
    bytes.assign(std::size_t(high - low + 1) * size_of(dtype), std::byte{0x5a});
    zero = -low;
  }
  void* data() { return bytes.data() + zero * std::int64_t(size_of(dtype)); }
  const void* data() const { return bytes.data() + zero * std::int64_t(size_of(dtype)); }

  void fill(Generator& random, bool special) {
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
};

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

Loop random_loop(Generator& random) {
  Loop loop{.extents = random_extents(random), .lane = Lane(random() % 3)};
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
    loop.code.push_back(instruction);
  }
  for (auto n = 1 + random() % 3; n > 0; --n) {
    LoopOutput output{.value = random_operand(random, loop), .dtype = dtype()};
    Shape kept = loop.extents;
    if (random() % 2) {
      output.reduce = one_of(random, {Reduce::sum, Reduce::sum, Reduce::max, Reduce::min});
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
  return loop;
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
std::vector<Storage> run(const CompiledLoop& compiled, std::vector<Storage> inputs,
                         const std::vector<int>& shared, bool in_place) {
  const Loop& loop = compiled.loop();
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
  std::vector<std::byte> scratch(compiled.scratch_bytes() + 64, std::byte{0xcd});
  void* aligned = scratch.data();
  std::size_t space = scratch.size();
  std::align(64, compiled.scratch_bytes(), aligned, space);
  compiled.run(from, to, aligned);
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    if (shared[o] >= 0 && in_place) outputs[o] = inputs[std::size_t(shared[o])];
  }
  return outputs;
}

// Each output in the memory of an input wherever that is allowed.
std::vector<int> share(const Loop& loop) {
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

std::string difference(const Loop& loop, const std::vector<Storage>& inputs,
                       const std::vector<Storage>& outputs) {
  std::vector<const void*> from;
  for (const Storage& input : inputs) from.push_back(input.data());
  const std::vector<NaiveResult> expected = evaluate_naively(loop, from);
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    const LoopOutput& output = loop.outputs[o];
    for (std::size_t i = 0; i < expected[o].offsets.size(); ++i) {
      const long double raw = expected[o].values[i];
      if (!has_defined_conversion(raw, output.dtype)) continue;
      const long double want = converted(raw, loop.lane, output.dtype);
      const long double got = load_naively(output.dtype, outputs[o].data(), expected[o].offsets[i]);
      if (want == got || (std::isnan(want) && std::isnan(got))) continue;
      if (output.reduce == Reduce::sum && loop.lane != Lane::i64 && std::isfinite(want)) {
        const double epsilon = loop.lane == Lane::f32 ? 0x1p-23 : 0x1p-52;
        const double storage = output.dtype == DType::bf16  ? 0x1p-8
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

struct Case {
  CompiledLoop compiled;
  std::vector<Storage> inputs;

  Case(const Loop& loop, Generator& random) : compiled(loop) {
    const bool special = random() % 4 == 0;
    for (const LoopInput& input : loop.inputs) {
      inputs.emplace_back(loop.extents, input.strides, input.dtype).fill(random, special);
    }
  }
  std::vector<Storage> run(bool in_place = false) const {
    return ::run(compiled, inputs, share(compiled.loop()), in_place);
  }
};

struct Threads {
  int before = thread_count();
  ~Threads() { set_thread_count(before); }
};

struct Targets {
  explicit Targets(std::int64_t targets) { use(targets); }
  ~Targets() { use(0); }
  static void use(std::int64_t targets) {
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

void compare_random_loops(unsigned seed, int count) {
  Generator random(seed);
  for (int n = 0; n < count; ++n) {
    const Loop loop = random_loop(random);
    const Case one(loop, random);
    const std::string wrong = difference(loop, one.inputs, one.run());
    BOOST_REQUIRE_MESSAGE(wrong.empty(), "loop " << n << ": " << wrong);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(loop)

BOOST_AUTO_TEST_CASE(adds_a_row_to_a_matrix_and_sums_its_columns) {
  const std::vector<float> matrix{1, 2, 3, 4, 5, 6}, row{10, 20, 30};
  std::vector<float> sum(6);
  std::vector<double> columns(3);
  const CompiledLoop compiled({.extents = {2, 3},
                               .inputs = {{DType::f32, {3, 1}}, {DType::f32, {0, 1}}},
                               .code = {{Code::add, Operand::input(0), Operand::input(1)}},
                               .outputs = {{Operand::result(0), DType::f32, Reduce::none, {3, 1}},
                                           {Operand::result(0), DType::f64, Reduce::sum, {0, 1}}}});
  std::vector<std::byte> scratch(compiled.scratch_bytes());
  const void* inputs[] = {matrix.data(), row.data()};
  void* outputs[] = {sum.data(), columns.data()};
  compiled.run(inputs, outputs, scratch.data());
  BOOST_TEST(sum == (std::vector<float>{11, 22, 33, 14, 25, 36}), boost::test_tools::per_element());
  BOOST_TEST(columns == (std::vector<double>{25, 47, 69}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(random_loops_match_a_scalar_evaluator) { compare_random_loops(1, 800); }

BOOST_AUTO_TEST_CASE(every_instruction_set_gives_the_same) {
  for (const std::int64_t target : {HWY_SCALAR, HWY_AVX2}) {
    const Targets only(target);
    compare_random_loops(2, 150);
  }
}

BOOST_AUTO_TEST_CASE(random_loops_work_in_place) {
  Generator random(3);
  int shared = 0;
  for (int n = 0; n < 800; ++n) {
    Loop loop = random_loop(random);
    // Make it likely that there is something to share.
    for (LoopInput& input : loop.inputs) {
      const LoopOutput& output = loop.outputs[random() % loop.outputs.size()];
      if (random() % 2 && output.reduce == Reduce::none) input = {output.dtype, output.strides};
    }
    const Case one(loop, random);
    shared += std::ranges::count_if(share(loop), [](int input) { return input >= 0; });
    BOOST_REQUIRE_MESSAGE(same_bytes(one.run(), one.run(true)), "loop " << n << ": " << to_string(loop));
  }
  BOOST_TEST(shared > 300);
}

BOOST_AUTO_TEST_CASE(the_number_of_threads_changes_no_bit) {
  const Threads restore;
  Generator random(4);
  for (int n = 0; n < 100; ++n) {
    Loop loop = random_loop(random);
    if (n % 2) loop.extents = {below(random, 900), below(random, 900)};
    if (n % 2) {
      for (LoopInput& input : loop.inputs) input.strides = strides_of(loop.extents);
      for (LoopOutput& output : loop.outputs) {
        output.strides = strides_of(loop.extents);
        if (output.reduce == Reduce::none) continue;
        if (random() % 2) output.strides = {0, 1};
        if (random() % 2) output.strides = {output.strides[0] != 0, 0};
      }
      for (Instruction& instruction : loop.code) instruction.dim = 0;
    }
    const Case one(loop, random);
    set_thread_count(1);
    const std::vector<Storage> alone = one.run();
    for (const int threads : {2, 3, 8}) {
      set_thread_count(threads);
      BOOST_REQUIRE_MESSAGE(same_bytes(alone, one.run()), threads << " threads: " << to_string(loop));
    }
  }
}

// Pairwise summation of n numbers errs by log2(n) units of the last place at worst, and far less as a rule.
template <class T>
void check_sums(const Shape& extents, const Shape& kept) {
  Generator random(5);
  Loop loop{.extents = extents, .lane = std::is_same_v<T, float> ? Lane::f32 : Lane::f64};
  loop.inputs = {{dtype_of<T>, strides_of(extents)}};
  loop.outputs = {{Operand::input(0), dtype_of<T>, Reduce::sum, kept}};
  Case one(loop, random);
  auto* values = static_cast<T*>(one.inputs[0].data());
  for (std::int64_t i = 0; i < extents.elements(); ++i) values[i] = T(0.1) + T(random() % 1000) / 1000;
  const void* inputs[] = {values};
  const NaiveResult expected = evaluate_naively(loop, inputs)[0];
  const std::vector<Storage> got = one.run();
  double worst = 0;
  for (std::size_t i = 0; i < expected.values.size(); ++i) {
    const long double value = load_naively(dtype_of<T>, got[0].data(), expected.offsets[i]);
    worst = std::max(
        worst, double(std::abs(value / expected.values[i] - 1)) / double(std::numeric_limits<T>::epsilon()));
  }
  BOOST_TEST(worst < 2, "sums over " << extents << " are off by " << worst << " units");
}

BOOST_AUTO_TEST_CASE(sums_are_accurate) {
  for (const auto& [extents, kept] : std::vector<std::pair<Shape, Shape>>{{{2000000}, {0}},
                                                                          {{3, 500000}, {1, 0}},
                                                                          {{400000, 3}, {0, 1}},
                                                                          {{3000, 500}, {0, 1}},
                                                                          {{64, 6000}, {0, 0}}}) {
    check_sums<float>(extents, kept);
    check_sums<double>(extents, kept);
  }
}

BOOST_AUTO_TEST_CASE(infinities_and_overflow_in_sums) {
  const auto sum = [](std::vector<double> values) {
    const auto n = std::int64_t(values.size());
    const CompiledLoop compiled({.extents = {n},
                                 .lane = Lane::f64,
                                 .inputs = {{DType::f64, {1}}},
                                 .outputs = {{Operand::input(0), DType::f64, Reduce::sum, {0}}}});
    std::vector<std::byte> scratch(compiled.scratch_bytes());
    double out = 0;
    const void* inputs[] = {values.data()};
    void* outputs[] = {&out};
    compiled.run(inputs, outputs, scratch.data());
    return out;
  };
  const double infinity = std::numeric_limits<double>::infinity();
  BOOST_TEST(sum({1, infinity, 2}) == infinity);
  BOOST_TEST(sum({-infinity, 1}) == -infinity);
  BOOST_TEST(std::isnan(sum({infinity, -infinity})));
  BOOST_TEST(sum({1e308, 1e308}) == infinity);
  BOOST_TEST(sum({}) == 0);
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  BOOST_CHECK_EXCEPTION(
      CompiledLoop({.extents = {2}, .code = {{Code::add, Operand::constant(1), Operand::result(0)}}}), Error,
      [](const Error& e) {
        return std::string(e.what()) == "instruction 0 (add) reads result 0 before it is computed";
      });
}

BOOST_AUTO_TEST_SUITE_END()
