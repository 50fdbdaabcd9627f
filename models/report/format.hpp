// How numbers and text are written in metrics files, reports and on the terminal.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tapestry {

/// The fewest digits that read back as the same number; "nan", "inf", "-inf". Does not allocate beyond `out`.
void append_shortest(std::string& out, double value);
void append_shortest(std::string& out, float value);
void append_shortest(std::string& out, std::int64_t value);

/// `decimals` digits after the point: "0.565"; "nan", "inf", "-inf".
std::string format_fixed(double value, int decimals);
/// About `digits` significant digits for people: "0.0000123" -> "1.23e-5", 1234567 -> "1,230,000" with 3.
std::string format_significant(double value, int digits = 4);
/// "2,044,510"
std::string format_count(std::int64_t value);
/// "56.5%"; a fraction of 1 is 100%.
std::string format_percent(double fraction, int decimals = 1);
/// "0.42 s", "41.3 s", "2 min 05 s", "1 h 02 min"
std::string format_duration(double seconds);
/// "812 B", "57.3 MB" (powers of 1000)
std::string format_bytes(std::uint64_t bytes);

/// Text made safe inside XML and HTML elements and quoted attributes. Bytes that are not UTF-8, and control
/// characters that XML forbids, become U+FFFD.
std::string escape_xml(std::string_view text);
/// `text` as a quoted JSON string; bytes that are not UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text);

/// The number of bytes, 1 to 4, of the UTF-8 character at the start of `text`; 0 if it doesn't start with
/// one.
std::size_t utf8_length(std::string_view text);
/// The number of terminal columns that `text` takes, one a character.
std::size_t display_width(std::string_view text);
/// The first `columns` characters, the last one replaced by an ellipsis if any had to go.
std::string shorten(std::string_view text, std::size_t columns);

/// Base64 with padding (RFC 4648).
std::string base64(std::span<const std::byte> bytes);

}  // namespace tapestry
