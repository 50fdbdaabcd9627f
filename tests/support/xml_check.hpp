// A strict look at markup: is this text well-formed XML?
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tapestry::test {

/// Empty if `markup` is one well-formed element, maybe after <!doctype html>; otherwise the first problem and
/// its byte. Elements must balance, attributes be quoted and distinct, & and < be escaped, characters be
/// legal UTF-8.
std::string xml_problem(std::string_view markup);

/// How often `needle` occurs.
std::size_t occurrences(std::string_view haystack, std::string_view needle);

}  // namespace tapestry::test
