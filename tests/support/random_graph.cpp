#include "random_graph.hpp"

#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/random.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/optim/adaptive.hpp>
#include <tapestry/optim/sgd.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tapestry::test {

// --- Maker ---

void Maker::begin(const Step& step, std::vector<Var> operands, std::size_t position) {
  step_ = &step;
  operands_ = std::move(operands);
  position_ = position;
  leaves_ = 0;
  random_ = Random(step.seed);
}

Var Maker::like_first(std::size_t i) const {
  return x(i).dtype() == x(0).dtype() ? x(i) : cast(x(i), x(0).dtype());
}

Var Maker::in_base(std::size_t i) const { return x(i).dtype() == base_ ? x(i) : cast(x(i), base_); }

Var Maker::in_bf16(std::size_t i) const {
  return x(i).dtype() == DType::bf16 ? x(i) : cast(x(i), DType::bf16);
}

double Maker::number(double lo, double hi) {
  return std::round((lo + random_.uniform() * (hi - lo)) * 64) / 64;
}

int Maker::axis(int rank) {
  require(rank > 0, "no axis to choose");
  return chance(0.6) ? rank - 1 : int(below(rank));
}

std::vector<int> Maker::some_axes(int rank) {
  require(rank > 0, "no axis to choose");
  std::vector<int> axes;
  if (chance(0.7)) {  // trailing ones, most often just the last
    const int n = chance(0.7) ? 1 : int(below(rank)) + 1;
    for (int i = rank - n; i < rank; ++i) axes.push_back(i);
  } else if (chance(0.4)) {  // every second
    for (int i = int(below(2)); i < rank; i += 2) axes.push_back(i);
  } else {
    for (int i = 0; i < rank; ++i) {
      if (chance(0.5)) axes.push_back(i);
    }
  }
  if (axes.empty()) axes.push_back(0);
  return axes;
}

Tensor Maker::values(const Shape& shape, DType dtype) {
  Tensor tensor(DType::f64, shape);
  Random random(step_->seed, 1 + leaves_++);
  for (double& value : tensor.mutable_values<double>()) {
    const double size = 0.2 + 1.4 * random.uniform();
    value = random.below(2) == 0 ? size : -size;
  }
  if (dtype == DType::boolean) {
    Tensor truth(dtype, shape);
    for (std::int64_t i = 0; i < shape.elements(); ++i)
      truth.mutable_values<bool>()[std::size_t(i)] = tensor.at(i) > 0;
    return truth;
  }
  return tensor.to(dtype);
}

Var Maker::given(Tensor value) {
  if (!arguments_) return tape_.constant(value);
  const Var input = tape_.input(text('x', arguments_->size()), value.type());
  arguments_->push_back(std::move(value));
  return input;
}

Var Maker::input(const Shape& shape, DType dtype) { return given(values(shape, dtype)); }

Var Maker::labels(const Shape& shape, std::int64_t classes) {
  Tensor tensor(DType::i32, shape);
  Random random(step_->seed, 1 + leaves_++);
  for (std::int32_t& label : tensor.mutable_values<std::int32_t>())
    label = std::int32_t(random.below(classes));
  return given(std::move(tensor));
}

Var Maker::parameter(const Shape& shape) {
  const std::string name = text('w', position_, '_', leaves_);
  return tape_.read(state_.create(name, values(shape, base_)));
}

State Maker::statistic(const Type& type) {
  const std::string name = text('s', position_, '_', leaves_);
  return state_.create(name, values(type.shape, type.dtype), StateKind::statistic);
}

State Maker::key() {
  if (!key_) key_ = make_random_key(state_, 7);
  return *key_;
}

bool is_a(char letter, DType dtype) {
  switch (letter) {
    case 'f':
      return is_floating(dtype);
    case 'i':
      return is_integer(dtype);
    case 'b':
      return dtype == DType::boolean;
    default:
      return true;
  }
}

const Kind& kind_of(std::string_view name) {
  const auto found = std::ranges::find(kinds(), name, &Kind::name);
  require(found != kinds().end(), "there is no kind of step named ", name);
  return *found;
}

// --- recording ---

