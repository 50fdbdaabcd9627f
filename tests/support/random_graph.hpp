// Random programs for the differential tests. A recipe is a list of steps, each a kind of computation on the
// results of earlier steps and a seed from which its remaining choices (axes, extents, data) follow; so a
// recipe can be recorded in f32 and in f64, and cut down step by step when it fails.
#pragma once

#include <tapestry/core/random.hpp>
#include <tapestry/core/state.hpp>
#include <tapestry/core/tape.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tapestry::test {

struct Step {
  std::string_view kind;
  std::vector<std::size_t> from{};  // earlier steps
  std::uint64_t seed = 0;
  Shape shape{};  // of leaves
};

struct Recipe {
  std::uint64_t seed = 0;
  std::vector<Step> steps{};
  std::vector<std::size_t> outputs{};
  bool gradients = true;         // of a scalar of the outputs, by all inputs and states
  std::string_view optimizer{};  // that updates the states; none if empty
};

/// At most `most` steps; all extents are small but for those of a few graphs in a hundred.
Recipe random_recipe(std::uint64_t seed, std::size_t most = 30);

/// A recorded recipe: outputs, then the scalar and its gradients.
struct Recorded {
  std::unique_ptr<Tape> tape;
  Graph graph;
  std::vector<Tensor> arguments;
  StateDict state;
  std::vector<Tensor> initial;  // of `state`

  void reset() const {
    for (std::size_t i = 0; i < initial.size(); ++i) state.all()[i].set(initial[i]);
  }
};

/// Throws if a step isn't possible on what it is given.
Recorded record(const Recipe& recipe, DType base);

// --- what the kinds of steps are made of ---

/// The parts of a recipe that are recorded, and where its leaves come from.
class Maker {
 public:
  /// Without `arguments` inputs become constants, so that a step can be evaluated by itself.
  Maker(Tape& tape, DType base, StateDict& state, std::vector<Tensor>* arguments)
      : tape_(tape), base_(base), state_(state), arguments_(arguments) {}

  void begin(const Step& step, std::vector<Var> operands, std::size_t position);

  // --- of the current step ---
  const Var& x(std::size_t i = 0) const { return operands_.at(i); }
  /// Operand i, in the dtype of the first.
  Var like_first(std::size_t i) const;
  /// Operand i in the base dtype, for ops that don't take bf16; or in bf16.
  Var in_base(std::size_t i = 0) const;
  Var in_bf16(std::size_t i = 0) const;
  Tape& tape() const { return tape_; }
  DType base() const { return base_; }
  const Shape& shape() const { return step_->shape; }

  std::int64_t below(std::int64_t n) { return random_.below(n); }
  bool chance(double p) { return random_.uniform() < p; }
  double number(double lo, double hi);
  /// One or more axes, most often the last ones; some kinds can't do without an axis.
  std::vector<int> some_axes(int rank);
  int axis(int rank);

  /// Leaves. Magnitudes between 0.2 and 1.6, both signs.
  Var input(const Shape& shape, DType dtype);
  Var labels(const Shape& shape, std::int64_t classes);
  Var parameter(const Shape& shape);
  /// State that isn't trained, of values like those of inputs.
  State statistic(const Type& type);
  Tensor values(const Shape& shape, DType dtype);
  /// The graph's random key.
  State key();

 private:
  Var given(Tensor value);

  Tape& tape_;
  DType base_;
  StateDict& state_;
  std::vector<Tensor>* arguments_;  // null: constants
  const Step* step_ = nullptr;
  std::vector<Var> operands_{};
  std::size_t position_ = 0, leaves_ = 0;
  Random random_{0};
  std::optional<State> key_{};
};

/// What a step can be. `operands` has one letter an operand: f floating, i integer, b bool, x any.
struct Kind {
  std::string_view name;
  std::string_view operands;
  int weight;
  Var (*make)(Maker& m);
};
const std::vector<Kind>& kinds();
const Kind& kind_of(std::string_view name);

/// By letters as in Kind::operands.
bool is_a(char letter, DType dtype);

}  // namespace tapestry::test
