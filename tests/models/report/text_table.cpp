#include <tapestry/core/error.hpp>
#include <tapestry/models/report/text_table.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

BOOST_AUTO_TEST_SUITE(text_table)

BOOST_AUTO_TEST_CASE(columns_line_up) {
  TextTable table({{"layer"}, {"parameters", TextTable::Align::right}});
  table.row({"fc1", "1,536,500"}).row({"fc2 é", "0"}).rule().row({"total", "1,536,500"});
  BOOST_TEST(table.text() ==
             "layer  parameters\n"
             "─────────────────\n"
             "fc1     1,536,500\n"
             "fc2 é           0\n"
             "─────────────────\n"
             "total   1,536,500\n");
  BOOST_TEST(table.text(false).find("-----------------\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(odd_cells) {
  TextTable table({{"a"}, {"b"}});
  table.row({"two\nlines\x1b[31m"}).row({"\xFF"});
  BOOST_TEST(table.text(false) ==
             "a               b\n"
             "-----------------\n"
             "two lines [31m\n"
             "?\n");
  BOOST_CHECK_EXCEPTION(table.row({"1", "2", "3"}), Error, [](const Error& e) {
    return std::string(e.what()) == "a table of 2 columns was given a row of 3 cells";
  });
}

BOOST_AUTO_TEST_CASE(empty) {
  BOOST_TEST(TextTable({}).text() == "");
  BOOST_TEST(TextTable({{"a"}}).text(false) == "a\n-\n");
}

BOOST_AUTO_TEST_CASE(confusion) {
  ConfusionMatrix matrix({"cat", "automobile", "never"});
  matrix.add(0, 0, 3);
  matrix.add(0, 1);
  matrix.add(1, 1, 1234);
  BOOST_TEST(confusion_table(matrix).text(false) ==
             "true \\ predicted     cat  autom…  never  recall\n"
             "-----------------------------------------------\n"
             "cat                    3       1      0   75.0%\n"
             "automobile             0    1234      0  100.0%\n"
             "never                  0       0      0       -\n"
             "-----------------------------------------------\n"
             "precision         100.0%   99.9%      -   99.9%\n");
  BOOST_TEST(matrix.total() == 1238);
  BOOST_CHECK_THROW(matrix.add(3, 0), Error);
  BOOST_CHECK_THROW(matrix.add(0, -1), Error);
  BOOST_TEST(confusion_table(ConfusionMatrix({})).text(false).starts_with("true \\ predicted  recall\n"));
}

BOOST_AUTO_TEST_SUITE_END()
