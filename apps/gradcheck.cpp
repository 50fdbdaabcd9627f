#include "build.hpp"
#include "commands.hpp"
#include "models.hpp"

#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/random.hpp>
#include <tapestry/models/data/cifar10.hpp>
#include <tapestry/models/report/text_table.hpp>

#include <iostream>

#include <boost/program_options.hpp>

namespace po = boost::program_options;

namespace tapestry::app {
namespace {

/// For models whose first layer is made of the training images.
void look_at_noise(Model& model) {
  constexpr std::int64_t kImages = 16;
  const Shape image = model.input_shape();
  if (image.rank() != 3) return;
  Tensor pixels(DType::u8, {kImages, image[0], image[1], image[2]});
  Random random(0, 1);
  for (std::uint8_t& pixel : pixels.mutable_values<std::uint8_t>()) pixel = std::uint8_t(random.below(256));
  model.look_at(ImageSet(pixels, Tensor(DType::i64, {kImages})),
                normalized_channels(image, kCifar10ChannelMeans, kCifar10ChannelDeviations));
}

}  // namespace

int gradcheck(std::span<const std::string> arguments) {
  Config config;
  config.hidden = "20,15";
  config.normalization = "none";
  config.weight_scale = 5e-2;
  config.precision = "f64";
  std::int64_t batch = 4;
  double tolerance = 1e-5;
  GradientCheckOptions checks{.elementwise_limit = 64};
  po::options_description options;
  options.add(model_options(config)).add(data_options(config));
  po::options_description how("Check");
  how.add_options()                                                                     //
      ("batch", po::value(&batch)->default_value(batch), "random images in the batch")  //
      ("elements", po::value(&checks.elementwise_limit)->default_value(checks.elementwise_limit),
       "elements of each parameter that are moved alone")                                 //
      ("step", po::value(&checks.step), "by which they are moved; default: the model's")  //
      ("tolerance", po::value(&tolerance)->default_value(tolerance, "1e-5"),
       "largest relative error that passes");
  options.add(how);
  Given values;
  if (!parse(arguments, options, "gradcheck [OPTIONS]", values)) return kDone;
  const ModelEntry& entry = model_entry(config.model);
  fill_in(config, values, entry.check);
  refuse_unused(config, values);
  if (!values.contains("step")) checks.step = entry.check_step;
  if (!(checks.step > 0)) throw UsageError("--step must be positive");
  if (batch < 1) throw UsageError("--batch must be at least 1");
  if (checks.elementwise_limit < 1) throw UsageError("--elements must be at least 1");

  use_threads(config);
  config.precision = "f64";  // differences need the digits
  const std::unique_ptr<Model> model = make_model(config, entry.check_side);
  look_at_noise(*model);
  Shape shape{batch};
  for (const std::int64_t extent : model->input_shape()) shape.push_back(extent);
  Tensor images(DType::f64, shape), labels(DType::i64, {batch});
  Random random(config.seed, 0);
  for (double& pixel : images.mutable_values<double>()) pixel = random.normal();
  for (std::int64_t& label : labels.mutable_values<std::int64_t>())
    label = std::int64_t(random.below(std::uint64_t(model->classes())));

  const std::vector<State> parameters = model->state().parameters();
  const std::vector<GradientCheck> results = check_gradients(
      [&](Tape& tape) { return model->loss(tape.constant(images), tape.constant(labels), Mode::train); },
      parameters, checks);
  TextTable table({{"parameter"},
                   {"relative error", TextTable::Align::right},
                   {"worst at"},
                   {"derived", TextTable::Align::right},
                   {"numeric", TextTable::Align::right}});
  const GradientCheck* worst = nullptr;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const GradientCheck& r = results[i];
    table.row({parameters[i].name(), text(r.error), r.where, text(r.derived), text(r.numeric)});
    if (!worst || r.error > worst->error) worst = &r;
  }
  std::cout << table.text();
  if (!worst || worst->passes(tolerance)) return kDone;
  std::cerr << "cifar_train: gradients are wrong: " << worst->describe() << '\n';
  return kFailed;
}

}  // namespace tapestry::app
