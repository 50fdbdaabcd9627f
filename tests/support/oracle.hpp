// Compares ops with the vectors that tests/oracle/make_vectors.py made: values, first and second derivatives
// in f64.
#pragma once

#include <tapestry/core/tape.hpp>
#include <tapestry/core/tensor.hpp>

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tapestry::oracle {

/// How far from the reference a value may be. The error of an element is |a - b| / max(1, |a|, |b|), so
/// absolute below 1; or |a - b| / max(|a|, |b|) where small values have to be right to the last digits too.
struct Bound {
  double error = 1e-12;
  bool relative = false;
};

/// Why `actual` isn't `expected`: dtype, shape, or the worst element and its error. Empty if it is. NaN
/// equals NaN and an infinity itself. Integers and bools have to be equal; any integer type stands for any
/// other.
std::string difference(const Tensor& actual, const Tensor& expected, Bound bound = {});

/// tests/oracle/vectors/<family>.safetensors
std::filesystem::path vectors(std::string_view family);

/// What a case's call gets: in0, in1, ...
struct Inputs {
  Tape& tape;
  DType dtype;  // of the floating ones: f64, and once more f32
  std::vector<Var> all;

  const Var& operator[](std::size_t i) const { return all.at(i); }
};
using Function = std::function<Var(const Inputs&)>;

/// Which call gives the value of which case.
class Table {
 public:
  void add(std::string name, Function call, Bound bound = {});
  /// "op/label" for each label, all by the same call.
  void add(std::string_view op, std::initializer_list<std::string_view> labels, Function call,
           Bound bound = {});

  /// What is wrong with the family's file or with Tapestry, a sentence each, the case's name first. Each case
  /// runs compiled, all its values and derivatives in one program, and interpreted, in f64 and, where its
  /// numbers allow, in f32 to 1e-4. A case of the file without an entry here is a mistake, and an entry
  /// without a case too.
  std::vector<std::string> mistakes(std::string_view family) const;
  /// Reports them through Boost.Test.
  void check(std::string_view family) const;

 private:
  struct Entry {
    Function call;
    Bound bound;
  };
  std::map<std::string, Entry, std::less<>> entries_;
};

/// The ops recorded by the cases that have agreed in this process: those that the oracle vouches for.
const std::set<std::string>& agreeing_ops();

}  // namespace tapestry::oracle
