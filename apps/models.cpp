#include "models.hpp"

#include "entries.hpp"

#include <tapestry/models/fully_connected.hpp>
#include <tapestry/models/resnet.hpp>
#include <tapestry/models/speedrun.hpp>
#include <tapestry/models/three_layer.hpp>
#include <tapestry/models/vision_transformer.hpp>

#include <algorithm>
#include <charconv>

namespace tapestry::app {
namespace {

std::vector<std::int64_t> parse_hidden(const std::string& list) {
  std::vector<std::int64_t> sizes;
  // A comma at the end has an empty number after it.
  for (std::size_t at = 0; !list.empty() && at <= list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    std::int64_t size = 0;
    const auto [end, error] = std::from_chars(list.data() + at, list.data() + comma, size);
    demand(error == std::errc() && end == list.data() + comma && size > 0,
           "--hidden takes positive numbers separated by commas, not '", list, "'");
    sizes.push_back(size);
    at = comma + 1;
  }
  return sizes;
}

Normalization parse_normalization(const std::string& name) {
  if (name == "none") return Normalization::none;
  if (name == "batch") return Normalization::batch;
  demand(name == "layer", "--normalization is none, batch or layer, not '", name, "'");
  return Normalization::layer;
}

/// --width, or what the model is otherwise.
std::int64_t width(const Config& config, std::int64_t own) { return config.width > 0 ? config.width : own; }

std::unique_ptr<Model> fully_connected(const Config& config, DType dtype, std::int64_t side) {
  FullyConnectedOptions options;
  options.hidden = parse_hidden(config.hidden);
  options.inputs = side * side * 3;
  options.weight_scale = config.weight_scale;
  options.normalization = parse_normalization(config.normalization);
  options.keep = config.keep;
  options.reg = config.reg;
  options.dtype = dtype;
  options.seed = config.seed;
  return std::make_unique<FullyConnectedNet>(options);
}

std::unique_ptr<Model> three_layer(const Config& config, DType dtype, std::int64_t side) {
  const std::vector<std::int64_t> hidden = parse_hidden(config.hidden);
  demand(hidden.size() == 1, "a three-layer net has one hidden layer: --hidden takes one number, not '",
         config.hidden, "'");
  demand(config.filter_size > 0 && config.filter_size <= side, "--filter-size is between 1 and ", side,
         ", not ", config.filter_size);
  ThreeLayerOptions options;
  options.filters = width(config, options.filters);
  options.filter_size = config.filter_size;
  options.hidden = hidden.front();
  options.side = side;
  options.weight_scale = config.weight_scale;
  options.reg = config.reg;
  options.dtype = dtype;
  options.seed = config.seed;
  return std::make_unique<ThreeLayerConvNet>(options);
}

std::unique_ptr<Model> speedrun(const Config& config, DType dtype, std::int64_t) {
  const std::int64_t first = width(config, 64);
  return std::make_unique<SpeedrunNet>(
      SpeedrunOptions{.widths = {first, 4 * first, 4 * first}, .seed = config.seed, .dtype = dtype});
}

std::unique_ptr<Model> residual(ResNetOptions options, const Config& config, DType dtype, std::int64_t side) {
  options.side = side;
  options.dtype = dtype;
  options.seed = config.seed;
  return std::make_unique<ResNet>(options);
}

template <int layers>
std::unique_ptr<Model> cifar_resnet(const Config& config, DType dtype, std::int64_t side) {
  return residual(ResNetOptions::cifar(layers, width(config, 16)), config, dtype, side);
}

std::unique_ptr<Model> resnet18(const Config& config, DType dtype, std::int64_t side) {
  return residual(ResNetOptions::resnet18(width(config, 64)), config, dtype, side);
}

std::unique_ptr<Model> vit(const Config& config, DType dtype, std::int64_t side) {
  VisionTransformerOptions options;
  options.width = width(config, options.width);
  options.mlp_width = 2 * options.width;
  demand(options.width % options.heads == 0, "--width: the ", options.heads, " heads of vit can't share ",
         options.width, " features");
  options.side = side;
  options.dtype = dtype;
  options.seed = config.seed;
  return std::make_unique<VisionTransformer>(options);
}

/// Residual nets: the paper's augmentation, but fewer epochs, with a rate that falls along a cosine.
ModelEntry residual_entry(std::string name, std::string what, decltype(ModelEntry::make) make) {
  return {.name = std::move(name),
          .what = std::move(what),
          .make = make,
          .takes = {"width"},
          .itself = {{"pixels", "channels"}},
          .training = {{"epochs", "20"}, {"batch-size", "128"}, {"augment", "flip,crop=4"}},
          .optimizer = "nesterov",
          .with_optimizer = {{"learning-rate", "0.1"},
                             {"weight-decay", "5e-04"},
                             {"schedule", "cosine"},
                             {"warm-up", "200"}},
          .check = {{"width", "2"}},
          .check_side = 8,
          .check_step = 1e-5};
}

const std::vector<ModelEntry>& all() {
  static const std::vector<ModelEntry> kModels = {
      {.name = "fully_connected",
       .what = "affine layers of --hidden units, relu between them",
       .make = fully_connected,
       .takes = {"hidden", "normalization", "keep", "reg", "weight-scale"}},
      {.name = "three_layer",
       .what = "convolution of --width filters, max pool, --hidden units",
       .make = three_layer,
       .takes = {"hidden", "width", "filter-size", "reg", "weight-scale"},
       .itself = {{"hidden", "500"}, {"weight-scale", "0.001"}},
       .training = {{"augment", "flip"}},
       .with_optimizer = {{"schedule", "cosine"}},
       .check = {{"width", "4"}, {"filter-size", "3"}, {"hidden", "15"}, {"weight-scale", "1e-1"}},
       .check_side = 8,
       .check_step = 1e-5},
      residual_entry("resnet20", "residual net of 20 layers, --width 16 channels at first", cifar_resnet<20>),
      residual_entry("resnet32", "the same with 32 layers", cifar_resnet<32>),
      residual_entry("resnet56", "the same with 56 layers", cifar_resnet<56>),
      residual_entry("resnet18", "residual net of 18 layers, --width 64 channels at first", resnet18),
      {.name = "vit",
       .what = "vision transformer: 4x4 patches, six blocks, --width 128 features a token",
       .make = vit,
       .takes = {"width"},
       .itself = {{"pixels", "channels"}},
       .training = {{"epochs", "20"}, {"batch-size", "128"}, {"augment", "flip,crop=4"}},
       .optimizer = "adamw",
       .with_optimizer =
           {{"learning-rate", "0.001"}, {"weight-decay", "0.05"}, {"schedule", "cosine"}, {"warm-up", "400"}},
       .check = {{"width", "8"}},
       .check_side = 8},
      {.name = "speedrun",
       .what = "whitened patches, six convolutions, --width 64 channels at first; 94% in 8 epochs",
       .make = speedrun,
       .takes = {"width"},
       .itself = {{"pixels", "channels"}},
       .training = {{"batch-size", "2000"},
                    {"epochs", "8"},
                    {"num-train", "50000"},
                    {"augment", "alternating,translate=2"},
                    {"tta", "translate"},
                    {"freeze", "whiten/bias=3"}},
       .optimizer = "speedrun",
       .with_optimizer = {{"learning-rate", "1"}, {"schedule", "linear"}},
       .check = {{"width", "2"}},
       .check_step = 3e-6},
  };
  return kModels;
}

}  // namespace

std::span<const ModelEntry> models() { return all(); }

std::string model_names() { return names_of(models()); }

bool takes(const ModelEntry& model, std::string_view setting) { return takes(models(), model, setting); }

std::string for_models(std::string_view setting) { return for_those(models(), setting); }

const ModelEntry& model_entry(const std::string& name) {
  if (const ModelEntry* entry = find_entry(models(), name)) return *entry;
  throw UsageError(text("there is no model '", name, "'; there are: ", model_names()));
}

}  // namespace tapestry::app
