#include <tapestry/core/memory.hpp>
#include <tapestry/core/tensor.hpp>

#include <algorithm>
#include <ostream>
#include <utility>

namespace tapestry {
namespace {

template <class T>
double to_double(T value) {
  if constexpr (std::is_same_v<T, bf16>) {
    return double(float(value));
  } else {
    return double(value);
  }
}

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<From, bf16>) {
    return convert<To>(float(value));
  } else if constexpr (std::is_same_v<To, bf16>) {
    return bf16(float(value));
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From{};
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace

std::string to_string(const Type& type) { return text(type); }

std::ostream& operator<<(std::ostream& out, const Type& type) {
  return out << name_of(type.dtype) << ' ' << type.shape;
}

Tensor::Tensor(DType dtype, const Shape& shape) : type_{dtype, shape}, elements_(shape.elements()) {
  for (const std::int64_t extent : shape) require(extent >= 0, "a tensor can't have the shape ", shape);
  buffer_ = allocate_lines(bytes());
  std::memset(buffer_.get(), 0, bytes());
}

Tensor::Tensor(Tensor&& other) noexcept
    : type_(std::exchange(other.type_, {DType::f32, {0}})),
      elements_(std::exchange(other.elements_, 0)),
      buffer_(std::move(other.buffer_)) {}

Tensor& Tensor::operator=(Tensor&& other) noexcept {
  if (this == &other) return *this;
  type_ = std::exchange(other.type_, {DType::f32, {0}});
  elements_ = std::exchange(other.elements_, 0);
  buffer_ = std::move(other.buffer_);
  return *this;
}

Tensor Tensor::linspace(double first, double last, const Shape& shape, DType dtype) {
  Tensor tensor(DType::f64, shape);
  const auto values = tensor.mutable_values<double>();
  const double steps = double(std::max<std::size_t>(values.size(), 2) - 1);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = first + (last - first) / steps * double(i);
  if (values.size() > 1) values.back() = last;
  return tensor.to(dtype);
}

void Tensor::check_dtype(DType wanted) const {
  require(type_.dtype == wanted, "a tensor of ", type_, " was read as ", name_of(wanted));
}

void* Tensor::mutable_data() {
  if (buffer_.use_count() > 1) {
    std::shared_ptr<std::byte[]> fresh = allocate_lines(bytes());
    std::memcpy(fresh.get(), buffer_.get(), bytes());
    buffer_ = std::move(fresh);
  }
  return buffer_.get();
}

double Tensor::item() const {
  require(elements_ == 1, "item() needs a tensor of one element, not ", type_);
  return at(0);
}

double Tensor::at(std::int64_t position) const {
  require(position >= 0 && position < elements_, "position ", position, " is outside a tensor of ", type_);
  return visit_dtype(type_.dtype,
                     [&](auto t) { return to_double(values<decltype(t)>()[std::size_t(position)]); });
}

Tensor Tensor::reshaped(const Shape& shape) const {
  require(shape.elements() == elements_, "can't reshape ", type_, " to ", shape);
  Tensor out = *this;
  out.type_.shape = shape;
  return out;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == type_.dtype) return *this;
  Tensor out(dtype, type_.shape);
  visit_dtype(type_.dtype, [&](auto from) {
    visit_dtype(dtype, [&](auto to) {
      std::ranges::transform(values<decltype(from)>(), out.mutable_values<decltype(to)>().begin(),
                             [](auto v) { return convert<decltype(to)>(v); });
    });
  });
  return out;
}

bool identical(const Tensor& a, const Tensor& b) {
  return a.type() == b.type() && (a.bytes() == 0 || std::memcmp(a.data(), b.data(), a.bytes()) == 0);
}

std::string to_string(const Tensor& tensor) {
  std::string out = text(tensor.type(), " {");
  const std::int64_t shown = std::min<std::int64_t>(tensor.elements(), 8);
  for (std::int64_t i = 0; i < shown; ++i) out += text(i ? ", " : "", tensor.at(i));
  return out + (shown < tensor.elements() ? ", ...}" : "}");
}

}  // namespace tapestry
