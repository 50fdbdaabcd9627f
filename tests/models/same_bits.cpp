// Training gives the same bits with any number of threads, and without passes that only rearrange. The
// products and loops here are large enough to be cut into several pieces, which is where bits could move.
#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/function.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/models/transformer.hpp>
#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/loss.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/pool.hpp>
#include <tapestry/ops/random.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/optim/adaptive.hpp>
#include <tapestry/optim/muon.hpp>
#include <tapestry/optim/sgd.hpp>
#include <tapestry/tests/support/restore_threads.hpp>
#include <tapestry/tests/support/use_onednn.hpp>

#include <cmath>
#include <cstring>
#include <memory>
#include <optional>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace {

constexpr std::int64_t kBatch = 128, kFeatures = 256, kClasses = 10;
#ifdef __SANITIZE_ADDRESS__
constexpr int kSteps = 20;  // which take as long as 200 without
#else
constexpr int kSteps = 200;
#endif

enum class Layer : std::uint8_t { linear, batch_norm, layer_norm, dropout, convolution, attention };

struct Training {
  std::string name;
  Layer layer = Layer::batch_norm;
  std::shared_ptr<const UpdateRule> rule = std::make_shared<Sgd>();
  OptimizerOptions options{};
};

/// Layers of images and of sequences: the features are 8x8 pixels of 4 channels, or 8 tokens of 32.
struct OtherLayers {
  Convolution first, strided;
  GroupNorm group_norm;
  LearnedPositions positions;
  TransformerBlock block;

  OtherLayers(StateDict& state, const Initializer& init)
      : first(state, "conv1", 4, 32, init, {.bias = false}),
        strided(state, "conv2", 32, 64, init, {.stride = 2, .groups = 2}),
        group_norm(state, "norm3", 32, 8, init),
        positions(state, "places", 8, 32, init),
        block(state, "block", 32, 4, 64, init) {}

  Var operator()(const Var& x, Layer layer) const {
    if (layer == Layer::attention) {
      return reshape(block(positions(reshape(x, {kBatch, 8, 32}))), {kBatch, kFeatures});
    }
    const Var y = max_pool2d(relu(group_norm(first(reshape(x, {kBatch, 8, 8, 4})))), 2);
    const Var z = avg_pool2d(y, 3, {.stride = 1, .padding = 1});
    return reshape(gelu(strided(z)), {kBatch, kFeatures});
  }
};

/// Losses of each step, then all State, as bytes.
std::string trained(const Training& training, int steps, CompileOptions compile_options = {}) {
  StateDict state;
  const Initializer init(1);
  const Linear first(state, "fc1", kFeatures, kFeatures, init), last(state, "fc2", kFeatures, kClasses, init);
  const BatchNorm batch_norm(state, "norm1", kFeatures, init);
  const LayerNorm layer_norm(state, "norm2", kFeatures, init);
  const Dropout dropout{0.8, make_random_key(state, 5)};
  std::optional<OtherLayers> others;
  if (training.layer == Layer::convolution || training.layer == Layer::attention) others.emplace(state, init);
  const Optimizer optimizer(state, training.rule, training.options);
  Function step(
      [&](Var x, Var labels, Var rate) {
        Var y = first(x);
        if (training.layer == Layer::batch_norm) y = batch_norm(y, Mode::train);
        if (training.layer == Layer::layer_norm) y = layer_norm(y);
        y = relu(y);
        if (others) y = (*others)(y, training.layer);
        if (training.layer == Layer::dropout) y = dropout(y, Mode::train);
        const Var loss = softmax_cross_entropy(last(y), labels);
        optimizer.minimize(loss, state.parameters(), rate);
        return loss;
      },
      std::move(compile_options));

  std::string bytes;
  const auto add = [&](const Tensor& t) { bytes.append(static_cast<const char*>(t.data()), t.bytes()); };
  static const std::vector<Tensor> images_of = [&] {
    std::vector<Tensor> images;
    for (int i = 0; i < 4; ++i) images.push_back(init.normal(text("batch ", i), {kBatch, kFeatures}, 1));
    return images;
  }();
  const Tensor rate = Tensor::scalar(1e-3f);
  Tensor labels(DType::i64, {kBatch});
  for (int i = 0; i < steps; ++i) {
    const Tensor& images = images_of[std::size_t(i % 4)];
    for (std::int64_t k = 0; k < kBatch; ++k) {
      labels.mutable_values<std::int64_t>()[std::size_t(k)] = (k * 7 + i % 4) % kClasses;
    }
    add(step(images, labels, rate));
  }
  for (const State& s : state) add(s.value());
  return bytes;
}

