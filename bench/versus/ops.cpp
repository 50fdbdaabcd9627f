#include "cases.hpp"

#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/compile/rewrite.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/random.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/loss.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/norm.hpp>
#include <tapestry/ops/random.hpp>
#include <tapestry/optim/adaptive.hpp>

#include <algorithm>
#include <memory>

namespace versus {
namespace {

using namespace tapestry;

Tensor normal(const Shape& shape, std::uint64_t seed) {
  Random random(seed);
  Tensor tensor(DType::f32, shape);
  for (float& value : tensor.mutable_values<float>()) value = float(random.uniform() * 2 - 1);
  return tensor;
}

/// An op of floating operands, of which the gradients are wanted, and others.
struct Example {
  std::vector<Tensor> floating;
  std::vector<Tensor> others{};
  std::function<Var(std::span<const Var> floating, std::span<const Var> others)> op;
};

/// The op's forward and backward computation as two programs, cut as an autograd cuts them: what the backward
/// one needs of the forward one and is small, a mean of each row say, or a mask that was drawn, is handed
/// over; anything as large as the operands is computed again from these.
class Halves {
 public:
  explicit Halves(const Example& example) {
    Tape tape;
    const auto declare = [&](const std::vector<Tensor>& tensors) {
      std::vector<Var> vars;
      for (const Tensor& tensor : tensors) {
        vars.push_back(tape.input("x", tensor.type()));
        forward_arguments_.push_back(tensor);
      }
      return vars;
    };
    const std::vector<Var> floating = declare(example.floating), others = declare(example.others);
    const Var y = example.op(floating, others);
    const Type result = y.type();
    const Var cotangent = tape.input("cotangent", result);
    std::vector<Var> outputs = gradients(y, floating, cotangent);
    outputs.insert(outputs.begin(), y);
    Graph joint = expand(tape.take(outputs));
    for (const Pass& pass : passes()) joint = pass.run(joint);
    split(joint, example.floating[0].elements() / 16);

    forward_arguments_.push_back(normal(result.shape, 2));  // the forward program doesn't read it
    backward_arguments_ = forward_arguments_;
    forward_->run(forward_arguments_);
    for (std::size_t i = 1; i < forward_->outputs().size(); ++i) {
      backward_arguments_.push_back(forward_->output(i));
    }
  }

  void forward() { forward_->run(forward_arguments_); }
  void backward() { backward_->run(backward_arguments_); }

 private:
  void split(const Graph& joint, std::int64_t small) {
    std::vector<bool> before(joint.size());
    const ValueId result = joint.outputs[0];
    for (const ValueId id : ancestors(joint, std::span(&result, 1))) before[id] = true;
    std::vector<bool> needed(joint.size()), kept(joint.size());
    for (const ValueId id : ancestors(joint, joint.roots())) needed[id] = !before[id];
    for (ValueId id = ValueId(joint.size()); id-- > 0;) {
      if (!needed[id]) continue;
      for (const ValueId input : joint.inputs(id)) {
        if (!before[input] || joint.node(input).arity == 0) continue;
        const bool hands_over = joint.type(input).shape.elements() <= small || is_mask(joint, input);
        (hands_over ? kept : needed)[input] = true;
      }
    }
    Graph first = joint, second = joint;
    first.outputs.resize(1);
    for (ValueId id = 0; id < joint.size(); ++id) {
      if (kept[id]) first.outputs.push_back(id);
    }
    second.outputs.erase(second.outputs.begin());
    second.updates.clear();
    // Arguments are appended in the order of their nodes, which is that of the first program's outputs.
    second = rewrite(second, [&](Tape& tape, const Graph&, ValueId id, std::span<const Var>) {
      return kept[id] ? std::optional(tape.input("kept", joint.type(id))) : std::nullopt;
    });
    forward_.emplace(first, CompileOptions{});
    backward_.emplace(second, CompileOptions{});
  }

