// Trains a classifier as the notebook's Solver does: epochs of shuffled batches, an update rule, a learning
// rate that decays by epoch, accuracies on a sample of the training set and on the validation set, the best
// parameters kept.
//
//   Trainer trainer(model, split, Optimizer(model.state(), Adam{}), {.epochs = 10, .learning_rate = 1e-3});
//   trainer.train();
//   double accuracy = trainer.best_validation_accuracy();
#pragma once

#include <tapestry/core/function.hpp>
#include <tapestry/core/run/profiler.hpp>
#include <tapestry/models/checkpoint.hpp>
#include <tapestry/models/data/cifar10.hpp>
#include <tapestry/models/data/loader.hpp>
#include <tapestry/models/evaluate.hpp>
#include <tapestry/optim/average.hpp>
#include <tapestry/optim/optimizer.hpp>
#include <tapestry/optim/schedule.hpp>

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tapestry {

/// After a step: iterations count from 1.
struct StepReport {
  std::int64_t iteration = 0, iterations = 0;
  std::int64_t epoch = 0, epochs = 0;  // the epoch under way, from 1
  double loss = 0;
  double learning_rate = 0;
};

/// After an epoch, and before the first as epoch 0.
struct EpochReport {
  std::int64_t epoch = 0, epochs = 0;
  std::int64_t iteration = 0;
  double mean_loss = 0;  // of the epoch's steps
  double train_accuracy = 0;
  double validation_accuracy = 0;
  double learning_rate = 0;
  bool best = false;  // the validation accuracy is the best so far
};

/// Parameters that are trained at first only. From the end of epoch `epochs` on, those whose names match
/// `pattern`, in which * stands for any text, stay as they are, and their gradients aren't computed.
struct Freeze {
  std::string pattern;
  std::int64_t epochs = 0;
};

/// Throws Error if one is said after less than 0 epochs, or matches the name of no parameter of `state`.
void check_freeze(std::span<const Freeze> all, const StateDict& state);

struct TrainerOptions {
  std::int64_t epochs = 10;
  std::int64_t batch_size = 100;
  double learning_rate = 1e-3;
  /// Multiplies the learning rate after each epoch.
  double lr_decay = 1;
  /// Instead of learning_rate and lr_decay: the rate of each step, counted from 0.
  Schedule schedule{};
  /// Training images looked at for the training accuracy; 0 for none.
  std::int64_t train_samples = 1000;
  std::uint64_t seed = 0;
  /// Of the training batches; accuracies are of images as they are.
  Augmentation augment{};
  /// Instead of the split's mean image.
  std::optional<PixelScale> pixels{};
  /// Refuses a step whose gradients overflow though its loss is finite: see training_step().
  bool check_gradients = false;
  std::vector<Freeze> freeze{};
  /// Of the training step and of evaluations.
  Precision precision = Precision::f32;
  /// Follows weights and running statistics; the averages are what accuracies are of and what is kept as the
  /// best.
  std::optional<ExponentialMovingAverage> average{};
  /// Where the notebook's lines go, if anywhere: "(Iteration 1 / 4900) loss: 2.337669" each print_every
  /// steps, and
  /// "(Epoch 1 / 10) train acc: 0.494000; val_acc: 0.477000".
  std::ostream* verbose = nullptr;
  std::int64_t print_every = 10;

  std::function<void(const StepReport&)> on_step{};
  std::function<void(const EpochReport&)> on_epoch{};
  /// Asked after each step; true ends train() there. A later train() goes on from that step.
  std::function<bool()> should_stop{};
  /// Watches steps, batches, evaluations and reports, if there is one; outlives the trainer.
  Profiler* profiler = nullptr;
};

/// The step that trains: (images f32 [batch, ...], labels i64 [batch], learning rate f32) -> loss, and all
/// updates. A loss that isn't finite is refused. With `check_gradients`, and whenever the optimizer clips,
/// the gradients' global norm is a second output; if it isn't finite that is refused, too. Where nothing is
/// clipped that takes a pass over all gradients, which have to wait for it. `average`, if given, follows the
/// parameters and the statistics. Parameters whose names match one of `frozen` are left as they are. The
/// model must outlive it. What the library records for it is said to be made at `at`.
Function training_step(const Model& model, Optimizer optimizer, bool check_gradients = false,
                       Location at = Location::current(), Precision precision = Precision::f32,
                       std::optional<ExponentialMovingAverage> average = {},
                       std::vector<std::string> frozen = {});
/// The argument types of a training step.
std::vector<Type> training_types(const Model& model, std::int64_t batch_size);

class Trainer {
 public:
  /// The model and the split's images outlive the trainer. Compiles the step. Throws if there are fewer
  /// training images than a batch takes, or nothing to freeze by a name that is given.
  Trainer(Model& model, const Cifar10Split& data, Optimizer optimizer, TrainerOptions options,
          Location at = Location::current());

  /// Runs the steps that are left; false if should_stop ended it early. A loss that isn't finite throws
  /// NotFinite, as do gradients that are checked; that step has changed nothing.
  bool train();

  std::int64_t iteration() const { return iteration_; }
  std::int64_t iterations() const { return options_.epochs * steps_per_epoch(); }
  std::int64_t steps_per_epoch() const;

  /// One loss a step, one accuracy an epoch (the first before training), of this process's steps.
  const std::vector<double>& loss_history() const { return loss_history_; }
  const std::vector<double>& train_accuracy_history() const { return train_history_; }
  const std::vector<double>& validation_accuracy_history() const { return validation_history_; }

  double best_validation_accuracy() const { return best_accuracy_; }
  /// Sets the model to the parameters and statistics that had the best validation accuracy.
  void use_best();

  /// Everything that the next step depends on; resume() of it in a trainer made alike goes on to the same
  /// bits.
  void save(const std::filesystem::path& path, Metadata metadata = {}) const;
  /// `best` is what save_best() wrote, if anything; without it the best parameters have to be found again.
  Metadata resume(const std::filesystem::path& path, const std::filesystem::path& best = {});
  /// The best parameters as a checkpoint to evaluate.
  void save_best(const std::filesystem::path& path, Metadata metadata = {}) const;

 private:
  void profile(Profiler& profiler);
  /// Compiles the step anew where the next one is the first after an epoch that freezes something.
  void freeze();
  void check(std::int64_t epoch);
  void keep_best();

  Model& model_;
  const Cifar10Split& data_;
  TrainerOptions options_;
  BatchLoader loader_;
  Evaluator evaluator_;
  Optimizer optimizer_;
  Location at_;
  std::vector<std::string> frozen_;  // patterns of what step_ leaves as it is
  Function step_;
  Tensor rate_;
  std::int64_t iteration_ = 0;
  double loss_sum_ = 0;  // of this epoch's steps
  std::int64_t loss_count_ = 0;
  std::uint32_t evaluating_ = 0, reporting_ = 0;  // the profiler's phases
  double best_accuracy_ = -1;
  std::vector<std::pair<State, Tensor>> best_;
  std::vector<double> loss_history_, train_history_, validation_history_;
};

}  // namespace tapestry
