#include <tapestry/core/error.hpp>
#include <tapestry/core/io/file_calls.hpp>
#include <tapestry/models/report/metrics_log.hpp>
#include <tapestry/models/report/metrics_table.hpp>
#include <tapestry/tests/support/allocations.hpp>
#include <tapestry/tests/support/special_numbers.hpp>
#include <tapestry/tests/support/temporary_folder.hpp>

#include <cerrno>
#include <cmath>
#include <csignal>
#include <fstream>
#include <limits>
#include <memory>
#include <sstream>

#include <boost/test/unit_test.hpp>
#include <sys/resource.h>

using namespace tapestry;
using tapestry::test::TemporaryFolder;
using test::kInf;
using test::kNan;

namespace {

constexpr auto kReplace = MetricsLog::Existing::replace;
constexpr auto kKeep = MetricsLog::Existing::keep;
const std::vector<std::string> kColumns = {"kind", "iteration", "loss"};

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

void append_to(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary | std::ios::app) << text;
}

void step(MetricsLog& log, int iteration, double loss) {
  log.append({{"kind", "step"}, {"iteration", iteration}, {"loss", loss}});
}

auto says(std::string expected) {
  return [expected](const Error& e) {
    BOOST_TEST_MESSAGE(e.what());
    return std::string(e.what()).find(expected) != std::string::npos;
  };
}

}  // namespace

BOOST_AUTO_TEST_SUITE(metrics_log)

BOOST_AUTO_TEST_CASE(rows_in_both_files) {
  const TemporaryFolder folder;
  MetricsLog log(folder.path(), kColumns, kReplace);
  step(log, 1, 2.302585092994046);
  log.append({{"loss", 0.1f}, {"kind", "a,\"b\"\n"}});
  log.append({{"iteration", std::int64_t(1) << 60}});
  log.append({});
  BOOST_TEST(read(folder / "metrics.csv") == "kind,iteration,loss\n");
  log.flush();
  BOOST_TEST(
      read(folder / "metrics.csv") ==
      "kind,iteration,loss\nstep,1,2.302585092994046\n\"a,\"\"b\"\"\n\",,0.1\n,1152921504606846976,\n,,\n");
  BOOST_TEST(read(folder / "metrics.jsonl") ==
             "{\"kind\":\"step\",\"iteration\":1,\"loss\":2.302585092994046}\n"
             "{\"kind\":\"a,\\\"b\\\"\\n\",\"loss\":0.1}\n{\"iteration\":1152921504606846976}\n{}\n");
}

BOOST_AUTO_TEST_CASE(not_a_number_and_infinity) {
  const TemporaryFolder folder;
  MetricsLog log(folder.path(), kColumns, kReplace);
  for (const double loss : {kNan, -kNan, kInf, -kInf}) step(log, 1, loss);
  log.append({{"loss", std::numeric_limits<float>::infinity()}});
  log.flush();
  BOOST_TEST(read(folder / "metrics.csv") ==
             "kind,iteration,loss\nstep,1,nan\nstep,1,nan\nstep,1,inf\nstep,1,-inf\n,,inf\n");
  BOOST_TEST(read(folder / "metrics.jsonl").find("nan") == std::string::npos);
  BOOST_TEST(read(folder / "metrics.jsonl").ends_with("{\"loss\":null}\n"));
}

BOOST_AUTO_TEST_CASE(the_destructor_flushes_and_keep_goes_on) {
  const TemporaryFolder folder;
  {
    MetricsLog log(folder.path(), kColumns, kReplace);
    step(log, 1, 1);
  }
  {
    MetricsLog first(folder.path(), kColumns, kKeep);
    MetricsLog moved(std::move(first));
    step(moved, 2, 0.5);
  }
  BOOST_TEST(read(folder / "metrics.csv") == "kind,iteration,loss\nstep,1,1\nstep,2,0.5\n");
  { const MetricsLog log(folder.path(), kColumns, kReplace); }
  BOOST_TEST(read(folder / "metrics.csv") == "kind,iteration,loss\n");
  BOOST_TEST(read(folder / "metrics.jsonl") == "");
}

BOOST_AUTO_TEST_CASE(the_steady_state_allocates_nothing) {
  const TemporaryFolder folder;
  MetricsLog log(folder.path(), metrics_columns(), kReplace);
  const auto rows = [&](int from, int to) {
    for (int i = from; i < to; ++i) {
      log.append(
          {{"kind", "step"}, {"epoch", i / 490}, {"iteration", i}, {"loss", 1.0 / i}, {"seconds", i * 1e-3}});
    }
  };
  rows(1, 10);
  const std::size_t before = test::allocations();
  rows(10, 5000);  // several times the buffer
  log.flush();
  BOOST_TEST(test::allocations() == before);
  BOOST_TEST(load_metrics(folder / "metrics.csv").rows() == 4999);
}

