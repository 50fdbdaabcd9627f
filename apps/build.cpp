#include "build.hpp"

#include "images.hpp"
#include "models.hpp"
#include "optimizers.hpp"
#include "schedules.hpp"

#include <tapestry/core/io/safetensors.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/models/checkpoint.hpp>
#include <tapestry/models/data/synthetic_cifar10.hpp>
#include <tapestry/ops/kernels/gemm_bf16.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <iostream>

namespace fs = std::filesystem;

namespace tapestry::app {
namespace {

DType parse_precision(const std::string& name) {
  demand(name == "f32" || name == "f64" || name == "bf16", "--precision is f32, f64 or bf16, not '", name,
         "'");
  return name == "f64" ? DType::f64 : DType::f32;
}

fs::path find_data(const Config& config) {
  if (config.data == "synthetic") {
    const fs::path folder = "data/synthetic-cifar10";
    if (!fs::exists(folder / kSyntheticMarker)) {
      std::cerr << "Drawing the stand-in for CIFAR-10 in " << folder.string() << '\n';
      write_synthetic_cifar10(folder, 0);
    }
    return folder;
  }
  if (!config.data.empty()) return config.data;
  if (const char* named = std::getenv("CIFAR10_DIR"); named && *named) return named;
  for (const fs::path place : {"data/cifar-10-binary.tar.gz", "data/cifar-10-batches-bin"}) {
    if (fs::exists(place)) return place;
  }
  throw UsageError(
      "there is no data: name CIFAR-10 by --data or CIFAR10_DIR, fetch it with tools/get_cifar10.sh, or try "
      "--data synthetic");
}

}  // namespace

Precision make_precision(const Config& config) {
  return config.precision == "bf16" ? Precision::bf16 : Precision::f32;
}

std::string precision_notice(Precision precision, bool cpu_multiplies_bf16) {
  if (precision != Precision::bf16 || cpu_multiplies_bf16) return "";
  return "This CPU has no bf16 products: they are computed in f32, and --precision f32 is faster\n";
}

bool (*this_cpu_multiplies_bf16)() = kernels::cpu_multiplies_bf16;

void print_precision_notice(const Config& config) {
  std::cerr << precision_notice(make_precision(config), this_cpu_multiplies_bf16());
}

std::unique_ptr<Model> make_model(const Config& config, std::int64_t side) {
  const ModelEntry& entry = model_entry(config.model);
  demand(config.keep > 0 && config.keep <= 1, "--keep is a probability above 0, not ", config.keep);
  demand(config.reg >= 0, "--reg can't be negative");
  demand(config.width >= 0, "--width can't be negative");
  demand(config.weight_scale > 0 && std::isfinite(config.weight_scale),
         "--weight-scale must be positive and finite, not ", config.weight_scale);
  std::unique_ptr<Model> model = entry.make(config, parse_precision(config.precision), side);
  model->state().create(std::string(kMeanImage), Tensor(DType::f32, {kCifar10Side, kCifar10Side, 3}),
                        StateKind::statistic);
  return model;
}

Optimizer make_optimizer(const Config& config, StateDict& state) {
  OptimizerOptions options;
  const auto fraction = [](double x) { return x >= 0 && x < 1; };
  demand(fraction(config.momentum), "--momentum is at least 0 and below 1, not ", config.momentum);
  demand(fraction(config.decay), "--decay is at least 0 and below 1, not ", config.decay);
  demand(fraction(config.beta1), "--beta1 is at least 0 and below 1, not ", config.beta1);
  demand(fraction(config.beta2), "--beta2 is at least 0 and below 1, not ", config.beta2);
  demand(config.epsilon >= 0, "--epsilon can't be negative");
  demand(config.weight_decay >= 0, "--weight-decay can't be negative");
  demand(config.clip_norm >= 0, "--clip-norm can't be negative");
  demand(config.lookahead >= 0, "--lookahead can't be negative");
  if (config.clip_norm > 0) options.clip_norm = config.clip_norm;
  if (config.lookahead > 0) options.lookahead = Lookahead{.steps = config.lookahead};
  options.weight_decay = config.weight_decay;
  return optimizer_entry(config.optimizer).make(config, state, std::move(options));
}

std::vector<Freeze> make_freeze(const std::string& list, const StateDict& state) {
  std::vector<Freeze> all;
  if (list == "none") return all;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    const std::string part = list.substr(at, comma - at), pattern = part.substr(0, part.rfind('='));
    Freeze freeze{.pattern = pattern};
    const char* end = part.data() + part.size();
    const auto [stop, error] =
        std::from_chars(std::min(part.data() + pattern.size() + 1, end), end, freeze.epochs);
    demand(error == std::errc() && stop == end && freeze.epochs >= 0,
           "--freeze is none or PATTERN=EPOCHS, several separated by commas, not '", list, "'");
    all.push_back(std::move(freeze));
    at = comma + 1;
  }
  try {
    check_freeze(all, state);
  } catch (const Error& mistake) {
    throw UsageError(text("--freeze: ", mistake.what()));
  }
  return all;
}

