#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/shape.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

BOOST_AUTO_TEST_SUITE(shape)

BOOST_AUTO_TEST_CASE(iota_counts_along_an_axis) {
  Tape tape;
  BOOST_TEST(to_string(evaluate(iota(tape, DType::f64, {2, 3}, 1))) == "f64 [2, 3] {0, 1, 2, 0, 1, 2}");
  BOOST_TEST(to_string(evaluate(iota(tape, DType::f32, {2, 3}, 0))) == "f32 [2, 3] {0, 0, 0, 1, 1, 1}");
  BOOST_TEST(to_string(evaluate(iota(tape, DType::i64, {4}, -1))) == "i64 [4] {0, 1, 2, 3}");
  BOOST_TEST(evaluate(iota(tape, DType::i32, {0})).elements() == 0);
  BOOST_CHECK_THROW(iota(tape, DType::f32, {2, 3}, 2), Error);
  BOOST_CHECK_THROW(iota(tape, DType::f32, {}, 0), Error);
  BOOST_CHECK_THROW(iota(tape, DType::boolean, {2}), Error);
}

BOOST_AUTO_TEST_SUITE_END()