BOOST_AUTO_TEST_CASE(truncation_drops_later_rows) {
  const TemporaryFolder folder;
  MetricsLog log(folder.path(), kColumns, kReplace);
  log.append({{"kind", "\"iteration\":99"}});
  for (int i = 1; i <= 5; ++i) step(log, i, i);
  log.append({{"kind", "epoch"}, {"iteration", 5}});
  step(log, 6, 6);
  log.append({{"kind", "a row of its own"}});
  log.truncate_after(5);
  const std::string csv = read(folder / "metrics.csv"), json = read(folder / "metrics.jsonl");
  BOOST_TEST(csv.ends_with("step,5,5\nepoch,5,\n"));
  BOOST_TEST(json.ends_with("{\"kind\":\"epoch\",\"iteration\":5}\n"));
  BOOST_TEST(json.starts_with("{\"kind\":\"\\\"iteration\\\":99\"}\n"));

  log.truncate_after(1000);
  BOOST_TEST(read(folder / "metrics.csv") == csv);
  step(log, 6, 6.5);
  log.flush();
  BOOST_TEST(read(folder / "metrics.csv") == csv + "step,6,6.5\n");
  log.truncate_after(0);
  BOOST_TEST(load_metrics(folder / "metrics.csv").rows() == 1);
  log.truncate_after(0);
}

BOOST_AUTO_TEST_CASE(a_torn_line_is_dropped) {
  const TemporaryFolder folder;
  {
    MetricsLog log(folder.path(), kColumns, kReplace);
    step(log, 1, 1);
  }
  append_to(folder / "metrics.csv", "step,2,0.");
  append_to(folder / "metrics.jsonl", "{\"kind\":\"st");
  BOOST_TEST(load_metrics(folder / "metrics.csv").rows() == 1);
  {
    MetricsLog log(folder.path(), kColumns, kKeep);
    step(log, 2, 2);
  }
  BOOST_TEST(read(folder / "metrics.csv") == "kind,iteration,loss\nstep,1,1\nstep,2,2\n");
  BOOST_TEST(read(folder / "metrics.jsonl")
                 .ends_with("\"loss\":1}\n{\"kind\":\"step\",\"iteration\":2,\"loss\":2}\n"));

  // A newline inside quotes doesn't end a row.
  append_to(folder / "metrics.csv", "\"torn\n");
  { const MetricsLog log(folder.path(), kColumns, kKeep); }
  BOOST_TEST(read(folder / "metrics.csv").ends_with("step,2,2\n"));

  // Torn in the header: as good as empty.
  std::ofstream(folder / "metrics.csv", std::ios::trunc) << "kind,it";
  { const MetricsLog log(folder.path(), kColumns, kKeep); }
  BOOST_TEST(read(folder / "metrics.csv") == "kind,iteration,loss\n");
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  const TemporaryFolder folder;
  {
    MetricsLog log(folder.path(), kColumns, kReplace);
    BOOST_CHECK_EXCEPTION(log.append({{"los", 1.0}}), Error, says("metrics.csv has no column 'los'"));
  }
  BOOST_CHECK_EXCEPTION(MetricsLog(folder.path(), {"kind", "loss"}, kKeep), IoError,
                        says("metrics.csv has the columns kind,iteration,loss and not kind,loss"));
  BOOST_CHECK_EXCEPTION(MetricsLog(folder.path(), {"a,b"}, kReplace), Error, says("column 'a,b'"));
  BOOST_CHECK_EXCEPTION(MetricsLog(folder.path(), {"a", "a"}, kReplace), Error, says("'a' is there twice"));
  BOOST_CHECK_THROW(MetricsLog(folder.path(), {}, kReplace), Error);
  BOOST_CHECK_EXCEPTION(MetricsLog(folder / "missing", kColumns, kReplace), IoError,
                        says("missing/metrics.csv: No such file or directory"));
  BOOST_CHECK_EXCEPTION(load_metrics(folder / "nothing.csv"), IoError, says("nothing.csv"));
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_an_error_with_a_name) {
  const TemporaryFolder folder;
  std::filesystem::create_symlink("/dev/full", folder / "metrics.csv");
  BOOST_CHECK_EXCEPTION(
      MetricsLog(folder.path(), kColumns, kReplace), IoError,
      says("can't write " + (folder / "metrics.csv").string() + ": No space left on device"));
  std::filesystem::remove(folder / "metrics.csv");
  std::filesystem::remove(folder / "metrics.jsonl");
  std::filesystem::create_symlink("/dev/full", folder / "metrics.jsonl");
  MetricsLog log(folder.path(), kColumns, kReplace);
  step(log, 1, 1);
  BOOST_CHECK_EXCEPTION(log.flush(), IoError, says("metrics.jsonl: No space left on device"));
}

