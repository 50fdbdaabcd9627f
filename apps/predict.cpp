#include "build.hpp"
#include "commands.hpp"
#include "images.hpp"

#include <tapestry/models/data/image_file.hpp>
#include <tapestry/models/evaluate.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/text_table.hpp>

#include <algorithm>
#include <iostream>
#include <numeric>

#include <boost/program_options.hpp>

namespace po = boost::program_options;

namespace tapestry::app {

int predict(std::span<const std::string> arguments) {
  std::string run, checkpoint = "best", tta;
  std::vector<std::string> images;
  int top = 3;
  po::options_description options("Options");
  options.add_options()                                                                             //
      ("run", po::value(&run), "the run folder")                                                    //
      ("image", po::value(&images), "PNG, JPEG or PPM files, resized to 32x32")                     //
      ("checkpoint", po::value(&checkpoint)->default_value(checkpoint), "best, last or a file")     //
      ("tta", po::value(&tta), "views of an image: none, mirror or translate; default: the run's")  //
      ("top", po::value(&top)->default_value(top), "classes to show for each image");
  Given values;
  if (!parse(arguments, options, "predict RUN IMAGE... [OPTIONS]", values, {"run", "image"})) return kDone;
  if (run.empty() || images.empty()) {
    throw UsageError("predict needs a run folder and images: cifar_train predict runs/NAME cat.png");
  }
  if (top < 1) throw UsageError("--top must be at least 1");

  if (!tta.empty()) make_views(tta);  // a mistake is told before anything is read
  const LoadedRun loaded = load_run(run, checkpoint);
  const std::unique_ptr<Model>& model = loaded.model;
  const auto count = std::int64_t(images.size());
  Tensor pixels(DType::u8, {count, kCifar10Side, kCifar10Side, 3});
  for (std::int64_t i = 0; i < count; ++i) {
    const Tensor image = load_image(images[std::size_t(i)], kCifar10Side, kCifar10Side);
    std::ranges::copy(image.values<std::uint8_t>(),
                      pixels.mutable_values<std::uint8_t>().begin() + i * kCifar10ImageBytes);
  }
  const Views views = make_views(tta.empty() ? loaded.config.tta : tta);
  Evaluator evaluator(*model, make_pixels(loaded.config.pixels, model->state().at(kMeanImage).value()),
                      {.views = views});
  const Tensor probabilities = evaluator.probabilities(ImageSet(pixels, Tensor(DType::i64, {count})));

  TextTable table({{"image"}, {"class"}, {"probability", TextTable::Align::right}});
  for (std::int64_t i = 0; i < count; ++i) {
    std::vector<std::int64_t> order(std::size_t(model->classes()));
    std::iota(order.begin(), order.end(), 0);
    const auto probability = [&](std::int64_t c) { return probabilities.at(i * model->classes() + c); };
    std::ranges::stable_sort(order, std::ranges::greater(), probability);
    for (std::size_t k = 0; k < std::min(order.size(), std::size_t(top)); ++k) {
      table.row({k == 0 ? images[std::size_t(i)] : "", loaded.class_names.at(std::size_t(order[k])),
                 format_percent(probability(order[k]))});
    }
  }
  std::cout << table.text();
  return kDone;
}

}  // namespace tapestry::app
