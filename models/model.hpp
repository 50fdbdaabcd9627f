// What the trainer, the reports and the command line need to know of a classifier.
#pragma once

#include <tapestry/models/data/dataset.hpp>
#include <tapestry/models/data/pixels.hpp>
#include <tapestry/models/layers.hpp>

#include <optional>
#include <string>

namespace tapestry {

class Model {
 public:
  virtual ~Model() = default;

  /// A short name, as on the command line.
  virtual std::string name() const = 0;
  /// What one input looks like, without the batch axis: [3072] or [32, 32, 3].
  virtual Shape input_shape() const = 0;
  virtual std::int64_t classes() const = 0;

  /// x [batch, input shape...] -> scores [batch, classes].
  virtual Var logits(const Operand& x, Mode mode) const = 0;
  /// What the loss adds for the weights themselves, if anything.
  virtual std::optional<Var> penalty(Tape&) const { return std::nullopt; }

  /// The share of the target that the loss spreads evenly over all classes.
  virtual double label_smoothing() const { return 0; }
  /// What the model has to know of the images before it is trained, as they will be scaled: called once,
  /// before the first step of a new run.
  virtual void look_at(const ImageSet&, const PixelScale&) {}

  /// Mean softmax cross-entropy over the batch, labels [batch] integers, plus the penalty.
  Var loss(const Operand& x, const Operand& labels, Mode mode) const;

  /// Of the parameters.
  DType dtype() const { return state_.parameters().at(0).type().dtype; }
  StateDict& state() { return state_; }
  const StateDict& state() const { return state_; }

 protected:
  Model() = default;
  StateDict state_;
};

}  // namespace tapestry