  static bool is_mask(const Graph& graph, ValueId id) {
    const auto inputs = graph.inputs(id);
    return graph.type(id).dtype == DType::boolean &&
           std::ranges::any_of(inputs, [&](ValueId input) { return graph.is(input, "random_uniform"); });
  }

  std::vector<Tensor> forward_arguments_, backward_arguments_;
  std::optional<Program> forward_, backward_;
};

using Vars = std::span<const Var>;

/// `size` bytes of x, [rows, channels].
Example example(const std::string& op, std::int64_t size) {
  const std::int64_t channels = op == "cross_entropy" ? 1024 : 512, rows = size / 4 / channels;
  const Tensor x = normal({rows, channels}, 1), gamma = normal({channels}, 3), beta = normal({channels}, 4);
  if (op == "batch_norm") {
    return {{x, gamma, beta}, {}, [](Vars v, Vars) { return batchnorm(v[0], v[1], v[2]); }};
  }
  if (op == "layer_norm") {
    return {{x, gamma, beta}, {}, [](Vars v, Vars) { return layernorm(v[0], v[1], v[2]); }};
  }
  if (op == "cross_entropy") {
    Tensor labels(DType::i64, {rows});
    Random random(5);
    for (std::int64_t& label : labels.mutable_values<std::int64_t>()) label = random.below(channels);
    return {{x}, {labels}, [](Vars v, Vars o) { return softmax_cross_entropy(v[0], o[0]); }};
  }
  if (op == "gelu") return {{x}, {}, [](Vars v, Vars) { return gelu(v[0]); }};
  require(op == "dropout", "no op ", op);
  StateDict state;
  const State key = make_random_key(state, 6);
  return {{x}, {}, [key](Vars v, Vars) { return dropout(v[0], 0.9, key); }};
}

Run adam(std::int64_t size) {
  struct Parts {
    StateDict state;
    std::optional<Program> program;
    std::vector<Tensor> arguments;
  };
  const auto parts = std::make_shared<Parts>();
  const Shape shape{size / 4 / 512, 512};
  const State w = parts->state.create("w", normal(shape, 1));
  Tape tape;
  const Var g = tape.input("g", w.type()), rate = tape.input("rate", {DType::f32, {}});
  const ParameterGradient pair{w, g};
  Optimizer(parts->state, Adam{}).step(std::span(&pair, 1), rate);
  parts->program.emplace(compile(tape, {}));
  parts->arguments = {normal(shape, 2), Tensor::scalar(1e-3f)};
  return [parts] { parts->program->run(parts->arguments); };
}

/// 500 times tanh(h w), all 8 by 8.
Run tiny() {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {8, 8}}), w = tape.input("w", {DType::f32, {8, 8}});
  Var h = x;
  for (int i = 0; i < 500; ++i) h = tanh(matmul(h, w));
  const auto program = std::make_shared<Program>(compile(h));
  const std::vector<Tensor> arguments{normal({8, 8}, 1), normal({8, 8}, 2)};
  return [=] { program->run(arguments); };
}

}  // namespace

std::vector<Case> op_cases() {
  std::vector<Case> cases{{"tiny/1000", tiny}};
  for (const auto& [label, size] :
       {std::pair<std::string, std::int64_t>{"64MB", 64 << 20}, {"512KB", 512 << 10}}) {
    for (const char* op : {"batch_norm", "layer_norm", "cross_entropy", "gelu", "dropout"}) {
      const auto halves = [op, size = size] { return std::make_shared<Halves>(example(op, size)); };
      cases.push_back(
          {std::string(op) + "/forward/" + label, [=]() -> Run { return [h = halves()] { h->forward(); }; }});
      cases.push_back({std::string(op) + "/backward/" + label,
                       [=]() -> Run { return [h = halves()] { h->backward(); }; }});
    }
  }
  // Weights, gradient and both moments together are half a megabyte where caches are to hold them.
  cases.push_back({"adam/64MB", [] { return adam(64 << 20); }});
  cases.push_back({"adam/512KB", [] { return adam(128 << 10); }});
  return cases;
}

}  // namespace versus