namespace {

Var make(Maker& maker, const Recipe& recipe, std::size_t i, const std::vector<Var>& made) {
  const Step& step = recipe.steps[i];
  const Kind& kind = kind_of(step.kind);
  require(step.from.size() == kind.operands.size(), step.kind, ": wrong number of operands");
  std::vector<Var> operands;
  for (std::size_t k = 0; k < step.from.size(); ++k) {
    require(step.from[k] < i, "a step uses a later one");
    operands.push_back(made.at(step.from[k]));
    require(is_a(kind.operands[k], operands.back().dtype()), step.kind, ": wrong dtype");
  }
  maker.begin(step, std::move(operands), i);
  return kind.make(maker);
}

/// A number with a slope everywhere: sum(sin(v)) / n of each floating output.
std::optional<Var> scalar_of(std::span<const Var> outputs, DType base) {
  std::optional<Var> total;
  for (const Var& output : outputs) {
    if (!is_floating(output.dtype())) continue;
    const Var v = output.dtype() == base ? output : cast(output, base);
    const Var part = sum(sin(v)) * (1.0 / double(std::max<std::int64_t>(v.shape().elements(), 1)));
    total = total ? *total + part : part;
  }
  return total;
}

void optimize(const Recipe& recipe, const Var& loss, Recorded& out, DType base) {
  std::vector<ParameterGradient> pairs;
  const std::vector<State> parameters = out.state.parameters();
  const std::vector<Var> gradient = gradients(loss, parameters);
  for (std::size_t i = 0; i < parameters.size(); ++i) pairs.push_back({parameters[i], gradient[i]});
  if (pairs.empty()) return;
  const Var rate = out.tape->input("rate", {base, {}});
  out.arguments.push_back(Tensor::scalar(0.05).to(base));
  OptimizerOptions options;
  if (recipe.seed % 3 == 0) options.weight_decay = 0.01;
  if (recipe.seed % 5 == 0) options.clip_norm = 0.1;
  const auto step = [&](auto rule) { Optimizer(out.state, rule, options).step(pairs, rate); };
  if (recipe.optimizer == "sgd") step(Sgd());
  if (recipe.optimizer == "momentum") step(Momentum());
  if (recipe.optimizer == "nesterov") step(Nesterov());
  if (recipe.optimizer == "rmsprop") step(RmsProp(0.9, 1e-2));
  if (recipe.optimizer == "adam") step(Adam(0.9, 0.99, 1e-2));
  if (recipe.optimizer == "adamw") step(AdamW(0.01, Adam(0.9, 0.99, 1e-2)));
}

}  // namespace

Recorded record(const Recipe& recipe, DType base) {
  Recorded out{std::make_unique<Tape>(), {}, {}, {}, {}};
  Maker maker(*out.tape, base, out.state, &out.arguments);
  std::vector<Var> made;
  for (std::size_t i = 0; i < recipe.steps.size(); ++i) made.push_back(make(maker, recipe, i, made));
  std::vector<Var> outputs;
  for (const std::size_t i : recipe.outputs) outputs.push_back(made.at(i));
  const std::optional<Var> loss = recipe.gradients ? scalar_of(outputs, base) : std::nullopt;
  if (loss) {
    outputs.push_back(*loss);
    std::vector<Var> wrt;
    for (const ValueId id : out.tape->graph().arguments) {
      if (is_floating(out.tape->graph().type(id).dtype)) wrt.push_back(out.tape->at(id));
    }
    for (const Var& g : gradients(*loss, wrt)) outputs.push_back(g);
    for (const Var& g : gradients(*loss, out.state.parameters())) outputs.push_back(g);
    if (!recipe.optimizer.empty()) optimize(recipe, *loss, out, base);
  }
  for (const State& state : out.state) out.initial.push_back(state.value());
  out.graph = out.tape->graph();
  for (const Var& output : outputs) out.graph.outputs.push_back(output.id());
  return out;
}

// --- drawing ---

namespace {

class Generator {
 public:
  Generator(std::uint64_t seed, std::size_t most) : random_(seed), most_(most) { recipe_.seed = seed; }

