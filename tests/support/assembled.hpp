// What tests of assembled loops share.
#pragma once

#include "loop_case.hpp"

#include <tapestry/ops/kernels/loop_plan.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

namespace tapestry::kernels {

inline const auto in = [](std::size_t i) { return Operand::input(i); };
inline const auto res = [](std::size_t i) { return Operand::result(i); };

/// Ordinary numbers of both signs and all magnitudes, with the odd ones among them.
inline std::vector<float> numbers(std::size_t count, unsigned seed) {
  constexpr float kOdd[] = {0.0f,   -0.0f,    1.0f,      -1.0f,
                            1e-42f, 3e38f,    88.9f,     -104.5f,
                            0.3f,   INFINITY, -INFINITY, std::numeric_limits<float>::quiet_NaN()};
  Generator random(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    const float size = std::ldexp(1.0f, int(below(random, 20)) - 12);
    value = below(random, 6) == 0 ? kOdd[below(random, std::size(kOdd))]
                                  : size * (float(below(random, 2001)) / 1000 - 1);
  }
  return values;
}

inline std::vector<float> run(const Loop& loop, const std::vector<std::vector<float>>& inputs,
                              std::size_t size) {
  const CompiledLoop compiled(loop);
  std::vector<float> result(size, -7);
  std::vector<std::byte> scratch(compiled.scratch_bytes());
  std::vector<const void*> from;
  for (const std::vector<float>& input : inputs) from.push_back(input.data());
  void* to[] = {result.data()};
  compiled.run(from, to, scratch.data());
  return result;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return false;
  }
  return true;
}

inline Loop pointwise(std::int64_t size, std::size_t inputs, std::vector<Instruction> code) {
  Loop loop{.extents = {size}, .code = std::move(code)};
  loop.inputs.assign(inputs, {DType::f32, {1}});
  loop.outputs = {{res(loop.code.size() - 1), DType::f32, Reduce::none, {1}}};
  return loop;
}

inline std::size_t segments_of(const Loop& loop) { return make_plan(loop)->segments.size(); }

inline boost::test_tools::assertion_result makes_code(boost::unit_test::test_unit_id) { return assembles(); }

}  // namespace tapestry::kernels
