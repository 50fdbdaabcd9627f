#include <tapestry/models/report/format.hpp>
#include <tapestry/tests/support/special_numbers.hpp>

#include <cstdlib>
#include <limits>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::kInf;
using test::kNan;

namespace {

template <class T>
std::string shortest(T value) {
  std::string out;
  append_shortest(out, value);
  return out;
}
}  // namespace

BOOST_AUTO_TEST_SUITE(format)

BOOST_AUTO_TEST_CASE(shortest_reads_back) {
  BOOST_TEST(shortest(0.1) == "0.1");
  BOOST_TEST(shortest(0.1f) == "0.1");
  BOOST_TEST(shortest(1.0 / 3) == "0.3333333333333333");
  BOOST_TEST(shortest(-kNan) == "nan");
  BOOST_TEST(shortest(-kInf) == "-inf");
  BOOST_TEST(shortest(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
  for (const double value : {5e-324, 1.7976931348623157e308, -2.302585092994046, 1e23}) {
    BOOST_TEST(std::strtod(shortest(value).c_str(), nullptr) == value);
  }
}

BOOST_AUTO_TEST_CASE(numbers_for_people) {
  BOOST_TEST(format_fixed(0.5655, 2) == "0.57");
  BOOST_TEST(format_fixed(-0.001, 2) == "0.00");
  BOOST_TEST(format_fixed(-kInf, 2) == "-inf");
  BOOST_TEST(format_fixed(1e308, 0).size() == 309);
  BOOST_TEST(format_significant(0) == "0");
  BOOST_TEST(format_significant(0.99996) == "1");
  BOOST_TEST(format_significant(1.5) == "1.5");
  BOOST_TEST(format_significant(-0.0123456) == "-0.01235");
  BOOST_TEST(format_significant(0.000123456) == "0.0001235");
  BOOST_TEST(format_significant(0.0000123) == "1.23e-5");
  BOOST_TEST(format_significant(1234567, 3) == "1,230,000");
  BOOST_TEST(format_significant(1e300) == "1e300");
  BOOST_TEST(format_count(0) == "0");
  BOOST_TEST(format_count(999) == "999");
  BOOST_TEST(format_count(-1000) == "-1,000");
  BOOST_TEST(format_count(2044510) == "2,044,510");
  BOOST_TEST(format_percent(0.5655) == "56.5%");
  BOOST_TEST(format_percent(kNan) == "nan");
  BOOST_TEST(format_bytes(0) == "0 B");
  BOOST_TEST(format_bytes(999) == "999 B");
  BOOST_TEST(format_bytes(999999) == "1.0 MB");
  BOOST_TEST(format_bytes(57300000) == "57.3 MB");
}

BOOST_AUTO_TEST_CASE(durations) {
  BOOST_TEST(format_duration(0) == "0.00 s");
  BOOST_TEST(format_duration(41.27) == "41.3 s");
  BOOST_TEST(format_duration(59.97) == "1 min 00 s");
  BOOST_TEST(format_duration(3599.7) == "1 h 00 min");
  BOOST_TEST(format_duration(90061) == "25 h 01 min");
  BOOST_TEST(format_duration(kNan) == "nan s");
}

BOOST_AUTO_TEST_CASE(escapes) {
  BOOST_TEST(escape_xml("a<b>&\"'é") == "a&lt;b&gt;&amp;&quot;&#39;é");
  BOOST_TEST(escape_xml(std::string_view("\x01\xFF\0", 3)) == "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  std::string json;
  append_json_string(json, "a\"b\\c\n\t\x02\x80");
  BOOST_TEST(json == "\"a\\\"b\\\\c\\n\\t\\u0002\xEF\xBF\xBD\"");
}

BOOST_AUTO_TEST_CASE(utf8) {
  BOOST_TEST(utf8_length("") == 0);
  BOOST_TEST(utf8_length("a") == 1);
  BOOST_TEST(utf8_length("é") == 2);
  BOOST_TEST(utf8_length("…") == 3);
  BOOST_TEST(utf8_length("😀") == 4);
  for (const char* bad :
       {"\x80", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "\xC3("}) {
    BOOST_TEST(utf8_length(bad) == 0);
  }
  BOOST_TEST(display_width("é…x") == 3);
  BOOST_TEST(shorten("automobile", 6) == "autom…");
  BOOST_TEST(shorten("ééé", 2) == "é…");
  BOOST_TEST(shorten("ship", 4) == "ship");
  BOOST_TEST(shorten("ship", 0) == "");
}

BOOST_AUTO_TEST_CASE(base64_pads) {
  const auto encode = [](std::string_view s) { return base64(std::as_bytes(std::span(s.data(), s.size()))); };
  BOOST_TEST(encode("") == "");
  BOOST_TEST(encode("f") == "Zg==");
  BOOST_TEST(encode("fo") == "Zm8=");
  BOOST_TEST(encode("foo") == "Zm9v");
  BOOST_TEST(encode("foobar") == "Zm9vYmFy");
  BOOST_TEST(encode("\xFF\xFE") == "//4=");
}

BOOST_AUTO_TEST_SUITE_END()