  Recipe run() {
    choose_extents();
    const auto leaves = std::size_t(1 + random_.below(3));
    const std::size_t wanted = leaves + std::size_t(1 + random_.below(std::int64_t(most_ - leaves)));
    while (recipe_.steps.size() < leaves) {
      add_leaf();
      for (int tries = 0; !leading_.empty() && recipe_.steps.size() == 1 && tries < 20; ++tries) add_step();
    }
    for (int tries = 0; recipe_.steps.size() < wanted && tries < 200; ++tries) {
      if (random_.below(12) == 0) {
        add_leaf();
      } else {
        add_step();
      }
    }
    choose_outputs();
    recipe_.gradients = random_.below(10) != 0;
    constexpr std::string_view kOptimizers[] = {"sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"};
    if (random_.below(4) == 0) recipe_.optimizer = kOptimizers[random_.below(6)];
    return std::move(recipe_);
  }

 private:
  /// Shapes are suffixes of one, with axes of extent 1 in some, so that many can be broadcast to each other.
  void choose_extents() {
    constexpr std::int64_t kRows[] = {1, 2, 3, 4, 5, 7, 8, 10, 16, 33};
    constexpr std::int64_t kFeatures[] = {1, 2, 3, 5, 7, 8, 10, 16, 17, 33, 64, 100};
    constexpr std::int64_t kFew[] = {1, 2, 3, 4, 5};
    constexpr int kRanks[] = {2, 2, 2, 2, 2, 2, 3, 3, 4};
    const int rank = kRanks[random_.below(9)];
    for (int i = 0; i + 1 < rank; ++i) {
      extents_.push_back(rank == 2 ? kRows[random_.below(10)] : kFew[random_.below(5)]);
    }
    extents_.push_back(kFeatures[random_.below(rank == 4 ? 8 : 12)]);
    largest_ = 2000;
    const std::int64_t special = random_.below(100);
    if (special < 6) {
      extents_[extents_.rank() - 1] = 1000;
      largest_ = 10000;
    }
    if (special == 6 || special == 7) extents_[int(random_.below(rank))] = 0;
    if (special == 8) {  // large enough to be cut into several chunks, in one dimension or two
      const Shape kLarge[] = {{129, 257}, {6000, 7}, {3, 14000}, {2, 40, 500}, {3, 8, 12, 120}};
      extents_ = kLarge[random_.below(5)];
      largest_ = 50000;
      most_ = std::min<std::size_t>(most_, 8);
    }
    if (special >= 9 && special < 13) choose_for_amx(special < 12);
  }

  /// AMX takes 16 images, rows or columns at a time, 32 terms, and blocks of those: some are to be left over.
  void choose_for_amx(bool convolution) {
    if (convolution) {
      constexpr std::int64_t kImages[] = {16, 16, 16, 17, 17, 18, 31, 33, 65, 256};
      constexpr std::int64_t kExtents[] = {1, 2, 3, 3, 4, 4, 5, 6, 7, 20};
      constexpr std::int64_t kChannels[] = {1, 2, 3, 4, 5, 8, 16, 17, 20, 33};
      do {
        extents_ = {kImages[random_.below(10)], kExtents[random_.below(10)], kExtents[random_.below(9)],
                    kChannels[random_.below(10)]};
      } while (extents_.elements() > 3000);
      leading_ = "batch convolution";
      largest_ = 8000;
    } else {
      const Shape kMatrices[] = {{17, 600}, {18, 1030}, {2100, 17}, {4100, 16}, {3, 33, 50}};
      extents_ = kMatrices[random_.below(5)];
      leading_ = extents_[0] > 2000 || random_.below(2) == 0 ? "gram" : "affine";
      largest_ = 70000;
    }
    most_ = std::min<std::size_t>(most_, convolution ? 8 : 6);
  }

  Shape leaf_shape() {
    if (!leading_.empty() && recipe_.steps.empty()) return extents_;
    const auto first = int(random_.below(8)) < 5 ? 0 : int(random_.below(extents_.rank() + 1));
    Shape shape;
    for (int i = first; i < extents_.rank(); ++i) {
      shape.push_back(random_.below(6) == 0 ? 1 : extents_[i]);
    }
    return shape;
  }

