#include <tapestry/core/error.hpp>
#include <tapestry/core/shape.hpp>

#include <algorithm>
#include <ostream>

namespace tapestry {
namespace {

// More bytes than a process can have, and so few that sums and products of sizes don't wrap around.
constexpr std::int64_t kMostElements = std::int64_t{1} << 48;

}  // namespace

Shape::Shape(std::span<const std::int64_t> values) {
  for (const std::int64_t value : values) push_back(value);
}

Shape Shape::filled(int rank, std::int64_t value) {
  Shape shape;
  for (int i = 0; i < rank; ++i) shape.push_back(value);
  return shape;
}

void Shape::push_back(std::int64_t value) {
  require(rank_ < kMaxRank, "a shape has at most ", kMaxRank, " axes");
  values_[std::size_t(rank_++)] = value;
}

std::int64_t Shape::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : *this) {
    if (extent == 0) return 0;
  }
  for (const std::int64_t extent : *this) {
    if (__builtin_mul_overflow(product, extent, &product) || product > kMostElements) {
      fail("a shape of ", *this, " has more than 2^48 elements");
    }
  }
  return product;
}

bool operator==(const Shape& a, const Shape& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

std::string to_string(const Shape& shape) { return text(shape); }

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '[';
  for (int i = 0; i < shape.rank(); ++i) out << (i ? ", " : "") << shape[i];
  return out << ']';
}

Shape strides_of(const Shape& shape) {
  Shape strides = Shape::filled(shape.rank(), 1);
  for (int i = shape.rank() - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * std::max<std::int64_t>(shape[i + 1], 1);
  return strides;
}

std::optional<Shape> broadcast(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape out = Shape::filled(rank, 1);
  for (int i = 1; i <= rank; ++i) {
    const std::int64_t p = i <= a.rank() ? a[a.rank() - i] : 1;
    const std::int64_t q = i <= b.rank() ? b[b.rank() - i] : 1;
    if (p != q && p != 1 && q != 1) return std::nullopt;
    out[rank - i] = p == 1 ? q : p;
  }
  return out;
}

std::optional<int> normalize_axis(int axis, int rank) {
  if (axis < -rank || axis >= rank) return std::nullopt;
  return axis < 0 ? axis + rank : axis;
}

}  // namespace tapestry
