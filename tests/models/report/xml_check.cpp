#include <tapestry/tests/support/xml_check.hpp>

#include <boost/test/unit_test.hpp>

using tapestry::test::xml_problem;

BOOST_AUTO_TEST_SUITE(xml_check)

BOOST_AUTO_TEST_CASE(accepts_well_formed_markup) {
  for (const char* good : {"<a/>", "<a></a>", "<!doctype html>\n<html lang=\"en\"><br/>x &lt; y &#39;</html>",
                           "<a b='1' c=\"2\"><!-- note --><d e=\"&amp;\"/></a>\n", "<a>é 😀</a>"}) {
    BOOST_TEST(xml_problem(good) == "");
  }
}

BOOST_AUTO_TEST_CASE(refuses_each_kind_of_mistake) {
  for (const char* bad : {"",
                          "text",
                          "<a>",
                          "</a>",
                          "<a></b>",
                          "<a><b></a></b>",
                          "<a/><b/>",
                          "<a b/>",
                          "<a b=1/>",
                          "<a b=\"1\"c=\"2\"/>",
                          "<a b='1' b='2'/>",
                          "<a b=\"<\"/>",
                          "<a b=\"&\"/>",
                          "<a>x & y</a>",
                          "<a>1 < 2</a>",
                          "<a>&nbsp;</a>",
                          "<a>\xFF</a>",
                          "<a>\x01</a>",
                          "<a><!-- -- --></a>",
                          "<a b=\"1/>",
                          "<a>&#x;</a>",
                          "<1/>"}) {
    BOOST_TEST(xml_problem(bad) != "", "accepted: " << bad);
  }
}

BOOST_AUTO_TEST_SUITE_END()