  void add_leaf() {
    constexpr std::string_view kLeaves[] = {"input",      "input", "input",    "input",  "parameter",
                                            "bool input", "input", "constant", "labels", "bf16 input"};
    const std::size_t first = leading_.empty() ? 0 : 9;
    const std::size_t which = recipe_.steps.empty() ? first : std::size_t(random_.below(10));
    try_step({kLeaves[which], {}, random_.bits(), leaf_shape()});
  }

  void add_step() {
    static const int kTotal = std::accumulate(kinds().begin(), kinds().end(), 0,
                                              [](int sum, const Kind& kind) { return sum + kind.weight; });
    std::int64_t at = random_.below(kTotal);
    const Kind* kind = kinds().data();
    while (at >= kind->weight) at -= (kind++)->weight;
    if (!leading_.empty() && (values_.size() == 1 || random_.below(3) == 0)) kind = &kind_of(leading_);
    Step step{kind->name, {}, random_.bits(), {}};
    for (const char letter : kind->operands) {
      const auto operand = choose_operand(letter, step.from);
      if (!operand) return;
      step.from.push_back(*operand);
    }
    try_step(std::move(step));
  }

  /// Recent ones more often, so that graphs grow deep; the same once more, so that they have diamonds.
  std::optional<std::size_t> choose_operand(char letter, const std::vector<std::size_t>& before) {
    for (int tries = 0; tries < 20; ++tries) {
      const std::size_t n = values_.size();
      std::size_t i = std::size_t(random_.below(std::int64_t(n)));
      if (random_.below(3) != 0)
        i = n - 1 - std::size_t(random_.below(std::min<std::int64_t>(std::int64_t(n), 4)));
      if (!before.empty() && random_.below(8) == 0) i = before.back();
      if (is_a(letter, values_[i].dtype())) return i;
    }
    return {};
  }

  /// References keep all values, in f64: the scores of an attention over thousands of tokens, too.
  static void check_size_within(const Var& made) {
    Graph within = made.tape().graph();
    within.outputs = {made.id()};
    within = expand(within);
    for (ValueId id = 0; id < within.size(); ++id) {
      require(within.type(id).shape.elements() <= std::int64_t{1} << 22, "too large within");
    }
  }

  /// Keeps a step whose value is of moderate size.
  void try_step(Step step) {
    recipe_.steps.push_back(std::move(step));
    const Step& last = recipe_.steps.back();
    try {
      Tape tape;
      StateDict state;
      Maker maker(tape, DType::f64, state, nullptr);
      std::vector<Var> operands;
      for (const std::size_t i : last.from) operands.push_back(tape.constant(values_[i]));
      maker.begin(last, std::move(operands), recipe_.steps.size() - 1);
      const Var made = kind_of(last.kind).make(maker);
      require(made.shape().elements() <= largest_ && made.rank() <= 5, "too large");
      check_size_within(made);
      Tensor value = evaluate(made);
      for (std::int64_t i = 0; i < value.elements(); ++i) {
        require(std::abs(value.at(i)) < 100, "too large, or no number");
      }
      values_.push_back(std::move(value));
    } catch (const Error&) {
      recipe_.steps.pop_back();
    }
  }

  /// What nothing else uses, up to four of them, and now and then something from within.
  void choose_outputs() {
    std::vector<bool> used(recipe_.steps.size());
    for (const Step& step : recipe_.steps) {
      for (const std::size_t i : step.from) used[i] = true;
    }
    for (std::size_t i = used.size(); i-- > 0 && recipe_.outputs.size() < 4;) {
      if (!used[i]) recipe_.outputs.push_back(i);
    }
    if (random_.below(3) == 0) {
      recipe_.outputs.push_back(std::size_t(random_.below(std::int64_t(used.size()))));
    }
  }

  Random random_;
  std::size_t most_;
  Recipe recipe_{};
  Shape extents_{};
  std::int64_t largest_ = 0;
  std::string_view leading_{};    // what kind of step most of such a graph is about
  std::vector<Tensor> values_{};  // by step, in f64
};

}  // namespace

Recipe random_recipe(std::uint64_t seed, std::size_t most) { return Generator(seed, most).run(); }

}  // namespace tapestry::test
