#include <tapestry/core/function.hpp>
#include <tapestry/models/data/loader.hpp>
#include <tapestry/models/report/profile_report.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

using namespace tapestry;

namespace {

const kernels::MachineLimits kLimits{2, 1e9, 1e9};

/// Two tasks, four steps of 10 us: 6 us and 3 us in tasks; the sums of real measurements are in
/// core/profiler.
Profiler::ProgramProfile program() {
  Profiler::ProgramProfile p;
  p.name = "step";
  p.tasks = {{"matmul", "fc1", "[2]", 3000, 1000, 500, false, false},
             {"loop", "grad/norm", "[5]", 0, 2000, 0, true, false}};
  p.timings = {{4, 24'000}, {4, 12'000}};
  p.steps = {4, 40'000};
  p.step_times = {10'000, 10'000, 10'000, 10'000};
  return p;
}

void watch_some_steps(Profiler& profiler) {
  Function f = [](Var x) { return sum(exp(matmul(x, x)) + 1); };
  f.profile(&profiler, "a \"step\" \xff");
  const std::uint32_t phase = profiler.add_phase("evaluate");
  const Tensor x = Tensor::linspace(0, 1, {64, 64}, DType::f32);
  for (int i = 0; i < 5; ++i) {
    const PhaseTimer timer(&profiler, phase);
    f(x);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(profile_report)

BOOST_AUTO_TEST_CASE(rows_add_up_to_the_steps) {
  const std::vector<ProfileRow> rows = profile_rows(program());
  BOOST_REQUIRE(rows.size() == 3);
  BOOST_TEST(rows[0].op == "matmul");
  BOOST_TEST(rows[1].kind == "loops, backward");
  BOOST_TEST(rows[2].op == "between tasks");
  double seconds = 0, shares = 0;
  for (const ProfileRow& row : rows) seconds += row.seconds;
  for (const ProfileRow& row : rows) shares += row.seconds / seconds;
  BOOST_TEST(seconds == 40e-6, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(shares == 1, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(rows[0].flops == 12'000);
}

BOOST_AUTO_TEST_CASE(a_step_against_the_limit) {
  const StepProfile step = step_profile(program());
  BOOST_TEST(step.seconds == 10e-6, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(step.median == 10e-6, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(step.bytes == 3000);
  // (3000 FLOP + 3000 B) at 1e9 a second are 6 us of 10.
  BOOST_TEST(step.of_limit(kLimits) == 0.6, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(step_profile(Profiler::ProgramProfile{}).steps == 0);
}

BOOST_AUTO_TEST_CASE(the_table_says_so) {
  const TextTable table = profile_table(program(), kLimits);
  BOOST_REQUIRE(table.rows().size() == 4);
  const TextTable::Row matmul = {"matmul", "fc1", "[2]", "4", "0.006", "60.0%", "0.5", "0.2", "67%"};
  BOOST_TEST(table.rows()[0] == matmul, boost::test_tools::per_element());
  const TextTable::Row total = {"a step", "", "", "4", "0.010", "100.0%", "0.3", "0.3", "60%"};
  BOOST_TEST(table.rows()[3] == total, boost::test_tools::per_element());
  const TextTable shorter = profile_table(program(), kLimits, 1);
  BOOST_TEST(shorter.rows()[1][0] == "1 others");
  BOOST_TEST(shorter.rows()[1][4] == "0.003");
}

BOOST_AUTO_TEST_CASE(the_trace_is_json_that_viewers_read) {
  Profiler profiler({.trace_steps = 3});
  watch_some_steps(profiler);
  const auto trace = nlohmann::json::parse(chrome_trace(profiler, kLimits));
  BOOST_TEST(trace["otherData"]["flops_per_second"] == 1e9);
  std::size_t steps = 0, tasks = 0, phases = 0, named = 0;
  double in_steps = 0, in_tasks = 0, last = 0;
  for (const auto& event : trace["traceEvents"]) {
    BOOST_TEST(event.contains("pid"));
    BOOST_TEST(event.contains("tid"));
    if (event["ph"] == "M") {
      ++named;
      continue;
    }
    BOOST_REQUIRE(event["ph"] == "X");
    BOOST_TEST(event["dur"].get<double>() >= 0);
    BOOST_TEST(event["ts"].get<double>() >= last);
    last = event["ts"];
    if (event["cat"] == "step") {
      ++steps;
      in_steps += event["dur"].get<double>();
      BOOST_TEST(event["name"] == "a \"step\" \xef\xbf\xbd");
    }
    if (event["cat"] == "phase") ++phases;
    if (event["cat"] == "task") {
      ++tasks;
      in_tasks += event["dur"].get<double>();
      for (const char* key : {"op", "part", "shapes", "flops", "bytes"})
        BOOST_TEST(event["args"].contains(key), key);
    }
  }
  BOOST_TEST(steps == 3);
  BOOST_TEST(tasks == 3 * profiler.programs().front().tasks.size());
  BOOST_TEST(phases == 2);  // the third ends after the trace
  BOOST_TEST(named >= 2);   // the process and a thread
  BOOST_TEST(in_tasks <= in_steps);
}

BOOST_AUTO_TEST_CASE(batches_are_no_bottleneck_or_they_are) {
  Profiler profiler;
  BOOST_TEST(loader_text(profiler) == "");
  const std::uint32_t making = profiler.add_phase(std::string(BatchLoader::kMaking));
  const std::uint32_t waiting = profiler.add_phase(std::string(BatchLoader::kWaiting));
  BOOST_TEST(loader_text(profiler) == "");  // watched, but nothing was loaded
  // Whole seconds, so that what the clock adds between the calls doesn't show.
  constexpr Profiler::Nanoseconds kSecond = 1'000'000'000;
  for (const int seconds : {2, 4, 6}) profiler.end_phase(making, profiler.now() - seconds * kSecond);
  for (const int seconds : {1, 1}) profiler.end_phase(waiting, profiler.now() - seconds * kSecond);
  const std::string line = loader_text(profiler);
  BOOST_TEST(line.starts_with("batches: 3 made in 4000."), line);
  BOOST_TEST(line.find(" ms each by one core while a step runs; a step waited 1000.") != std::string::npos,
             line);
  BOOST_TEST(profile_text(profiler, kLimits).find("\n" + line) != std::string::npos);
}

BOOST_AUTO_TEST_CASE(nothing_watched_is_an_empty_trace) {
  const Profiler profiler;
  const auto trace = nlohmann::json::parse(chrome_trace(profiler, kLimits));
  BOOST_TEST(trace["traceEvents"].size() == 1);
  BOOST_TEST(profile_text(profiler, kLimits).find("nan") == std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
