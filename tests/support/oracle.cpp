#include "oracle.hpp"

#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/io/safetensors.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/ops/pointwise.hpp>

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

#include <boost/test/unit_test.hpp>

namespace tapestry::oracle {
namespace {

double error_of(double a, double b, bool relative) {
  if (std::isnan(a) && std::isnan(b)) return 0;
  if (a == b) return 0;  // infinities too
  const double scale = std::max({std::abs(a), std::abs(b), relative ? 0.0 : 1.0});
  const double error = std::abs(a - b) / scale;
  return std::isnan(error) || std::isinf(scale) ? INFINITY : error;
}

/// "[1, 2]", the element at a flat position.
std::string place(std::int64_t position, const Shape& shape) {
  Shape index;
  for (const std::int64_t stride : strides_of(shape)) {
    index.push_back(position / stride);
    position %= stride;
  }
  return to_string(index);
}

bool same_kind(DType a, DType b) { return a == b || (is_integer(a) && is_integer(b)); }

/// One case of a file: the tensors named NAME/..., by what follows.
using Vectors = std::map<std::string, Tensor, std::less<>>;

/// The tensors named prefix0, prefix1, ... that there are, by their numbers.
std::map<std::size_t, Tensor> numbered(const Vectors& vectors, std::string_view prefix) {
  std::map<std::size_t, Tensor> found;
  for (const auto& [name, tensor] : vectors) {
    if (name.starts_with(prefix) && name.find_first_not_of("0123456789", prefix.size()) == std::string::npos)
      found.emplace(std::stoul(name.substr(prefix.size())), tensor);
  }
  return found;
}

std::set<std::string>& agreeing() {
  static std::set<std::string> ops;
  return ops;
}

struct Expectation {
  std::string what;
  Var actual;
  Tensor expected;
};

/// Records the value and the derivatives that the vectors hold.
std::vector<Expectation> record(const Vectors& vectors, const Function& call, DType dtype, Tape& tape,
                                std::vector<Tensor>& fed, std::set<std::string>& ops) {
  Inputs inputs{tape, dtype, {}};
  for (const auto& [i, tensor] : numbered(vectors, "in")) {
    inputs.all.push_back(tape.input("in" + std::to_string(i), tensor.type()));
    fed.push_back(tensor);
  }
  const Var out = call(inputs);
  for (ValueId id = 0; id < tape.graph().size(); ++id) ops.emplace(tape.graph().op(id).name);
  std::vector<Expectation> expectations{{"out", out, vectors.at("out")}};

  const auto first = numbered(vectors, "grad");
  if (first.empty()) return expectations;
  std::vector<Var> wrt;
  for (const auto& [i, tensor] : first) wrt.push_back(inputs[i]);
  const std::vector<Var> found = gradients(out, wrt, tape.constant(vectors.at("cotangent")));
  for (std::size_t k = 0; const auto& [i, tensor] : first)
    expectations.push_back({"grad" + std::to_string(i), found[k++], tensor});

  const auto second = numbered(vectors, "grad2_");
  if (second.empty()) return expectations;
  // sum_i sum(grad_i * v_i) is one sum of products for each i; its gradient is the sum of theirs.
  std::vector<Var> total;
  for (std::size_t k = 0; const auto& [i, direction] : numbered(vectors, "direction")) {
    const std::vector<Var> part = gradients(found[k++], wrt, tape.constant(direction));
    if (total.empty()) {
      total = part;
    } else {
      for (std::size_t j = 0; j < part.size(); ++j) total[j] = total[j] + part[j];
    }
  }
  for (std::size_t k = 0; const auto& [i, tensor] : second)
    expectations.push_back({"grad2_" + std::to_string(i), total[k++], tensor});
  return expectations;
}

/// What comes out wrong, compiled and interpreted.
std::vector<std::string> mistakes_of(const Vectors& vectors, const Function& call, DType dtype,
                                     Bound bound) try {
  Tape tape;
  std::vector<Tensor> fed;
  std::set<std::string> ops;
  const std::vector<Expectation> expectations = record(vectors, call, dtype, tape, fed, ops);
  std::vector<Var> outputs;
  for (const Expectation& e : expectations) outputs.push_back(e.actual);
  Program program = compile(tape, outputs, {.verify = true});
  program.run(fed);
  std::vector<std::string> found;
  const auto compare = [&](std::span<const Tensor> values, std::string_view way) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::string wrong = difference(values[i], expectations[i].expected, bound);
      if (!wrong.empty()) found.push_back(text(way, expectations[i].what, ": ", wrong));
    }
  };
  compare(program.outputs(), "");
  compare(interpret(tape.take(outputs), fed), "interpreted ");
  if (found.empty() && dtype == DType::f64) agreeing().merge(ops);
  return found;
} catch (const std::exception& e) {
  return {e.what()};
}

