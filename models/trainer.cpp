#include <tapestry/core/differentiate.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/models/trainer.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/optim/clip.hpp>

#include <algorithm>
#include <charconv>
#include <iomanip>
#include <limits>
#include <ostream>
#include <span>

namespace tapestry {
namespace {

ImageSet sample(const ImageSet& set, std::int64_t count) { return set.slice(0, std::min(count, set.size())); }

BatchOptions batches(const Model& model, const TrainerOptions& options) {
  BatchOptions batch{.batch_size = options.batch_size, .flatten = model.input_shape().rank() == 1};
  batch.seed = options.seed;
  batch.augment = options.augment;
  return batch;
}

PixelScale pixels(const Cifar10Split& data, const TrainerOptions& options) {
  return options.pixels ? *options.pixels : PixelScale(data.mean);
}

std::string exact(double value) {
  std::string out;
  append_shortest(out, value);
  return out;
}

double number(const Metadata& metadata, const std::string& name, const std::filesystem::path& path) {
  const auto it = metadata.find(name);
  if (it == metadata.end())
    throw IoError(text(path.string(), ": a checkpoint without ", name, " can't be resumed"));
  double value = 0;
  const char* end = it->second.data() + it->second.size();
  if (const auto [stop, error] = std::from_chars(it->second.data(), end, value);
      error != std::errc() || stop != end) {
    throw IoError(text(path.string(), ": its ", name, " is '", it->second, "', not a number"));
  }
  return value;
}

bool matches_any(std::span<const std::string> patterns, const State& parameter) {
  return std::ranges::any_of(patterns,
                             [&](const auto& pattern) { return matches(pattern, parameter.name()); });
}

}  // namespace

Function training_step(const Model& model, Optimizer optimizer, bool check_gradients, Location at,
                       Precision precision, std::optional<ExponentialMovingAverage> average,
                       std::vector<std::string> frozen) {
  check_gradients |= optimizer.options().clip_norm.has_value();
  const auto step = [&model, optimizer = std::move(optimizer), average = std::move(average),
                     frozen = std::move(frozen), check_gradients, at](Var x, Var labels, Var learning_rate) {
    const Var images = cast({x, at}, model.dtype());
    const Var loss = model.loss({images, at}, {labels, at}, Mode::train);
    std::vector<State> parameters = model.state().parameters();
    std::erase_if(parameters, [&](const State& parameter) { return matches_any(frozen, parameter); });
    const std::vector<Var> slopes = gradients({loss, at}, parameters);
    std::vector<ParameterGradient> pairs;
    for (std::size_t i = 0; i < parameters.size(); ++i) pairs.push_back({parameters[i], slopes[i]});
    optimizer.step(pairs, {learning_rate, at});
    if (average) {
      Tape& tape = loss.tape();
      average->step(tape, ExponentialMovingAverage::averaged(tape, model.state().all()), at);
    }
    std::vector<Var> outputs{loss};
    const Scope scope(loss.tape(), "check_gradients", at);
    if (check_gradients && !slopes.empty()) outputs.push_back(global_norm(slopes));
    return outputs;
  };
  return {step, CompileOptions{.precision = precision, .require_finite = true}, at};
}

std::vector<Type> training_types(const Model& model, std::int64_t batch_size) {
  Shape images{batch_size};
  for (const std::int64_t extent : model.input_shape()) images.push_back(extent);
  return {{DType::f32, images}, {DType::i64, {batch_size}}, {DType::f32, {}}};
}

Trainer::Trainer(Model& model, const Cifar10Split& data, Optimizer optimizer, TrainerOptions options,
                 Location at)
    : model_(model),
      data_(data),
      options_(std::move(options)),
      loader_(data.training, pixels(data, options_), batches(model, options_)),
      evaluator_(model, pixels(data, options_), {.precision = options_.precision}),
      optimizer_(std::move(optimizer)),
      at_(at),
      step_(training_step(model, optimizer_, options_.check_gradients, at, options_.precision,
                          options_.average)),
      rate_(DType::f32, {}) {
  require(options_.epochs >= 0, "the number of epochs can't be ", options_.epochs);
  if (!options_.schedule) {
    options_.schedule = exponential_schedule(options_.learning_rate, options_.lr_decay, steps_per_epoch());
  }
  check_freeze(options_.freeze, model.state());
  loss_history_.reserve(std::size_t(iterations()));
  // A resumed run that has frozen something needs it, too: it makes the optimizer's State.
  step_.program(training_types(model, options_.batch_size));
  if (options_.profiler) profile(*options_.profiler);
}

void Trainer::profile(Profiler& profiler) {
  step_.profile(&profiler, "training step");
  loader_.profile(&profiler);
  evaluator_.profile(&profiler);
  evaluating_ = profiler.add_phase("evaluate");
  reporting_ = profiler.add_phase("report and save");
}

void check_freeze(std::span<const Freeze> all, const StateDict& state) {
  const std::vector<State> parameters = state.parameters();
  for (const Freeze& freeze : all) {
    require(freeze.epochs >= 0, "nothing can be frozen after ", freeze.epochs, " epochs");
    const auto is_meant = [&](const State& s) { return matches(freeze.pattern, s.name()); };
    require(std::ranges::any_of(parameters, is_meant), "no parameter's name matches '", freeze.pattern,
            "', which is to be frozen",
            parameters.empty() ? "" : "; the first is " + parameters.front().name());
  }
}

void Trainer::freeze() {
  std::vector<std::string> frozen;
  for (const Freeze& freeze : options_.freeze) {
    if (iteration_ / steps_per_epoch() >= freeze.epochs) frozen.push_back(freeze.pattern);
  }
  if (frozen == frozen_) return;
  frozen_ = std::move(frozen);
  // The step before it goes first, and with it its memory.
  step_ = training_step(model_, optimizer_, options_.check_gradients, at_, options_.precision,
                        options_.average, frozen_);
  if (options_.profiler) step_.profile(options_.profiler, "training step, some parameters frozen");
  step_.program(training_types(model_, options_.batch_size));
}

std::int64_t Trainer::steps_per_epoch() const { return loader_.batches_per_epoch(); }

bool Trainer::train() {
  if (iteration_ == 0 && best_accuracy_ < 0) check(0);
  while (iteration_ < iterations()) {
    if (!options_.freeze.empty()) freeze();
    const Batch batch = loader_.next();
    const double learning_rate = options_.schedule(iteration_);
    rate_.mutable_values<float>()[0] = float(learning_rate);
    const double loss = step_(batch.images, batch.labels, rate_).item();
    ++iteration_;
    loss_history_.push_back(loss);
    loss_sum_ += loss;
    ++loss_count_;
    const std::int64_t epoch = (iteration_ - 1) / steps_per_epoch() + 1;
    if (options_.verbose && options_.print_every > 0 && (iteration_ - 1) % options_.print_every == 0) {
      *options_.verbose << "(Iteration " << iteration_ << " / " << iterations() << ") loss: " << std::fixed
                        << std::setprecision(6) << loss << '\n';
    }
    if (options_.on_step) {
      const PhaseTimer timer(options_.profiler, reporting_);
      options_.on_step({iteration_, iterations(), epoch, options_.epochs, loss, learning_rate});
    }
    if (iteration_ % steps_per_epoch() == 0) check(epoch);
    if (options_.should_stop && options_.should_stop()) return iteration_ == iterations();
  }
  return true;
}

void Trainer::check(std::int64_t epoch) {
  std::optional<UseAverages> averages;
  if (options_.average) averages.emplace(*options_.average, model_.state().all());
  EpochReport report{.epoch = epoch, .epochs = options_.epochs, .iteration = iteration_};
  report.mean_loss = loss_count_ ? loss_sum_ / double(loss_count_) : std::numeric_limits<double>::quiet_NaN();
  loss_sum_ = 0;
  loss_count_ = 0;
  {
    const PhaseTimer timer(options_.profiler, evaluating_);
    report.train_accuracy = evaluator_.accuracy(sample(data_.training, options_.train_samples));
    report.validation_accuracy = evaluator_.accuracy(data_.validation);
  }
  report.learning_rate = options_.schedule(std::max<std::int64_t>(iteration_ - 1, 0));
  // Without validation images the last parameters are the best.
  report.best = data_.validation.size() == 0 || report.validation_accuracy > best_accuracy_;
  if (report.best) {
    best_accuracy_ = report.validation_accuracy;
    keep_best();
  }
  averages.reset();
  train_history_.push_back(report.train_accuracy);
  validation_history_.push_back(report.validation_accuracy);
  if (options_.verbose) {
    *options_.verbose << "(Epoch " << epoch << " / " << options_.epochs << ") train acc: " << std::fixed
                      << std::setprecision(6) << report.train_accuracy
                      << "; val_acc: " << report.validation_accuracy << '\n';
  }
  if (options_.on_epoch) {
    const PhaseTimer timer(options_.profiler, reporting_);
    options_.on_epoch(report);
  }
}

void Trainer::keep_best() {
  best_.clear();
  for (const State& state : model_.state()) {
    if (state.kind() != StateKind::optimizer) best_.emplace_back(state, state.value());
  }
}

void Trainer::use_best() {
  for (const auto& [state, value] : best_) state.set(value);
}

void Trainer::save(const std::filesystem::path& path, Metadata metadata) const {
  metadata["iteration"] = std::to_string(iteration_);
  metadata["best_validation_accuracy"] = exact(best_accuracy_);
  metadata["epoch_loss_sum"] = exact(loss_sum_);
  metadata["epoch_loss_count"] = std::to_string(loss_count_);
  save_checkpoint(path, model_.state(), metadata);
}

Metadata Trainer::resume(const std::filesystem::path& path, const std::filesystem::path& best) {
  const bool has_best = std::filesystem::exists(best);
  if (has_best) {
    load_checkpoint(best, model_.state(), Restore::model);
    keep_best();
  }
  Metadata metadata = load_checkpoint(path, model_.state(), Restore::everything);
  iteration_ = std::int64_t(number(metadata, "iteration", path));
  best_accuracy_ = has_best ? number(metadata, "best_validation_accuracy", path) : -1;
  loss_sum_ = number(metadata, "epoch_loss_sum", path);
  loss_count_ = std::int64_t(number(metadata, "epoch_loss_count", path));
  loader_.seek({iteration_ / steps_per_epoch(), iteration_ % steps_per_epoch()});
  return metadata;
}

void Trainer::save_best(const std::filesystem::path& path, Metadata metadata) const {
  metadata["best_validation_accuracy"] = exact(best_accuracy_);
  StateDict best;
  for (const auto& [state, value] : best_) best.create(state.name(), value, state.kind());
  save_checkpoint(path, best, metadata);
}

}  // namespace tapestry
