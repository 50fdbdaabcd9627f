#include "../support/graphs.hpp"
#include "../support/thrown.hpp"

#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/loss.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>

#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::f64;
using test::numbers;

namespace {

using X = std::span<const Var>;

const Tensor kScores = Tensor::from({0.3, -1.2, 2.5, 0.7, -0.4, 1.1}, {2, 3});
const Tensor kLabels = Tensor::from({std::int64_t{2}, std::int64_t{0}}, {2});

Var labels(Tape& tape, std::initializer_list<std::int64_t> values) {
  return tape.constant(Tensor::from(values, {std::int64_t(values.size())}));
}

void refuses(const std::function<void()>& f, std::string_view what) {
  const std::string message = test::thrown(f);
  BOOST_TEST(message.find(what) != std::string::npos, message);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(loss)

BOOST_AUTO_TEST_CASE(cross_entropy_by_hand) {
  Tape tape;
  const Var x = f64(tape, {2, 2}, {0, std::log(3), 1, 1});
  // probabilities 1/4 3/4 and 1/2 1/2
  const Var y = softmax_cross_entropy(x, labels(tape, {1, 0}));
  BOOST_TEST(evaluate(y).item() == (std::log(4.0 / 3) + std::log(2.0)) / 2,
             boost::test_tools::tolerance(1e-15));
  BOOST_TEST(numbers(gradient(y, x)) == "0.125 -0.125 -0.25 0.25");
  BOOST_TEST(
      evaluate(softmax_cross_entropy(f64(tape, {1, 10}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}), labels(tape, {7})))
              .item() == std::log(10.0),
      boost::test_tools::tolerance(1e-15));
}

BOOST_AUTO_TEST_CASE(cross_entropy_of_huge_logits) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    Tape tape;
    const Var x = cast(f64(tape, {2, 3}, {1e4, 0, -1e4, -1e4, 1e4, 0}), dtype);
    const Var right = softmax_cross_entropy(x, labels(tape, {0, 1}));
    const Var wrong = softmax_cross_entropy(x, labels(tape, {2, 0}));
    BOOST_TEST(numbers(right) == "0");
    BOOST_TEST(numbers(wrong) == "20000");
    BOOST_TEST(numbers(gradient(right, x)) == "0 0 0 0 0 0");
    BOOST_TEST(numbers(gradient(wrong, x)) == "0.5 0 -0.5 -0.5 0.5 0");
  }
}

BOOST_AUTO_TEST_CASE(label_smoothing) {
  Tape tape;
  const Var x = f64(tape, {1, 2}, {0, std::log(3)});
  const Var y = softmax_cross_entropy(x, labels(tape, {1}), {.label_smoothing = 0.2});
  BOOST_TEST(evaluate(y).item() == 0.9 * std::log(4.0 / 3) + 0.1 * std::log(4.0),
             boost::test_tools::tolerance(1e-14));
}

BOOST_AUTO_TEST_CASE(ignored_rows) {
  Tape tape;
  const Var x = f64(tape, {3, 2}, {0, std::log(3), 5, -5, 1, 1});
  const Var y = softmax_cross_entropy(x, labels(tape, {1, -100, 0}), {.ignore_index = -100});
  BOOST_TEST(evaluate(y).item() == (std::log(4.0 / 3) + std::log(2.0)) / 2,
             boost::test_tools::tolerance(1e-15));
  BOOST_TEST(numbers(gradient(y, x) + 0) == "0.125 -0.125 0 0 -0.25 0.25");
  const Var none = softmax_cross_entropy(x, labels(tape, {0, 0, 0}), {.ignore_index = 0});
  BOOST_TEST(numbers(none) == "nan");
}

BOOST_AUTO_TEST_CASE(slopes) {
  const CrossEntropyOptions all{.label_smoothing = 0.3, .ignore_index = 1};
  const auto cross = [&](X x) { return softmax_cross_entropy(x[0], x[1], all); };
  const auto hinge = [](X x) { return multiclass_hinge(x[0], x[1], 0.9); };
  const auto squared = [](X x) { return mean_squared_error(x[0], x[1]); };
  const auto penalty = [](X x) { return l2_penalty(x[0], 3.14); };
  BOOST_TEST(check_gradients(cross, {kScores, kLabels}).error < 1e-9);
  BOOST_TEST(check_gradients(hinge, {kScores, kLabels}).error < 1e-9);
  BOOST_TEST(check_gradients(squared, {kScores, Tensor::linspace(-1, 1, {2, 3})}).error < 1e-9);
  BOOST_TEST(check_gradients(penalty, {kScores}).error < 1e-9);
  const auto second = [&](X x) { return gradient(cross(x), x[0]); };
  BOOST_TEST(check_gradients(second, {kScores, kLabels}).error < 1e-9);
}

BOOST_AUTO_TEST_CASE(hinge_by_hand) {
  Tape tape;
  // margins 0 - 2 + 1, 4 - 2 + 1 = 3; and, at the kink, 2 - 3 + 1 = 0 twice
  const Var x = f64(tape, {2, 3}, {2, 0, 4, 3, 2, 2});
  const Var y = multiclass_hinge(x, labels(tape, {0, 0}));
  BOOST_TEST(numbers(y) == "1.5");
  BOOST_TEST(numbers(gradient(y, x)) == "-0.5 0 0.5 0 0 0");
}

