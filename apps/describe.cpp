#include "build.hpp"
#include "commands.hpp"

#include <tapestry/core/compile/print.hpp>
#include <tapestry/core/io/atomic_file.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/html.hpp>
#include <tapestry/models/report/memory_chart.hpp>
#include <tapestry/models/report/text_table.hpp>
#include <tapestry/models/trainer.hpp>

#include <iostream>

#include <boost/program_options.hpp>

namespace po = boost::program_options;

namespace tapestry::app {
namespace {

TextTable task_table(const Program& program) {
  constexpr auto kRight = TextTable::Align::right;
  TextTable table(
      {{"task", kRight}, {"op"}, {"part of the model"}, {"shapes"}, {"FLOPs", kRight}, {"bytes", kRight}});
  std::size_t number = 0;
  for (const TaskInfo& task : task_infos(program.graph(), program.plan())) {
    table.row({std::to_string(number++), task.op, task.label, task.shapes,
               format_count(std::int64_t(task.flops)), format_count(std::int64_t(task.bytes))});
  }
  return table;
}

/// One page: figures, the memory plan, the tasks, and the graph before and after the passes.
HtmlReport page(const Config& config, const Program& program, const Graph& recorded,
                const TextTable& parameters, const TextTable& work) {
  const ProgramSummary& s = program.summary();
  const Plan& plan = program.plan();
  HtmlReport report("A training step", config.model + ", " + config.optimizer + ", " +
                                           format_count(config.batch_size) + " images");
  report
      .card("Arena, at the peak", format_bytes(s.arena_bytes),
            format_count(std::int64_t(s.arena_bytes)) + " bytes")
      .card("Floating-point operations", format_count(std::int64_t(s.flops)))
      .card("Kernel calls", format_count(std::int64_t(s.tasks)));
  const MemoryChart chart{.title = "Intermediate values",
                          .blocks = memory_blocks(program.graph(), plan),
                          .tasks = plan.tasks.size(),
                          .peak = s.arena_bytes};
  report.section("Where values lie, and when")
      .paragraph(
          "Each rectangle is a value, from the task that makes it to the last that reads it; its height is "
          "its "
          "size. Grey ones are what a loop works with. Point at one for its name.")
      .figure(draw(chart));
  report.section("Work and memory").table(work).table(parameters);
  report.section("Tasks").table(task_table(program));
  report.section("The graph as recorded").code(to_text(recorded, Origins::layers));
  report.section("The graph after the passes").code(to_text(program.graph(), Origins::layers));
  return report;
}

}  // namespace

int describe(std::span<const std::string> arguments) {
  Config config;
  std::string graph, recorded_graph, report;
  bool show = false;
  po::options_description options;
  options.add(model_options(config)).add(training_options(config));
  po::options_description output("Output");
  output.add_options()                                                                                  //
      ("graph", po::value(&graph), "write the compiled step's graph to this file, for Graphviz's dot")  //
      ("recorded-graph", po::value(&recorded_graph), "the same before the passes")                      //
      ("report", po::value(&report),
       "write a page (HTML) with the memory plan as a picture, the tasks and both graphs to this file")  //
      ("text", po::bool_switch(&show), "print the step's graph before and after the passes, a node a line");
  options.add(output);
  Given values;
  if (!parse(arguments, options, "describe [OPTIONS]", values)) return kDone;
  complete(config, values);
  refuse_unused(config, values);

  const std::unique_ptr<Model> model = make_model(config);
  if (config.batch_size < 1) throw UsageError("--batch-size must be at least 1");
  Function step =
      training_step(*model, make_optimizer(config, model->state()), config.check_gradients,
                    Location::current(), make_precision(config), make_average(config, model->state()));
  const std::vector<Type> types = training_types(*model, config.batch_size);
  const Graph recorded = step.record(types);
  const Program& program = step.program(types);

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
      .row({"packed matrices, of all threads", format_count(std::int64_t(s.kernel_bytes)) + " bytes"})
      .rule()
      .row({"peak", format_count(std::int64_t(s.peak_bytes())) + " bytes"});
  std::cout << parameters.text() << '\n' << work.text();
  if (!s.precision.empty()) std::cout << '\n' << s.precision << '\n';
  if (show) {
    std::cout << "\nas recorded:\n"
              << to_text(recorded, Origins::layers) << "\nafter the passes:\n"
              << to_text(program.graph(), Origins::layers);
  }
  const auto leave = [](const std::string& what, const std::string& path, const std::string& content) {
    if (path.empty()) return;
    write_file_atomically(path, content);
    std::cout << '\n' << what << ": " << path << '\n';
  };
  leave("graph", graph, to_graphviz(program.graph()));
  leave("recorded graph", recorded_graph, to_graphviz(recorded));
  if (!report.empty()) leave("report", report, page(config, program, recorded, parameters, work).html());
  return kDone;
}

}  // namespace tapestry::app
