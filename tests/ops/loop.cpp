#include <tapestry/core/error.hpp>
#include <tapestry/ops/kernels/loop.hpp>

#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::kernels;

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

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  BOOST_CHECK_EXCEPTION(
      CompiledLoop({.extents = {2}, .code = {{Code::add, Operand::constant(1), Operand::result(0)}}}), Error,
      [](const Error& e) {
        return std::string(e.what()) == "instruction 0 (add) reads result 0 before it is computed";
      });
}

BOOST_AUTO_TEST_SUITE_END()