BOOST_AUTO_TEST_CASE(squares_by_hand) {
  Tape tape;
  const Var x = f64(tape, {1, -2});
  BOOST_TEST(numbers(mean_squared_error(x, f64(tape, {0, 2}))) == "8.5");
  BOOST_TEST(numbers(l2_penalty(x, 3)) == "7.5");
  BOOST_TEST(numbers(gradient(l2_penalty(x, 3), x)) == "3 -6");
  BOOST_TEST(numbers(mean_squared_error(tape.constant(Tensor(DType::f64, {0})),
                                        tape.constant(Tensor(DType::f64, {0})))) == "nan");
}

BOOST_AUTO_TEST_CASE(accuracy_counts_first_maxima) {
  Tape tape;
  const Var x = f64(tape, {4, 2}, {1, 2, 3, 3, 3, 3, 0, 9});
  const Var y = accuracy(x, tape.constant(Tensor::from({1, 0, 1, 1}, {4})));
  BOOST_TEST(to_string(evaluate(y)) == "f32 [] {0.75}");
}

BOOST_AUTO_TEST_CASE(labels_of_every_integer_type) {
  Tape tape;
  const Var x = tape.constant(kScores);
  const double expected = evaluate(softmax_cross_entropy(x, kLabels)).item();
  for (const DType dtype : {DType::i32, DType::u8}) {
    BOOST_TEST(evaluate(softmax_cross_entropy(x, kLabels.to(dtype))).item() == expected);
  }
}

BOOST_AUTO_TEST_CASE(more_classes_than_bf16_can_count) {
  Tape tape;
  Tensor logits(DType::f32, {1, 1000});
  logits.mutable_values<float>()[777] = 100;
  const Var x = tape.constant(logits.to(DType::bf16));
  BOOST_TEST(numbers(softmax_cross_entropy(x, labels(tape, {777}))) == "0");
  BOOST_TEST(numbers(softmax_cross_entropy(x, labels(tape, {776}))) == "100");
}

BOOST_AUTO_TEST_CASE(labels_out_of_range_stop_the_run) {
  Tape tape;
  const Var x = tape.constant(kScores);
  for (const std::int64_t bad : {std::int64_t{3}, std::int64_t{-1}, std::int64_t{1} << 40}) {
    const std::string message = text("label 1 is ", bad, ", not in [0, 3)");
    refuses([&] { evaluate(softmax_cross_entropy(x, labels(tape, {0, bad}))); }, message);
    refuses([&] { evaluate(multiclass_hinge(x, labels(tape, {0, bad}))); }, message);
  }
  refuses(
      [&] {
        evaluate(softmax_cross_entropy(x, labels(tape, {-1, 4}), {.ignore_index = -1}));
      },
      "label 1 is 4, not in [0, 3)");
}

BOOST_AUTO_TEST_CASE(a_compiled_step_refuses_a_bad_label_and_goes_on) {
  Tape tape;
  const Var x = tape.constant(kScores);
  const Var l = tape.input("labels", {DType::i32, {2}});
  Program step = compile(softmax_cross_entropy(x, l));
  const Tensor good = kLabels.to(DType::i32);
  const Tensor bad = Tensor::from({2, 10}, {2});
  step.run({&good, 1});
  const double loss = step.output().item();
  refuses([&] { step.run({&bad, 1}); }, "label 1 is 10, not in [0, 3)");
  step.run({&good, 1});
  BOOST_TEST(step.output().item() == loss);
}

BOOST_AUTO_TEST_CASE(labels_are_checked_though_nothing_uses_them) {
  Tape tape;
  const Var x = tape.constant(kScores);
  const Var l = tape.input("labels", {DType::i32, {2}});
  check_labels(l, 3);
  Program step = compile(sum(x));
  const Tensor bad = Tensor::from({0, 3}, {2});
  refuses([&] { step.run({&bad, 1}); }, "label 1 is 3, not in [0, 3)");
}

BOOST_AUTO_TEST_CASE(mistakes) {
  Tape tape;
  const Var x = tape.constant(kScores);
  refuses(
      [&] {
        softmax_cross_entropy(x, labels(tape, {1, 2, 3}));
      },
      "softmax_cross_entropy: the labels aren't integers [2]: constant f64 [2, 3]");
  refuses([&] { softmax_cross_entropy(x, f64(tape, {1, 2})); }, "the labels aren't integers [2]");
  refuses(
      [&] {
        softmax_cross_entropy(f64(tape, {1, 2}), labels(tape, {1}));
      },
      "the first operand isn't floating [n, c]");
  refuses([&] { softmax_cross_entropy(x, kLabels, {.label_smoothing = 1.5}); },
          "label smoothing 1.5 isn't in [0, 1]");
  refuses(
      [&] {
        accuracy(tape.constant(Tensor(DType::f32, {2, 0})), kLabels);
      },
      "accuracy: there are 0 classes");
  refuses([&] { mean_squared_error(x, f64(tape, {1, 2, 3})); }, "mean_squared_error: shapes differ");
}

BOOST_AUTO_TEST_SUITE_END()