const std::vector<Training>& trainings() {
  static const std::vector<Training> kTrainings = {
      {"linear", Layer::linear},
      {"batch norm", Layer::batch_norm},
      {"layer norm", Layer::layer_norm},
      {"dropout", Layer::dropout},
      {"convolution, group norm, pools", Layer::convolution},
      {"attention", Layer::attention},
      {"sgd with decay", Layer::batch_norm, std::make_shared<Sgd>(), {.weight_decay = 1e-2}},
      {"momentum", Layer::batch_norm, std::make_shared<Momentum>()},
      {"nesterov", Layer::batch_norm, std::make_shared<Nesterov>()},
      {"momentum added up", Layer::linear, std::make_shared<AccumulatedMomentum>(0.9, true)},
      {"rmsprop", Layer::batch_norm, std::make_shared<RmsProp>()},
      {"adam", Layer::batch_norm, std::make_shared<Adam>()},
      {"adamw, clipped", Layer::layer_norm, std::make_shared<AdamW>(), {.clip_norm = 0.5}},
      {"lamb, slow weights", Layer::batch_norm, std::make_shared<Lamb>(), {.lookahead = Lookahead{}}},
      {"muon",
       Layer::batch_norm,
       std::make_shared<Muon>(),
       {.groups = {{.pattern = "*/weight"}, {.pattern = "*", .rule = std::make_shared<Sgd>()}}}},
  };
  return kTrainings;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(same_bits)

BOOST_AUTO_TEST_CASE(with_any_number_of_threads) {
  const test::RestoreThreads restore;
  for (const Training& training : trainings()) {
    set_thread_count(1);
    const std::string expected = trained(training, kSteps);
    for (const int threads : {2, 3, 4, 8}) {
      set_thread_count(threads);
      BOOST_TEST((trained(training, kSteps) == expected), training.name << " with " << threads << " threads");
    }
  }
}

// In place or not is a matter of memory alone. Folding constants and common subexpressions leaves out what
// would have been the same number; but simplifying sees more with them, and fused loops cut long sums where
// their work says. So every subset of these keeps all bits without those two, and of those that are about
// memory with them.
BOOST_AUTO_TEST_CASE(without_passes_that_do_not_change_arithmetic) {
  for (const Pass& pass : passes()) BOOST_TEST(pass.keeps_bits == (pass.name != "simplify"), pass.name);
  const std::vector<std::string> memory = {"in_place", "views", "epilogues"};
  std::vector<std::string> keepers = memory;
  keepers.insert(keepers.end(), {"fold_constants", "cse"});
  const auto check_subsets = [](const Training& training, const std::vector<std::string>& of,
                                const std::vector<std::string>& always) {
    const std::string expected = trained(training, 3, {.without = always});
    for (unsigned mask = 1; mask < 1u << of.size(); ++mask) {
      CompileOptions options{.without = always};
      for (std::size_t i = 0; i < of.size(); ++i) {
        if (mask >> i & 1) options.without.push_back(of[i]);
      }
      BOOST_TEST((trained(training, 3, options) == expected), training.name << ", subset " << mask);
    }
  };
  for (const Training& training : trainings()) {
    check_subsets(training, keepers, {"fuse", "simplify"});
    check_subsets(training, memory, {});
  }
}

// What is rounded to bf16 is rounded by the graph, whatever runs together, and sums follow from the shape.
BOOST_AUTO_TEST_CASE(in_bf16_with_any_number_of_threads) {
  const test::RestoreThreads restore;
  for (const bool onednn : {false, true}) {
    const UseOneDnn use(onednn);
    for (const Training& training : trainings()) {
      set_thread_count(1);
      const CompileOptions options{.precision = Precision::bf16};
      const std::string expected = trained(training, kSteps / 10, options);
      BOOST_TEST((expected != trained(training, kSteps / 10)), training.name << " is the same in f32");
      for (const int threads : {2, 3, 4}) {
        set_thread_count(threads);
        BOOST_TEST((trained(training, kSteps / 10, options) == expected),
                   training.name << " with " << threads);
      }
    }
  }
}

// Everything between the products below is pointwise, so that no sum can be cut in other places: what is
// rounded to bf16 is the same whether values meet in a loop or in memory, to the last bit.
BOOST_AUTO_TEST_CASE(in_bf16_fused_or_not) {
  StateDict state;
  const Initializer init(3);
  const std::int64_t n = 96;
  const State w1 = state.create("w1", init.normal("w1", {n, n}, 0.2)),
              w2 = state.create("w2", init.normal("w2", {n, n}, 0.2));
  const auto outputs = [&](CompileOptions options) {
    Function f(
        [&](Var x, Var cotangent) {
          Tape& tape = x.tape();
          const Var h = gelu(matmul(x * 0.5, w1)), y = tanh(matmul(h, w2)) * 3;
          const Var wrt[] = {x, tape.read(w1), tape.read(w2)};
          std::vector<Var> all = gradients(sum(y * cotangent), wrt);
          all.push_back(y);
          return all;
        },
        std::move(options));
    const Tensor x = init.normal("x", {n, n}, 1), c = init.normal("cotangent", {n, n}, 1);
    const ConstView given[] = {x.view(), c.view()};
    return f.run(given);
  };
  for (const bool onednn : {false, true}) {
    const UseOneDnn use(onednn);
    const auto fused = outputs({.precision = Precision::bf16}), single = outputs({});
    const auto apart = outputs({.without = {"fuse"}, .precision = Precision::bf16});
    for (std::size_t i = 0; i < fused.size(); ++i) {
      BOOST_TEST(identical(fused[i], apart[i]), "output " << i);
      BOOST_TEST(!identical(fused[i], single[i]), "output " << i << " is the same in f32");
    }
  }
}

// A step with long sums differs by those alone: its loss by what f32 rounds.
BOOST_AUTO_TEST_CASE(in_bf16_a_step_fused_or_not_is_near) {
  for (const Training& training : trainings()) {
    const auto first_loss = [&](CompileOptions options) {
      const std::string bytes = trained(training, 1, std::move(options));
      float loss = 0;
      std::memcpy(&loss, bytes.data(), sizeof(float));
      return loss;
    };
    const float fused = first_loss({.precision = Precision::bf16});
    const float apart = first_loss({.without = {"fuse"}, .precision = Precision::bf16});
    BOOST_TEST(std::abs(fused - apart) <= 2e-4f * std::abs(fused),
               training.name << ": " << fused << ", " << apart);
  }
}

BOOST_AUTO_TEST_CASE(in_bf16_losses_are_near_those_of_f32) {
  for (const bool onednn : {false, true}) {
    const UseOneDnn use(onednn);
    constexpr int kShown = kSteps / 4;
    for (const Training& training : trainings()) {
      const std::string half = trained(training, kShown, {.precision = Precision::bf16});
      const std::string single = trained(training, kShown);
      for (std::size_t i = 0; i < kShown; ++i) {
        float a = 0, b = 0;
        std::memcpy(&a, half.data() + i * sizeof(float), sizeof(float));
        std::memcpy(&b, single.data() + i * sizeof(float), sizeof(float));
        BOOST_TEST(std::abs(a - b) <= 0.02f * std::abs(b) + 0.005f,
                   training.name << ", step " << i << ": " << a << " and " << b);
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
