#include <tapestry/core/attrs.hpp>

#include <functional>

namespace tapestry {
namespace {

class Hasher final : public FieldVisitor {
 public:
  using FieldVisitor::operator();
  void operator()(std::string_view, std::int64_t v) override { mix(std::hash<std::int64_t>{}(v)); }
  void operator()(std::string_view, double v) override { mix(std::hash<double>{}(v)); }
  void operator()(std::string_view, bool v) override { mix(v ? 1 : 2); }
  void operator()(std::string_view, std::string_view v) override { mix(std::hash<std::string_view>{}(v)); }
  void operator()(std::string_view, const Shape& v) override {
    for (const std::int64_t extent : v) mix(std::hash<std::int64_t>{}(extent));
  }
  // Small constants whole; of large ones the two ends and a sample between, for many begin and end alike
  // (padding, masks). Equality compares all of it.
  void operator()(std::string_view, const Tensor& v) override {
    const std::string_view bytes(static_cast<const char*>(v.data()), v.bytes());
    constexpr std::size_t kPieces = 32, kPiece = 16;
    if (bytes.size() <= kPieces * kPiece) return mix(std::hash<std::string_view>{}(bytes));
    for (std::size_t i = 0; i < kPieces; ++i) {
      const std::size_t at = (bytes.size() - kPiece) / (kPieces - 1) * i;
      mix(std::hash<std::string_view>{}(bytes.substr(at, kPiece)));
    }
    mix(std::hash<std::string_view>{}(bytes.substr(bytes.size() - kPiece)));
  }
  std::size_t value = 0;

 private:
  void mix(std::size_t v) { value = hash_combine(value, v); }
};

class Printer final : public FieldVisitor {
 public:
  using FieldVisitor::operator();
  void operator()(std::string_view n, std::int64_t v) override { add(n, v); }
  void operator()(std::string_view n, double v) override { add(n, v); }
  void operator()(std::string_view n, bool v) override { add(n, v ? "true" : "false"); }
  void operator()(std::string_view n, std::string_view v) override { add(n, v); }
  void operator()(std::string_view n, const Shape& v) override { add(n, v); }
  void operator()(std::string_view n, const Tensor& v) override { add(n, to_string(v)); }
  std::string out;

 private:
  template <class T>
  void add(std::string_view name, const T& value) {
    out += text(out.empty() ? "" : ", ", name, '=', value);
  }
};

}  // namespace

std::size_t Attrs::hash() const {
  Hasher hasher;
  visit(hasher);
  return hasher.value;
}

std::string to_string(const Attrs& attrs) {
  Printer printer;
  attrs.visit(printer);
  return printer.out.empty() ? "" : '{' + printer.out + '}';
}

}  // namespace tapestry