std::optional<ExponentialMovingAverage> make_average(const Config& config, StateDict& state) {
  demand(config.ema >= 0 && config.ema < 1, "--ema is at least 0 and below 1, not ", config.ema);
  if (config.ema == 0) return std::nullopt;
  return ExponentialMovingAverage(state, config.ema);
}

Schedule make_schedule(const Config& config, std::int64_t steps_per_epoch) {
  demand(config.learning_rate > 0 && std::isfinite(config.learning_rate),
         "--learning-rate must be positive and finite, not ", config.learning_rate);
  demand(config.lr_decay > 0, "--lr-decay must be positive");
  demand(config.decay_every > 0, "--decay-every must be positive");
  demand(config.epochs >= 0, "--epochs can't be negative");
  demand(config.warm_up >= 0, "--warm-up can't be negative");
  const std::int64_t steps = std::max<std::int64_t>(config.epochs * steps_per_epoch, 1);
  return schedule_entry(config.schedule).make(config, steps_per_epoch, steps);
}

void check_settings(const Config& config) {
  demand(config.num_train > 0 && config.num_train <= 50'000, "--num-train is between 1 and 50000, not ",
         config.num_train);
  demand(config.batch_size > 0 && config.batch_size <= config.num_train, "--batch-size is between 1 and the ",
         config.num_train, " training images, not ", config.batch_size);
  demand(config.train_samples >= 0, "--train-samples can't be negative");
  demand(config.checkpoint_every >= 0, "--checkpoint-every can't be negative");
  demand(config.threads >= 0, "--threads can't be negative");
  make_pixels(config.pixels, {});
  make_augmentation(config.augment);
  make_views(config.tta);
  const std::unique_ptr<Model> model = make_model(config);
  make_optimizer(config, model->state());
  make_freeze(config.freeze, model->state());
  make_average(config, model->state());
  make_schedule(config, 1);
}

Cifar10Split load_data(const Config& config) {
  SplitSizes sizes;
  if (config.num_train > sizes.training) sizes = {config.num_train, 50'000 - config.num_train, sizes.test};
  Cifar10Split split = split_cifar10(load_cifar10(find_data(config)), sizes);
  split.training = split.training.slice(0, config.num_train);
  if (split.synthetic) {
    std::cerr << "The images are a synthetic stand-in for CIFAR-10: drawn shapes, not photographs. "
                 "Accuracies on them "
                 "say nothing about CIFAR-10.\n";
  }
  return split;
}

void use_threads(const Config& config) {
  demand(config.threads >= 0, "--threads can't be negative");
  if (config.threads > 0) set_thread_count(config.threads);
}

std::string join(std::span<const std::string> words) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : ",") + word;
  return all;
}

namespace {

/// Averages of weights that are in a checkpoint are what training measured: they stand for the weights.
void use_averages(const fs::path& path, const StateDict& state) {
  const SafetensorsFile file = load_safetensors(path);
  const auto prefix = text(ExponentialMovingAverage::kName, '/');
  if (const Tensor* steps = file.find(prefix + "t"); !steps || steps->item() == 0) return;
  for (const State& s : state) {
    if (const Tensor* average = file.find(prefix + s.name())) s.set(*average);
  }
}

}  // namespace

LoadedRun load_run(const fs::path& run, const std::string& checkpoint) {
  LoadedRun loaded;
  loaded.config = read_config(run / "config.ini");
  loaded.model = make_model(loaded.config);
  const bool named = checkpoint == "best" || checkpoint == "last";
  const fs::path path = named ? run / (checkpoint + ".safetensors") : fs::path(checkpoint);
  const Metadata metadata = load_checkpoint(path, loaded.model->state(), Restore::model);
  use_averages(path, loaded.model->state());
  if (const auto pixels = metadata.find(std::string(kPixels)); pixels != metadata.end())
    loaded.config.pixels = pixels->second;
  const auto names = metadata.find(std::string(kClassNames));
  if (names == metadata.end())
    throw IoError(text(path.string(), ": the checkpoint doesn't name its classes"));
  std::istringstream words(names->second);
  for (std::string word; std::getline(words, word, ',');) loaded.class_names.push_back(word);
  return loaded;
}

}  // namespace tapestry::app