// A file size limit makes a write succeed in part, as a disk that fills up does.
BOOST_AUTO_TEST_CASE(syncing_reaches_both_files_and_may_fail) {
  static int calls = 0;
  const detail::FileCalls real = detail::file_calls();
  const std::shared_ptr<void> restore(nullptr, [&](void*) { detail::file_calls() = real; });
  const TemporaryFolder folder;
  MetricsLog log(folder.path(), kColumns, kReplace);
  step(log, 1, 0.5);
  detail::file_calls().fsync = [](int) { return ++calls, 0; };
  log.sync();
  BOOST_TEST(calls == 2);
  BOOST_TEST(read(folder / "metrics.csv") == "kind,iteration,loss\nstep,1,0.5\n");
  detail::file_calls().fsync = [](int) { return errno = EIO, -1; };
  BOOST_CHECK_EXCEPTION(log.sync(), IoError, says("metrics.csv: Input/output error"));
  detail::file_calls().fsync = [](int) { return errno = ++calls < 4 ? EINTR : EINVAL, -1; };
  log.sync();
}

BOOST_AUTO_TEST_CASE(a_write_that_fails_half_way_leaves_whole_lines_and_can_be_repeated) {
  const TemporaryFolder folder;
  MetricsLog log(folder.path(), kColumns, kReplace);
  step(log, 1, 1);
  log.flush();
  const std::string before = read(folder / "metrics.csv");
  for (int i = 2; i < 200; ++i) step(log, i, 1.0 / i);

  rlimit old = {};
  BOOST_REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
  const rlimit small = {1000, old.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  BOOST_REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  std::string problem;
  try {
    log.flush();
  } catch (const IoError& error) {
    problem = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);

  BOOST_TEST(problem.find("metrics.csv: File too large") != std::string::npos, problem);
  BOOST_TEST(read(folder / "metrics.csv") == before);
  log.flush();
  BOOST_TEST(load_metrics(folder / "metrics.csv").rows() == 199);
}

BOOST_AUTO_TEST_CASE(reading_back) {
  const MetricsTable table(
      "kind,epoch,iteration,loss,validation_accuracy\r\nstep,1,1,2.5,\nstep,1,2,nan,\nepoch,1,2,,0.25\nepoch,"
      "2,4,,0.5\n"
      "epoch,3,6,,0.125\nepoch,4,8,,nan\ntorn,5",
      "m.csv");
  BOOST_TEST(table.rows() == 6);
  BOOST_TEST(table.cell(2, "kind") == "epoch");
  BOOST_TEST(table.number(0, "loss").value() == 2.5);
  BOOST_TEST(!table.number(2, "loss").has_value());
  BOOST_TEST(std::isnan(table.number(1, "loss").value()));
  const MetricPoints loss = table.points("iteration", "loss", "step");
  BOOST_TEST(loss.x.size() == 2);
  const MetricPoints accuracy = table.points("epoch", "validation_accuracy", "epoch");
  BOOST_TEST(accuracy.y[1] == 0.5);
  BOOST_TEST(table.points("epoch", "no such column").x.empty());
  BOOST_TEST(table.best("validation_accuracy").value() == 0.5);
  BOOST_TEST(std::isnan(table.last("validation_accuracy").value()));
  BOOST_TEST(!table.best("kindness").has_value());
  BOOST_CHECK_EXCEPTION(table.number(0, "kind"), IoError,
                        says("m.csv: row 1 has 'step' for kind, which is no number"));
  BOOST_CHECK_EXCEPTION(table.cell(0, "x"), Error, says("m.csv has no column x"));
  BOOST_CHECK_EXCEPTION(MetricsTable("a,b\n1,2\n1,2,3\n", "m.csv"), IoError,
                        says("m.csv: row 2 has 3 cells, the header has 2"));
  BOOST_TEST(MetricsTable("", "m.csv").rows() == 0);
  BOOST_TEST(MetricsTable("\n", "m.csv").rows() == 0);
}

BOOST_AUTO_TEST_CASE(floats_survive_the_round_trip) {
  const TemporaryFolder folder;
  const float values[] = {0.1f, 1e-45f, 3.4028235e38f, -2.3025851f};
  {
    MetricsLog log(folder.path(), {"loss"}, kReplace);
    for (const float value : values) log.append({{"loss", value}});
  }
  const MetricsTable table = load_metrics(folder / "metrics.csv");
  for (std::size_t i = 0; i < 4; ++i) BOOST_TEST(float(table.number(i, "loss").value()) == values[i]);
}

BOOST_AUTO_TEST_SUITE_END()
