#include "build.hpp"
#include "commands.hpp"
#include "images.hpp"

#include <tapestry/core/io/atomic_file.hpp>
#include <tapestry/models/evaluate.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/svg.hpp>
#include <tapestry/models/report/text_table.hpp>

#include <iostream>

#include <boost/program_options.hpp>

namespace po = boost::program_options;
namespace fs = std::filesystem;

namespace tapestry::app {

int evaluate(std::span<const std::string> arguments) {
  Config given;
  std::string run, checkpoint = "best", tta;
  po::options_description options("Options");
  options.add_options()                                                                          //
      ("run", po::value(&run), "the run folder")                                                 //
      ("checkpoint", po::value(&checkpoint)->default_value(checkpoint), "best, last or a file")  //
      ("tta", po::value(&tta), "views of an image: none, mirror or translate; default: the run's");
  options.add(data_options(given));
  po::variables_map values;
  if (!parse(arguments, options, "evaluate RUN [OPTIONS]", values, {"run"})) return kDone;
  if (run.empty()) throw UsageError("evaluate needs a run folder: cifar_train evaluate runs/NAME");

  if (!tta.empty()) make_views(tta);  // a mistake is told before anything is read
  LoadedRun loaded = load_run(run, checkpoint);
  Config& config = loaded.config;
  const std::unique_ptr<Model>& model = loaded.model;
  if (!given.data.empty()) config.data = given.data;
  config.threads = given.threads;
  use_threads(config);
  const Cifar10Split data = load_data(config);
  if (!tta.empty()) config.tta = tta;
  Evaluator evaluator(*model, make_pixels(config.pixels, model->state().at(kMeanImage).value()),
                      {.views = make_views(config.tta), .precision = make_precision(config)});
  const ConfusionMatrix confusion = evaluator.confusion(data.test_all, data.class_names);
  std::cout << "validation accuracy " << format_fixed(evaluator.accuracy(data.validation), 4) << " ("
            << data.validation.size() << " images)\ntest accuracy       "
            << format_fixed(evaluator.accuracy(data.test), 4) << " (the first " << data.test.size()
            << ")\ntest accuracy       " << format_fixed(confusion.accuracy(), 4) << " (all "
            << data.test_all.size() << ")\n\n"
            << confusion_table(confusion).text();
  const fs::path picture = fs::path(run) / "confusion.svg";
  write_file_atomically(picture, draw(ConfusionChart{.title = "Test images", .matrix = confusion}).markup);
  std::cout << "\npicture: " << picture.string() << '\n';
  return kDone;
}

}  // namespace tapestry::app
