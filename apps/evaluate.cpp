#include "build.hpp"
#include "commands.hpp"
#include "images.hpp"

#include <tapestry/core/io/atomic_file.hpp>
#include <tapestry/models/evaluate.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/run_report.hpp>
#include <tapestry/models/report/svg.hpp>
#include <tapestry/models/report/text_table.hpp>

#include <iostream>

#include <boost/program_options.hpp>

namespace po = boost::program_options;
namespace fs = std::filesystem;

namespace tapestry::app {

int evaluate(std::span<const std::string> arguments) {
  Config given;
  std::string run, checkpoint = "best", tta, report;
  po::options_description options("Options");
  options.add_options()                                                                             //
      ("run", po::value(&run), "the run folder")                                                    //
      ("checkpoint", po::value(&checkpoint)->default_value(checkpoint), "best, last or a file")     //
      ("tta", po::value(&tta), "views of an image: none, mirror or translate; default: the run's")  //
      ("report", po::value(&report),
       "write a page (HTML) with the first layer's filters and the worst mistakes as pictures to this file");
  options.add(data_options(given));
  Given values;
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
  print_precision_notice(config);
  Evaluator evaluator(*model, make_pixels(config.pixels, model->state().at(kMeanImage).value()),
                      {.views = make_views(config.tta), .precision = make_precision(config)});
  const Tensor probabilities = evaluator.probabilities(data.test_all);
  const ConfusionMatrix matrix = confusion(probabilities, data.test_all.labels(), data.class_names);
  const double validation = evaluator.accuracy(data.validation);
  std::cout << "validation accuracy " << format_fixed(validation, 4) << " (" << data.validation.size()
            << " images)\ntest accuracy       " << format_fixed(evaluator.accuracy(data.test), 4)
            << " (the first " << data.test.size() << ")\ntest accuracy       "
            << format_fixed(matrix.accuracy(), 4) << " (all " << data.test_all.size() << ")\n\n"
            << confusion_table(matrix).text();
  const fs::path picture = fs::path(run) / "confusion.svg";
  write_file_atomically(picture, draw(ConfusionChart{.title = "Test images", .matrix = matrix}).markup);
  std::cout << "\npicture: " << picture.string() << '\n';
  if (!report.empty()) {
    HtmlReport page(run, text(config.model, ", the ", checkpoint, " parameters"));
    if (data.validation.size() > 0) page.card("Validation accuracy", format_percent(validation));
    page.card("Test accuracy", format_percent(matrix.accuracy()), text(data.test_all.size(), " images"))
        .card("Parameters", format_count(parameter_count(model->state())));
    if (data.synthetic) page.notice("A synthetic stand-in for CIFAR-10, not photographs.");
    add_predictions(page, matrix, galleries(*model, data.test_all, probabilities, data.class_names));
    page.write(report);
    std::cout << "report: " << report << '\n';
  }
  return kDone;
}

}  // namespace tapestry::app
