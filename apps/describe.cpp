#include "build.hpp"
#include "commands.hpp"

#include <tapestry/core/compile/print.hpp>
#include <tapestry/core/io/atomic_file.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/text_table.hpp>
#include <tapestry/models/trainer.hpp>

#include <iostream>

#include <boost/program_options.hpp>

namespace po = boost::program_options;

namespace tapestry::app {

int describe(std::span<const std::string> arguments) {
  Config config;
  std::string graph;
  bool show = false;
  po::options_description options;
  options.add(model_options(config)).add(training_options(config));
  po::options_description output("Output");
  output.add_options()                                                                                  //
      ("graph", po::value(&graph), "write the compiled step's graph to this file, for Graphviz's dot")  //
      ("text", po::bool_switch(&show), "print the compiled step's graph, a node a line");
  options.add(output);
  po::variables_map values;
  if (!parse(arguments, options, "describe [OPTIONS]", values)) return kDone;

  const std::unique_ptr<Model> model = make_model(config);
  if (config.batch_size < 1) throw UsageError("--batch-size must be at least 1");
  Function step = training_step(*model, make_optimizer(config, model->state()));
  const Program& program = step.program(training_types(*model, config.batch_size));

  TextTable parameters({{"parameter"}, {"shape"}, {"values", TextTable::Align::right}});
  for (const State& parameter : model->state().parameters()) {
    parameters.row(
        {parameter.name(), to_string(parameter.type()), format_count(parameter.value().elements())});
  }
  parameters.rule().row({"total", "", format_count(parameter_count(model->state()))});

  const ProgramSummary& s = program.summary();
  TextTable work(
      {{"a training step of " + format_count(config.batch_size) + " images"}, {"", TextTable::Align::right}});
  work.row({"floating-point operations", format_count(std::int64_t(s.flops))})
      .row({"kernel calls", format_count(std::int64_t(s.tasks))})
      .row({"State: parameters, statistics, moments", format_count(std::int64_t(s.state_bytes)) + " bytes"})
      .row({"intermediate values, at the peak", format_count(std::int64_t(s.arena_bytes)) + " bytes"})
      .row(
          {"results and constants", format_count(std::int64_t(s.output_bytes + s.constant_bytes)) + " bytes"})
      .rule()
      .row({"peak", format_count(std::int64_t(s.peak_bytes())) + " bytes"});
  std::cout << parameters.text() << '\n' << work.text();
  if (show) std::cout << '\n' << to_text(program.graph());
  if (!graph.empty()) {
    write_file_atomically(graph, to_graphviz(program.graph()));
    std::cout << "\ngraph: " << graph << '\n';
  }
  return kDone;
}

}  // namespace tapestry::app
