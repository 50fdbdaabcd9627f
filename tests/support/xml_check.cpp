#include <tapestry/core/error.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/tests/support/xml_check.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

namespace tapestry::test {
namespace {

bool name_start(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_' || c == ':'; }
bool name_char(char c) {
  return name_start(c) || std::isdigit(static_cast<unsigned char>(c)) || c == '-' || c == '.';
}
bool blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

class Checker {
 public:
  explicit Checker(std::string_view markup) : markup_(markup) {}

  void run() {
    for (std::size_t i = 0; i < markup_.size();) {
      const std::size_t length = utf8_length(markup_.substr(i));
      const auto c = static_cast<unsigned char>(markup_[i]);
      require(length > 0 && (c >= 0x20 || blank(char(c))), "not a character at byte ", i);
      i += length;
    }
    if (accept("<!doctype html>")) skip_blanks();
    int roots = 0;
    while (at_ < markup_.size()) {
      if (markup_[at_] == '<') {
        if (accept("<!--")) {
          comment();
        } else if (accept("</")) {
          close();
        } else {
          ++at_;
          if (open_.empty()) require(++roots == 1, "a second root element at byte ", at_);
          open();
        }
      } else if (open_.empty()) {
        require(blank(markup_[at_]), "text outside the root element at byte ", at_);
        ++at_;
      } else {
        character("text");
      }
    }
    require(open_.empty(), open_.empty() ? "" : open_.back(), " is not closed");
    require(roots == 1, "no root element");
  }

 private:
  bool accept(std::string_view word) {
    if (!markup_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  bool skip_blanks() {
    const std::size_t before = at_;
    while (at_ < markup_.size() && blank(markup_[at_])) ++at_;
    return at_ > before;
  }
  char peek() const { return at_ < markup_.size() ? markup_[at_] : '\0'; }

  std::string_view name(const char* what) {
    require(name_start(peek()), "expected the name of ", what, " at byte ", at_);
    const std::size_t start = at_;
    while (name_char(peek())) ++at_;
    return markup_.substr(start, at_ - start);
  }
  void comment() {
    const std::size_t end = markup_.find("--", at_);
    require(end != std::string_view::npos && markup_.substr(end).starts_with("-->"), "bad comment at byte ",
            at_);
    at_ = end + 3;
  }
  void character(const char* where) {
    require(markup_[at_] != '<', "raw < in ", where, " at byte ", at_);
    require(!markup_.substr(at_).starts_with("]]>"), "]]> in ", where, " at byte ", at_);
    if (markup_[at_++] != '&') return;
    const std::size_t end = markup_.find(';', at_);
    require(end != std::string_view::npos && end - at_ < 10, "raw & in ", where, " at byte ", at_ - 1);
    const std::string_view entity = markup_.substr(at_, end - at_);
    static constexpr std::array<std::string_view, 5> kNames = {"amp", "lt", "gt", "quot", "apos"};
    const bool numbered = entity.size() > 1 && entity[0] == '#' &&
                          entity.substr(1).find_first_not_of("0123456789") == std::string_view::npos;
    require(numbered || std::find(kNames.begin(), kNames.end(), entity) != kNames.end(), "unknown entity &",
            entity, "; at byte ", at_ - 1);
    at_ = end + 1;
  }
  void open() {
    const std::string_view element = name("an element");
    std::vector<std::string_view> attributes;
    for (;;) {
      const bool spaced = skip_blanks();
      if (accept("/>")) return;
      if (accept(">")) break;
      require(spaced, "no blank before the attribute at byte ", at_);
      const std::string_view attribute = name("an attribute");
      require(std::find(attributes.begin(), attributes.end(), attribute) == attributes.end(), "attribute ",
              attribute, " twice at byte ", at_);
      attributes.push_back(attribute);
      require(accept("="), "attribute ", attribute, " without a value at byte ", at_);
      const char quote = peek();
      require(quote == '"' || quote == '\'', "attribute ", attribute, " not quoted at byte ", at_);
      ++at_;
      while (peek() != quote) {
        require(at_ < markup_.size(), "attribute ", attribute, " does not end");
        character("an attribute");
      }
      ++at_;
    }
    open_.emplace_back(element);
  }
  void close() {
    const std::string_view element = name("an element");
    skip_blanks();
    require(accept(">"), "bad end tag at byte ", at_);
    require(!open_.empty() && open_.back() == element, "</", element, "> closes ",
            open_.empty() ? "nothing" : open_.back(), " at byte ", at_);
    open_.pop_back();
  }

  std::string_view markup_;
  std::size_t at_ = 0;
  std::vector<std::string> open_;
};

}  // namespace

std::string xml_problem(std::string_view markup) {
  try {
    Checker(markup).run();
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

std::size_t occurrences(std::string_view haystack, std::string_view needle) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = haystack.find(needle, at)) != std::string_view::npos; at += needle.size())
    ++count;
  return count;
}

}  // namespace tapestry::test
