// Operands may begin anywhere in memory: slices that are views of what they are slices of do, and so do the
// arguments of callers. The bits are those of operands that begin at a cache line.
#include "../support/op_cases.hpp"
#include "../support/random_tensor.hpp"
#include "../support/use_onednn.hpp"

#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/ops/conv.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>

#include <cstring>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace {

/// The value of the case and its gradients.
std::vector<Var> record(Tape& tape, const test::OpCase& c, std::span<const Tensor> inputs) {
  std::vector<Var> x, wrt;
  for (const Tensor& input : inputs) {
    x.push_back(tape.input("x", input.type()));
    if (is_floating(input.dtype())) wrt.push_back(x.back());
  }
  std::vector<Var> outputs{c.f(x)};
  if (!test::differentiated(c.op) || wrt.empty()) return outputs;
  for (const Var& gradient : gradients(sum(outputs[0] * outputs[0]), wrt)) outputs.push_back(gradient);
  return outputs;
}

/// The same bits of operands that begin one element behind a cache line, with other bytes around them.
void check_addresses(Program& program, const std::vector<Tensor>& inputs, const std::string& label) {
  program.run(inputs);
  const std::vector<Tensor> expected = program.outputs();
  std::vector<std::vector<std::byte>> memory;
  std::vector<ConstView> views;
  for (const Tensor& input : inputs) {
    const std::size_t element = size_of(input.dtype());
    std::vector<std::byte>& bytes = memory.emplace_back(input.bytes() + 128 + element, std::byte{0xff});
    std::byte* begin = bytes.data();
    begin += (-reinterpret_cast<std::uintptr_t>(begin) & 63) + element;
    if (input.bytes() > 0) std::memcpy(begin, input.data(), input.bytes());
    views.push_back({begin, input.type()});
  }
  program.run(views);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    BOOST_TEST(identical(program.output(i), expected[i]), label << ", result " << i);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(addresses)

BOOST_AUTO_TEST_CASE(operands_begin_anywhere) {
  int run = 0;
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const test::OpCase& c : test::op_table().cases) {
      std::vector<Tensor> inputs;
      for (const Tensor& input : c.inputs) {
        inputs.push_back(is_floating(input.dtype()) ? input.to(dtype) : input);
      }
      Tape tape;
      std::optional<Program> program;
      try {
        program = compile(tape, record(tape, c, inputs));
      } catch (const Error& refusal) {  // some cases have numbers of their own, in f64
        if (dtype == DType::f64) BOOST_ERROR(c.label() << ": " << refusal.what());
        continue;
      }
      ++run;
      check_addresses(*program, inputs, c.label());
    }
  }
  BOOST_TEST(run > 600);
}

// Large enough for tiles, packed operands, Winograd's minimal filtering and large pieces.
BOOST_AUTO_TEST_CASE(products_and_convolutions_do_too) {
  for (const bool onednn : {true, false}) {
    const UseOneDnn use(onednn);
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const auto check = [&](const Shape& x, const Shape& w, auto f) {
        Tape tape;
        const std::vector<Var> wrt{tape.input("x", {dtype, x}), tape.input("w", {dtype, w})};
        const Var y = f(wrt[0], wrt[1]);
        std::vector<Var> all = gradients(sum(y * y), wrt);
        all.push_back(y);
        Program program = compile(tape, all);
        check_addresses(program, {test::random_tensor(x, 1).to(dtype), test::random_tensor(w, 2).to(dtype)},
                        text(name_of(dtype), ' ', x, ' ', w, onednn ? " oneDNN" : ""));
      };
      const auto product = [](const Var& a, const Var& b) { return matmul(a, b); };
      check({200, 300}, {300, 170}, product);
      check({64, 256}, {256, 256}, product);
      check({1, 300}, {300, 170}, product);
      const auto convolution = [](const Var& a, const Var& b) { return conv2d(a, b); };
      check({8, 32, 32, 32}, {3, 3, 32, 64}, convolution);
      check({8, 32, 32, 3}, {5, 5, 3, 32}, convolution);
      check({8, 16, 16, 32}, {1, 1, 32, 64}, convolution);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