// A case once more with f32 inputs: the same formulas through the other kernels.
constexpr Bound kBoundOfF32{.error = 1e-4};

Vectors in_f32(const Vectors& vectors) {
  Vectors converted;
  for (const auto& [name, tensor] : vectors) {
    converted.emplace(name, tensor.dtype() == DType::f64 ? tensor.to(DType::f32) : tensor);
  }
  return converted;
}

/// Are all values zero or in a range that leaves f32 room to compute?
bool moderate(const Vectors& vectors) {
  for (const auto& [name, tensor] : vectors) {
    for (std::int64_t i = 0; i < tensor.elements(); ++i) {
      const double magnitude = std::abs(tensor.at(i));
      if (magnitude > 1e3 || (magnitude != 0 && magnitude < 1e-6)) return false;
    }
  }
  return true;
}

}  // namespace

std::string difference(const Tensor& actual, const Tensor& expected, Bound bound) {
  if (!same_kind(actual.dtype(), expected.dtype()) || actual.shape() != expected.shape())
    return text(actual.type(), " instead of ", expected.type());
  if (!is_floating(expected.dtype())) bound.error = 0;
  double worst = 0;
  std::int64_t where = 0;
  for (std::int64_t i = 0; i < expected.elements(); ++i) {
    const double error = error_of(actual.at(i), expected.at(i), bound.relative);
    if (error > worst) worst = error, where = i;
  }
  if (worst <= bound.error) return {};
  std::ostringstream out;
  out << std::setprecision(17) << "element " << place(where, expected.shape()) << " is " << actual.at(where)
      << " instead of " << expected.at(where) << std::setprecision(2) << ", an error of " << worst
      << " (at most " << bound.error << " allowed)";
  return std::move(out).str();
}

const std::set<std::string>& agreeing_ops() { return agreeing(); }

std::filesystem::path vectors(std::string_view family) {
  return std::filesystem::path(TAPESTRY_SOURCE_DIR) / "tests/oracle/vectors" /
         (std::string(family) + ".safetensors");
}

void Table::add(std::string name, Function call, Bound bound) {
  require(entries_.emplace(name, Entry{std::move(call), bound}).second, "two entries for ", name);
}

void Table::add(std::string_view op, std::initializer_list<std::string_view> labels, Function call,
                Bound bound) {
  for (const std::string_view label : labels) add(text(op, '/', label), call, bound);
}

std::vector<std::string> Table::mistakes(std::string_view family) const {
  const SafetensorsFile file = load_safetensors(vectors(family));
  std::map<std::string, Vectors, std::less<>> cases;
  for (const auto& [name, tensor] : file.tensors) {
    const std::size_t slash = name.rfind('/');
    cases[name.substr(0, slash)].emplace(name.substr(slash + 1), tensor);
  }
  std::vector<std::string> found;
  for (const auto& [name, entry] : entries_) {
    if (!cases.contains(name)) found.push_back(name + ": in the table, but not among the vectors");
  }
  for (const auto& [name, tensors] : cases) {
    const auto entry = entries_.find(name);
    if (entry == entries_.end()) {
      found.push_back(name + ": among the vectors, but not in the table");
      continue;
    }
    const auto& [call, bound] = entry->second;
    for (const std::string& m : mistakes_of(tensors, call, DType::f64, bound))
      found.push_back(name + ": " + m);
    if (!moderate(tensors) || bound.error > 1e-12) continue;  // f32 would overflow, or keep too few digits
    for (const std::string& m : mistakes_of(in_f32(tensors), call, DType::f32, kBoundOfF32))
      found.push_back(name + " in f32: " + m);
  }
  return found;
}

void Table::check(std::string_view family) const {
  for (const std::string& mistake : mistakes(family)) BOOST_ERROR(mistake);
}

}  // namespace tapestry::oracle
