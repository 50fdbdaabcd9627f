// Tensors: a dtype, a shape, and row-major elements. A Tensor is a value: a copy behaves as one, though the
// elements are shared until one of the copies is written.
#pragma once

#include <tapestry/core/dtype.hpp>
#include <tapestry/core/error.hpp>
#include <tapestry/core/shape.hpp>

#include <cstring>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tapestry {

/// What a value is before it is computed.
struct Type {
  DType dtype = DType::f32;
  Shape shape;

  std::size_t bytes() const { return std::size_t(shape.elements()) * size_of(dtype); }
  friend bool operator==(const Type&, const Type&) = default;
};

/// "f32 [100, 3072]"
std::string to_string(const Type& type);
std::ostream& operator<<(std::ostream& out, const Type& type);

/// Where a kernel finds its data: row-major elements owned by somebody else.
struct ConstView {
  const void* data = nullptr;
  Type type;

  template <Element T>
  const T* as() const {
    return static_cast<const T*>(data);
  }
};
struct View {
  void* data = nullptr;
  Type type;

  template <Element T>
  T* as() const {
    return static_cast<T*>(data);
  }
  operator ConstView() const { return {data, type}; }
};

class Tensor {
 public:
  /// An f32 tensor without elements, [0].
  Tensor() : Tensor(DType::f32, {0}) {}
  /// Zeros.
  Tensor(DType dtype, const Shape& shape);
  explicit Tensor(const Type& type) : Tensor(type.dtype, type.shape) {}
  Tensor(const Tensor&) = default;
  Tensor& operator=(const Tensor&) = default;
  /// What was moved from is a tensor without elements, [0].
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(Tensor&& other) noexcept;
  ~Tensor() = default;

  template <Element T>
  static Tensor scalar(T value) {
    return from(std::span<const T>(&value, 1), {});
  }
  template <Element T>
  static Tensor full(const Shape& shape, T value);
  /// The elements in row-major order; throws if their number doesn't fit the shape.
  template <Element T>
  static Tensor from(std::span<const T> values, const Shape& shape);
  template <Element T>
  static Tensor from(const std::vector<T>& values, const Shape& shape) {
    return from(std::span<const T>(values), shape);
  }
  template <Element T>
  static Tensor from(std::initializer_list<T> values, const Shape& shape) {
    return from(std::span<const T>(values.begin(), values.size()), shape);
  }
  /// `count` evenly spaced values from first to last, both included, as NumPy's linspace.
  static Tensor linspace(double first, double last, const Shape& shape, DType dtype = DType::f64);

  const Type& type() const { return type_; }
  DType dtype() const { return type_.dtype; }
  const Shape& shape() const { return type_.shape; }
  int rank() const { return type_.shape.rank(); }
  std::int64_t elements() const { return elements_; }
  std::size_t bytes() const { return std::size_t(elements_) * size_of(type_.dtype); }

  /// The elements; throws if they are not of type T.
  template <Element T>
  std::span<const T> values() const;
  /// The same to write to; detaches from other copies first.
  template <Element T>
  std::span<T> mutable_values();

  const void* data() const { return buffer_.get(); }
  void* mutable_data();

  /// The only element, converted.
  double item() const;
  /// The element at a flat row-major position, converted.
  double at(std::int64_t position) const;

  /// The same elements under another shape with as many elements.
  Tensor reshaped(const Shape& shape) const;
  /// Converted elementwise; float to integer truncates towards zero, number to bool is `!= 0`.
  Tensor to(DType dtype) const;

  ConstView view() const { return {data(), type_}; }
  View mutable_view() { return {mutable_data(), type_}; }

 private:
  void check_dtype(DType wanted) const;

  Type type_;
  std::int64_t elements_ = 0;
  std::shared_ptr<std::byte[]> buffer_;
};

/// Same dtype, shape and bytes.
bool identical(const Tensor& a, const Tensor& b);

/// "f32 [2, 3] {0.1, 0.2, ...}", at most eight elements.
std::string to_string(const Tensor& tensor);

template <Element T>
Tensor Tensor::from(std::span<const T> values, const Shape& shape) {
  Tensor tensor(dtype_of<T>, shape);
  require(std::int64_t(values.size()) == tensor.elements(), values.size(),
          " values can't fill a tensor of shape ", shape);
  if (!values.empty()) std::memcpy(tensor.mutable_data(), values.data(), values.size_bytes());
  return tensor;
}

template <Element T>
Tensor Tensor::full(const Shape& shape, T value) {
  Tensor tensor(dtype_of<T>, shape);
  for (T& element : tensor.mutable_values<T>()) element = value;
  return tensor;
}

template <Element T>
std::span<const T> Tensor::values() const {
  check_dtype(dtype_of<T>);
  return {static_cast<const T*>(data()), std::size_t(elements_)};
}

template <Element T>
std::span<T> Tensor::mutable_values() {
  check_dtype(dtype_of<T>);
  return {static_cast<T*>(mutable_data()), std::size_t(elements_)};
}

}  // namespace tapestry
