// Attributes: the settings of one op call (an axis, a permutation, a constant's value), held as the op's own
// plain struct behind a small type-erased handle, so that any pass can compare, hash and print them.
//
//   struct SoftmaxAttrs {
//     int axis;
//     void fields(FieldVisitor& f) const { f("axis", axis); }
//     bool operator==(const SoftmaxAttrs&) const = default;
//   };
#pragma once

#include <tapestry/core/tensor.hpp>

#include <memory>
#include <string_view>
#include <typeinfo>
#include <utility>

namespace tapestry {

/// Receives every field of an attribute struct by name.
class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;
  virtual void operator()(std::string_view name, std::int64_t value) = 0;
  virtual void operator()(std::string_view name, double value) = 0;
  virtual void operator()(std::string_view name, bool value) = 0;
  virtual void operator()(std::string_view name, std::string_view value) = 0;
  virtual void operator()(std::string_view name, const Shape& value) = 0;
  virtual void operator()(std::string_view name, const Tensor& value) = 0;
  void operator()(std::string_view name, int value) { (*this)(name, std::int64_t{value}); }
  void operator()(std::string_view name, const char* value) { (*this)(name, std::string_view(value)); }
  void operator()(std::string_view name, DType value) { (*this)(name, name_of(value)); }
};

class Attrs {
 public:
  /// None.
  Attrs() = default;
  template <class T>
  requires(!std::is_same_v<std::remove_cvref_t<T>, Attrs>) Attrs(T value)
      : held_(std::make_shared<Held<T>>(std::move(value))) {}

  /// The struct; the op that recorded it knows its type.
  template <class T>
  const T& as() const {
    require(held_ && held_->type() == typeid(T), "an op's attributes were read as another op's");
    return static_cast<const Held<T>&>(*held_).value;
  }

  bool empty() const { return !held_; }
  void visit(FieldVisitor& visitor) const {
    if (held_) held_->visit(visitor);
  }
  std::size_t hash() const;
  friend bool operator==(const Attrs& a, const Attrs& b) {
    if (a.held_ == b.held_) return true;
    return a.held_ && b.held_ && a.held_->type() == b.held_->type() && a.held_->equals(*b.held_);
  }

 private:
  struct HeldBase {
    virtual ~HeldBase() = default;
    virtual const std::type_info& type() const = 0;
    virtual bool equals(const HeldBase& other) const = 0;
    virtual void visit(FieldVisitor& visitor) const = 0;
  };
  template <class T>
  struct Held final : HeldBase {
    explicit Held(T v) : value(std::move(v)) {}
    const std::type_info& type() const override { return typeid(T); }
    bool equals(const HeldBase& other) const override {
      return value == static_cast<const Held&>(other).value;
    }
    void visit(FieldVisitor& visitor) const override { value.fields(visitor); }
    T value;
  };

  std::shared_ptr<const HeldBase> held_;
};

/// "{axis=1, keep_dims=true}"; nothing if there are none.
std::string to_string(const Attrs& attrs);

/// Mixes a value into a hash.
inline std::size_t hash_combine(std::size_t seed, std::size_t value) {
  return (seed ^ (value + 0x9e3779b97f4a7c15ull + (seed << 6) + (seed >> 2))) * 0xff51afd7ed558ccdull;
}

}  // namespace tapestry
