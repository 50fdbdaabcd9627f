#include "../support/graphs.hpp"
#include "../support/random_tensor.hpp"
#include "../support/restore_threads.hpp"
#include "../support/thrown.hpp"
#include "../support/use_amx.hpp"
#include "../support/use_onednn.hpp"

#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/ops/kernels/gemm_bf16.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>

#include <cmath>
#include <cstring>

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

Tensor drawn(const Shape& shape, std::uint64_t seed) { return random_tensor(shape, seed).to(DType::bf16); }

Shape stored(Shape shape, bool transposed) {
  if (transposed && shape.rank() > 1) std::swap(shape[shape.rank() - 2], shape[shape.rank() - 1]);
  return shape;
}

/// Of a [.., m, k] and b [.., k, n] by f64 products of the very same numbers, which have their own tests.
/// The f32 sum of k products of numbers below 1 is off by (k + 1) 2^-24 k at most; rounding it to bf16 adds
/// 2^-8 of it. False too if anything isn't a number.
bool near(const Tensor& result, const Tensor& a, const Tensor& b, MatmulAttrs flags, std::int64_t k) {
  flags.result.reset();
  Tape tape;
  const Tensor exact = evaluate(tapestry::matmul(tape.constant(a.to(DType::f64)), b.to(DType::f64), flags));
  if (exact.shape() != result.shape()) return false;
  for (std::int64_t i = 0; i < exact.elements(); ++i) {
    const double rounding = result.dtype() == DType::bf16 ? 0x1p-8 * std::abs(exact.at(i)) : 0;
    const double bound = 4 * double(k + 1) * 0x1p-24 + rounding * 1.01;
    if (!(std::abs(result.at(i) - exact.at(i)) <= bound)) return false;
  }
  return true;
}

constexpr MatmulAttrs kFlags[] = {{false, false, {}}, {true, false, {}}, {false, true, {}}, {true, true, {}}};

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.type() == b.type() && std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

}  // namespace

// AMX's have tests of their own, in gemm_amx.cpp.
BOOST_FIXTURE_TEST_SUITE(matmul_bf16, RestoreThreads)

BOOST_DATA_TEST_CASE(products_of_all_ranks_and_layouts, boost::unit_test::data::make({false, true}), onednn) {
  const UseAmx never(kernels::Amx::never);
  const UseOneDnn use(onednn);
  const std::pair<Shape, Shape> shapes[] = {{{2, 3}, {3, 4}},
                                            {{1, 5}, {5, 1}},
                                            {{1, 300}, {300, 70}},
                                            {{4, 1}, {1, 3}},
                                            {{1, 1}, {1, 1}},
                                            {{5, 2, 3}, {5, 3, 4}},
                                            {{5, 2, 3}, {3, 4}},
                                            {{2, 3}, {5, 3, 4}},
                                            {{4, 1, 2, 3}, {3, 3, 2}},
                                            {{3}, {3}},
                                            {{3}, {3, 2}},
                                            {{4, 2, 3}, {3}},
                                            {{2, 0}, {0, 3}},
                                            {{0, 3}, {3, 2}},
                                            {{2, 3}, {3, 0}},
                                            {{0, 2, 3}, {0, 3, 2}},
                                            {{129, 257}, {257, 10}},
                                            {{130, 513}, {513, 300}}};
  for (const auto& [a, b] : shapes) {
    for (MatmulAttrs flags : kFlags) {
      const Tensor x = drawn(stored(a, flags.transpose_a), 1), y = drawn(stored(b, flags.transpose_b), 2);
      for (const DType result : {DType::bf16, DType::f32}) {
        flags.result = result;
        Tape tape;
        const Tensor z = evaluate(tapestry::matmul(tape.constant(x), y, flags));
        BOOST_TEST(name_of(z.dtype()) == name_of(result));
        BOOST_TEST(near(z, x, y, flags, a.back()), a << " by " << b << " to " << name_of(result));
      }
    }
  }
}

BOOST_DATA_TEST_CASE(the_number_of_threads_changes_no_bit, boost::unit_test::data::make({false, true}),
                     onednn) {
  const UseAmx never(kernels::Amx::never);
  const UseOneDnn use(onednn);
  const Tensor x = drawn({300, 700}, 1), y = drawn({700, 530}, 2);
  for (const DType result : {DType::bf16, DType::f32}) {
    Tape tape;
    const Var z = tapestry::matmul(tape.constant(x), y, {.result = result});
    set_thread_count(1);
    const Tensor one = evaluate(z);
    for (const int threads : {2, 3, 4, 8}) {
      set_thread_count(threads);
      BOOST_TEST(same_bits(evaluate(z), one));
    }
  }
}

BOOST_AUTO_TEST_CASE(nan_and_infinity_spread) {
  const UseAmx never(kernels::Amx::never);
  for (const bool onednn : {false, true}) {
    const UseOneDnn use(onednn);
    Tape tape;
    const Tensor x = Tensor::from(std::vector<double>{NAN, 0.0, 1.0, 2.0}, {2, 2}).to(DType::bf16);
    const Tensor y = Tensor::from(std::vector<double>{0.0, 1.0, INFINITY, 3.0}, {2, 2}).to(DType::bf16);
    const Tensor z = evaluate(tapestry::matmul(tape.constant(x), y));
    BOOST_TEST(std::isnan(z.at(0)));
    BOOST_TEST(std::isnan(z.at(1)));
    BOOST_TEST(z.at(2) == INFINITY);
    BOOST_TEST(z.at(3) == 7);
  }
}

BOOST_AUTO_TEST_CASE(cotangents_have_the_operands_dtype) {
  Tape tape;
  const Var x = tape.input("x", {DType::bf16, {2, 3}}), w = tape.input("w", {DType::bf16, {3, 4}});
  for (const DType result : {DType::bf16, DType::f32}) {
    const Var loss = sum(cast(tapestry::matmul(x, w, {.result = result}), DType::f32));
    BOOST_TEST(to_string(gradient(loss, x).type()) == "bf16 [2, 3]");
    BOOST_TEST(to_string(gradient(loss, w).type()) == "bf16 [3, 4]");
  }
}

BOOST_AUTO_TEST_CASE(other_results_are_refused) {
  Tape tape;
  const Var half = tape.input("x", {DType::bf16, {2, 2}}), single = tape.input("y", {DType::f32, {2, 2}});
  BOOST_TEST(thrown([&] {
               tapestry::matmul(half, half, {.result = DType::f64});
             }).find("can't make f64 of bf16") != std::string::npos);
  BOOST_TEST(thrown([&] {
               tapestry::matmul(single, single, {.result = DType::bf16});
             }).find("can't make bf16 of f32") != std::string::npos);
  BOOST_CHECK_THROW(tapestry::matmul(half, single), Error);
}

BOOST_AUTO_TEST_SUITE_END()
