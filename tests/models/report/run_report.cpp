#include <tapestry/models/report/run_report.hpp>
#include <tapestry/tests/support/xml_check.hpp>

#include <cmath>
#include <tuple>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using tapestry::test::occurrences;
using tapestry::test::xml_problem;

namespace {

MetricsTable metrics(double loss = 2) {
  std::string csv = "kind,epoch,iteration,loss,train_accuracy,validation_accuracy,learning_rate,seconds\n";
  for (int i = 1; i <= 4; ++i) {
    csv += "step," + std::to_string((i + 1) / 2) + "," + std::to_string(i) + "," + std::to_string(loss / i) +
           ",,,0.001,\n";
    if (i % 2 == 0)
      csv += "epoch," + std::to_string(i / 2) + "," + std::to_string(i) + ",1.5,0.5,0.6,0.001,12\n";
  }
  return MetricsTable(csv, "m.csv");
}

bool has(const std::string& page, std::string_view words) { return page.find(words) != std::string::npos; }

}  // namespace

BOOST_AUTO_TEST_SUITE(run_report)

BOOST_AUTO_TEST_CASE(a_training_page) {
  RunSummary run{.title = "adam", .subtitle = "on CIFAR-10", .metrics = metrics()};
  run.test_accuracy = 0.561;
  run.parameters = 2047510;
  run.config = {{"seed", "1"}};
  run.confusion = ConfusionMatrix({"cat", "dog"});
  run.galleries = {{.title = "Filters", .pictures = {{Tensor(DType::u8, {1, 1, 3}), "filter 1"}}}};
  run.command = "cifar_train train --seed 1";
  run.notices = {"Interrupted."};
  const std::string page = training_report(run).html();
  BOOST_TEST(xml_problem(page) == "");
  for (const char* words : {">60.0%<", "epoch 1 of 2", ">56.1%<", ">0.5833<", ">12.0 s<", ">2,047,510<",
                            "Interrupted.", ">Training loss<", ">Accuracy<", ">Accuracy against time<",
                            "<h2>Filters</h2>", "alt=\"filter 1\"", "cifar_train train --seed 1"}) {
    BOOST_TEST(has(page, words), words);
  }
}

BOOST_AUTO_TEST_CASE(accuracy_by_the_unit_of_time_that_suits_the_run) {
  const auto chart = [](const char* last) {
    return accuracy_time_chart(MetricsTable(text("kind,epoch,train_accuracy,validation_accuracy,seconds\n"
                                                 "epoch,0,0.1,0.2,0\nepoch,1,0.5,0.6,",
                                                 last, "\n"),
                                            "m.csv"));
  };
  for (const auto& [seconds, unit, x] :
       {std::tuple("90", "seconds", 90.0), {"600", "minutes", 10.0}, {"18000", "hours", 5.0}}) {
    const LineChart c = chart(seconds);
    BOOST_TEST(c.x_label == unit);
    BOOST_REQUIRE(c.series.size() == 2u);
    BOOST_TEST(c.series[0].x == (std::vector<double>{0, x}), boost::test_tools::per_element());
    BOOST_TEST(c.series[1].y == (std::vector<double>{0.2, 0.6}), boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(pages_of_runs_without_metrics) {
  const MetricsTable header("kind,epoch,iteration,loss\n", "m.csv");
  BOOST_TEST(xml_problem(training_report({.title = "a", .metrics = header}).html()) == "");
  BOOST_TEST(xml_problem(training_report({.title = "a", .metrics = MetricsTable("", "m.csv")}).html()) == "");
  BOOST_TEST(xml_problem(comparison_report("a", "b", {}).html()) == "");
  const std::vector<ComparedRun> runs = {{"empty", header}};
  BOOST_TEST(comparison_table(runs).rows().at(0).at(1) == "–");
}

BOOST_AUTO_TEST_CASE(a_loss_that_is_not_a_number) {
  const MetricsTable diverged("kind,epoch,iteration,loss\nstep,1,1,2\nstep,1,2,nan\n", "m.csv");
  const std::vector<ComparedRun> runs = {{"bad", diverged}, {"good", metrics()}};
  BOOST_TEST(comparison_table(runs).rows().at(0).at(1) == "nan");
  const std::string page = comparison_report("a", "", runs).html();
  BOOST_TEST(xml_problem(page) == "");
  BOOST_TEST(
      has(page, "Lowest final loss</div><div class=\"value\">0.5833</div><div class=\"remark\">good<"));
}

BOOST_AUTO_TEST_CASE(the_comparison_has_the_three_plots_of_the_notebook) {
  const std::vector<ComparedRun> runs = {{"sgd", metrics(4)}, {"adam", metrics(2)}};
  const std::vector<LineChart> charts = comparison_charts(runs);
  BOOST_REQUIRE(charts.size() == 3);
  BOOST_TEST(charts[0].title == "Training loss");
  BOOST_TEST(charts[1].title == "Training accuracy");
  BOOST_TEST(charts[2].title == "Validation accuracy");
  BOOST_TEST((charts[0].series.at(1).mark == Mark::points));
  BOOST_TEST((charts[2].series.at(1).mark == Mark::line_points));
  BOOST_TEST(charts[0].series.at(1).y.at(3) == 0.5);
  BOOST_TEST(charts[0].series.at(1).x.at(3) == 4);
  BOOST_TEST(charts[2].series.at(0).y.at(1) == 0.6);
  BOOST_TEST(occurrences(comparison_report("a", "", runs).html(), "<figure") == 3);
}

BOOST_AUTO_TEST_CASE(a_loss_over_many_decades_gets_a_log_axis) {
  BOOST_TEST(!loss_chart(metrics()).log_y);
  BOOST_TEST(loss_chart(MetricsTable("kind,iteration,loss\nstep,1,1e6\nstep,2,1\n", "m")).log_y);
}

BOOST_AUTO_TEST_SUITE_END()
