#include <tapestry/core/error.hpp>
#include <tapestry/models/data/image_file.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/html.hpp>
#include <tapestry/tests/support/temporary_folder.hpp>
#include <tapestry/tests/support/xml_check.hpp>

#include <fstream>
#include <sstream>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using tapestry::test::occurrences;
using tapestry::test::TemporaryFolder;
using tapestry::test::xml_problem;

namespace {
constexpr const char* kEvil = "<script>alert('x')</script> & \"\xFF\x01";
}

BOOST_AUTO_TEST_SUITE(html)

BOOST_AUTO_TEST_CASE(an_empty_page) {
  const std::string page = HtmlReport("Run").html();
  BOOST_TEST(xml_problem(page) == "");
  BOOST_TEST(page.starts_with("<!doctype html>"));
  BOOST_TEST(page.find("<title>Run</title>") != std::string::npos);
  BOOST_TEST(page.find("class=\"cards\"") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(everything_is_escaped) {
  HtmlReport report(kEvil, kEvil);
  TextTable table({{kEvil}, {"n", TextTable::Align::right}});
  table.row({kEvil, "1"}).rule().row({"total"});
  report.card(kEvil, kEvil, kEvil)
      .paragraph("before any section")
      .section(kEvil)
      .paragraph(kEvil)
      .notice(kEvil);
  report.figure(draw(LineChart{.title = kEvil}), kEvil).figures({draw(BarChart{.title = kEvil})}).figures({});
  report.section("two")
      .table(table)
      .table(TextTable({}))
      .key_values({{kEvil, kEvil}})
      .code(kEvil)
      .footer(kEvil);
  const Tensor pixels = Tensor::full<std::uint8_t>({2, 3, 3}, 7);
  report.gallery(
      {.caption = kEvil, .pictures = {{pixels, kEvil, kEvil, kEvil}, {pixels, "plain"}}, .width = 24});
  const std::string page = report.html();
  BOOST_TEST(xml_problem(page) == "");
  BOOST_TEST(page.find("<script") == std::string::npos);
  BOOST_TEST(occurrences(page, "&lt;script&gt;") >= 20);
  BOOST_TEST(occurrences(page, "src=\"data:image/png;base64," + base64(encode_png(pixels)) + "\"") == 2);
  BOOST_TEST(occurrences(page, "<img alt=\"plain\" title=\"plain\"") == 1);
  BOOST_TEST(page.find("style=\"--width:24px\"") != std::string::npos);
  BOOST_TEST(page.find("<th class=\"right\">n</th>") != std::string::npos);
  BOOST_TEST(page.find("<tr class=\"ruled\"><td>total</td>") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_page_needs_nothing_from_elsewhere) {
  HtmlReport report("Run");
  report.figure(draw(LineChart{.title = "t"}));
  std::string page = report.html();
  const std::string name_space = "http://www.w3.org/2000/svg";
  for (std::size_t at; (at = page.find(name_space)) != std::string::npos;) page.erase(at, name_space.size());
  for (const char* outside : {"http:", "https:", "<link", "@import", "url(", "<script", "src="}) {
    BOOST_TEST(page.find(outside) == std::string::npos, outside);
  }
}

BOOST_AUTO_TEST_CASE(writing) {
  const TemporaryFolder folder;
  const auto path = folder / "report.html";
  HtmlReport("first").write(path);
  HtmlReport second("second");
  second.write(path);
  std::ostringstream content;
  content << std::ifstream(path).rdbuf();
  BOOST_TEST(content.str() == second.html());
  BOOST_TEST(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);

  const auto names_it = [](const IoError& e) {
    return std::string(e.what()).find("missing/report.html: No such file or directory") != std::string::npos;
  };
  BOOST_CHECK_EXCEPTION(second.write(folder / "missing/report.html"), IoError, names_it);
}

BOOST_AUTO_TEST_SUITE_END()
