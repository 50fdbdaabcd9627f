// From settings to objects.
#pragma once

#include "config.hpp"

#include <tapestry/core/run/program.hpp>
#include <tapestry/models/data/cifar10.hpp>
#include <tapestry/models/model.hpp>
#include <tapestry/models/trainer.hpp>
#include <tapestry/optim/average.hpp>
#include <tapestry/optim/optimizer.hpp>
#include <tapestry/optim/schedule.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tapestry::app {

/// What steps compute in: --precision bf16 is a model in f32 whose steps are compiled for bf16.
Precision make_precision(const Config& config);
/// What someone should know who computes in this precision on a CPU that multiplies bf16 or doesn't: a line,
/// or nothing.
std::string precision_notice(Precision precision, bool cpu_multiplies_bf16);
/// Tells it on stderr, before anything is computed for which it holds.
void print_precision_notice(const Config& config);
/// What it takes this CPU for; a test may put another in its place.
extern bool (*this_cpu_multiplies_bf16)();
/// For images of side x side pixels. Throws UsageError for names and numbers that make no sense.
std::unique_ptr<Model> make_model(const Config& config, std::int64_t side = kCifar10Side);
Optimizer make_optimizer(const Config& config, StateDict& state);
/// --freeze, of parameters that `state` has.
std::vector<Freeze> make_freeze(const std::string& list, const StateDict& state);
/// The average of weights that --ema asks for.
std::optional<ExponentialMovingAverage> make_average(const Config& config, StateDict& state);
Schedule make_schedule(const Config& config, std::int64_t steps_per_epoch);
/// All of them: before data is read and folders are made. load_data() relies on it.
void check_settings(const Config& config);

/// The notebook's split of the data that --data, $CIFAR10_DIR or data/ names, `num_train` images to train on.
/// Draws the stand-in if asked for, and says so on stderr whenever it is used.
Cifar10Split load_data(const Config& config);

/// Applies --threads.
void use_threads(const Config& config);

/// The mean training image, kept with the model so that a checkpoint is all that predicting needs.
inline constexpr std::string_view kMeanImage = "data/mean_image";

/// A trained model, ready to evaluate.
struct LoadedRun {
  Config config;
  std::unique_ptr<Model> model;
  std::vector<std::string> class_names;
};
/// A run's model with the parameters of `checkpoint`: "best", "last" or a file.
LoadedRun load_run(const std::filesystem::path& run, const std::string& checkpoint);

/// How class names are kept in a checkpoint's metadata.
inline constexpr std::string_view kClassNames = "class_names";
std::string join(std::span<const std::string> words);

}  // namespace tapestry::app
