#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/random.hpp>
#include <tapestry/core/run/program.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace tapestry {
namespace {

using MultiFunction = std::function<std::vector<Var>(std::span<const Var>)>;
using Values = std::vector<double>;

Values values_of(std::span<const Tensor> tensors) {
  Values all;
  for (const Tensor& tensor : tensors) {
    const auto v = tensor.values<double>();
    all.insert(all.end(), v.begin(), v.end());
  }
  return all;
}

double dot(std::span<const double> a, std::span<const double> b) {
  long double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<long double>(a[i]) * b[i];
  return double(sum);
}

/// Signed and away from 0, so that no term can hide.
double signed_random(Random& random) {
  const double magnitude = 0.5 + random.uniform();
  return random.uniform() < 0.5 ? -magnitude : magnitude;
}

void compare(GradientCheck& worst, double derived, double numeric, double largest, const std::string& where) {
  const double scale = std::max({std::abs(derived) + std::abs(numeric), 1e-8, 1e-4 * largest});
  double error = std::abs(derived - numeric) / scale;
  if (std::isnan(error)) error = std::numeric_limits<double>::infinity();
  ++worst.comparisons;
  if (worst.comparisons == 1 || error > worst.error) {
    worst.error = error;
    worst.derived = derived;
    worst.numeric = numeric;
    worst.where = where;
  }
}

/// Checks one function: its outputs and the products of cotangents with its Jacobian, both compiled.
class Checker {
 public:
  Checker(const MultiFunction& function, std::span<const Tensor> inputs, const GradientCheckOptions& options,
          int order)
      : inputs_(inputs.begin(), inputs.end()),
        options_(options),
        order_(order),
        random_(options.seed, std::uint64_t(order)) {
    Tape forward;
    std::vector<Var> x = declare(forward);
    std::vector<Var> outputs = function(x);
    values_ = std::make_unique<Program>(compile(forward, outputs));

    Tape reverse;
    x = declare(reverse);
    outputs = function(x);
    std::vector<Var> wrt, products;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (!is_floating(inputs_[i].dtype())) continue;
      require(inputs_[i].dtype() == DType::f64, "check_gradients: input ", i, " is ", inputs_[i].type(),
              ", not f64");
      wrt.push_back(x[i]);
      moved_.push_back(i);
    }
    for (const Var& y : outputs) {
      require(y.dtype() == DType::f64, "check_gradients: the function gives ", y.type(), ", not f64");
      cotangents_.emplace_back(y.type());
      const Var c = reverse.input("cotangent", y.type());
      const std::vector<Var> g = gradients(y, wrt, c);
      products.insert(products.end(), g.begin(), g.end());
    }
    products_ = std::make_unique<Program>(compile(reverse, products));
  }

  GradientCheck run() {
    std::int64_t elements = 0;
    for (const std::size_t i : moved_) elements += inputs_[i].elements();
    if (elements == 0) return worst_;
    if (elements <= options_.elementwise_limit) {
      check_elements();
    } else {
      check_directions();
    }
    return worst_;
  }

 private:
  std::vector<Var> declare(Tape& tape) const {
    std::vector<Var> x;
    for (std::size_t i = 0; i < inputs_.size(); ++i)
      x.push_back(tape.input(text("input ", i), inputs_[i].type()));
    return x;
  }

  Values outputs() {
    values_->run(inputs_);
    return values_of(values_->outputs());
  }

  /// The derivative of all outputs when input elements move by `direction`, one entry for each element of
  /// `moved_`.
  Values derivative(const std::function<double(std::size_t input, std::int64_t element)>& direction) {
    const auto difference = [&](double h) {
      const Values up = at(direction, h), down = at(direction, -h);
      Values d(up.size());
      for (std::size_t i = 0; i < d.size(); ++i) d[i] = (up[i] - down[i]) / (2 * h);
      return d;
    };
    const Values coarse = difference(options_.step), fine = difference(options_.step / 2);
    Values d(coarse.size());
    for (std::size_t i = 0; i < d.size(); ++i) d[i] = (4 * fine[i] - coarse[i]) / 3;
    return d;
  }

  Values at(const std::function<double(std::size_t, std::int64_t)>& direction, double h) {
    const std::vector<Tensor> saved = inputs_;
    for (const std::size_t i : moved_) {
      const auto v = inputs_[i].mutable_values<double>();
      for (std::size_t e = 0; e < v.size(); ++e) v[e] += h * direction(i, std::int64_t(e));
    }
    Values result = outputs();
    inputs_ = saved;
    return result;
  }

  /// Cotangents times Jacobian, an entry for each moved element.
  Values product(const Values& cotangent) {
    std::size_t at = 0;
    for (Tensor& c : cotangents_) {
      for (double& v : c.mutable_values<double>()) v = cotangent[at++];
    }
    std::vector<Tensor> arguments = inputs_;
    arguments.insert(arguments.end(), cotangents_.begin(), cotangents_.end());
    products_->run(arguments);
    // Summed over the outputs.
    Values total;
    for (std::size_t y = 0; y < cotangents_.size(); ++y) {
      const Values part =
          values_of(std::span(products_->outputs()).subspan(y * moved_.size(), moved_.size()));
      total.resize(part.size());
      for (std::size_t i = 0; i < part.size(); ++i) total[i] += part[i];
    }
    return total;
  }

  Values random_cotangent(std::size_t size) {
    Values c(size);
    for (double& v : c) v = signed_random(random_);
    return c;
  }

  void check_elements() {
    std::vector<Values> columns;  // by moved element: the derivative of each output
    std::vector<std::string> names;
    for (const std::size_t input : moved_) {
      for (std::int64_t element = 0; element < inputs_[input].elements(); ++element) {
        const double scale = std::max(1.0, std::abs(inputs_[input].at(element)));
        columns.push_back(derivative(
            [&](std::size_t i, std::int64_t e) { return i == input && e == element ? scale : 0.0; }));
        for (double& d : columns.back()) d /= scale;
        names.push_back(text("input ", input, ", element ", element, ", order ", order_));
      }
    }
    const std::size_t rows = columns.front().size();
    std::vector<Values> cotangents;
    for (int p = 0; p < options_.projections; ++p) cotangents.push_back(random_cotangent(rows));
    if (std::int64_t(rows) <= options_.rows_limit) {
      for (std::size_t r = 0; r < rows; ++r) {
        cotangents.emplace_back(rows, 0.0);
        cotangents.back()[r] = 1;
      }
    }
    double largest = 0;
    for (const Values& column : columns) {
      for (const double v : column) largest = std::max(largest, std::abs(v));
    }
    for (const Values& c : cotangents) {
      const Values derived = product(c);
      Values numeric;
      for (const Values& column : columns) numeric.push_back(dot(column, c));
      for (std::size_t i = 0; i < derived.size(); ++i)
        compare(worst_, derived[i], numeric[i], largest, names[i]);
    }
  }

  void check_directions() {
    for (int p = 0; p < options_.projections; ++p) {
      for (const std::size_t input : moved_) {
        Values direction(std::size_t(inputs_[input].elements()));
        for (double& v : direction) v = signed_random(random_) / std::sqrt(double(direction.size()));
        const Values d = derivative(
            [&](std::size_t i, std::int64_t e) { return i == input ? direction[std::size_t(e)] : 0.0; });
        const Values c = random_cotangent(d.size());
        const Values derived = product(c);
        std::size_t first = 0;
        for (const std::size_t i : moved_) {
          if (i == input) break;
          first += std::size_t(inputs_[i].elements());
        }
        const double along = dot(std::span(derived).subspan(first, direction.size()), direction);
        compare(worst_, along, dot(d, c), 0,
                text("input ", input, ", along direction ", p, ", order ", order_));
      }
    }
  }

  std::vector<Tensor> inputs_;
  GradientCheckOptions options_;
  int order_;
  Random random_;
  std::vector<std::size_t> moved_;  // the floating inputs
  std::vector<Tensor> cotangents_;
  std::unique_ptr<Program> values_, products_;
  GradientCheck worst_;
};

void merge(GradientCheck& into, const GradientCheck& other) {
  const std::int64_t comparisons = into.comparisons + other.comparisons;
  if (other.comparisons && (!into.comparisons || other.error > into.error)) into = other;
  into.comparisons = comparisons;
}

}  // namespace

std::string GradientCheck::describe() const {
  if (comparisons == 0) return "nothing to compare: the inputs are empty";
  return text("relative error ", error, " at ", where, ": derived ", derived, ", numeric ", numeric);
}

GradientCheck check_gradients(const CheckedFunction& function, std::span<const Tensor> inputs,
                              const GradientCheckOptions& options) {
  const MultiFunction first = [&](std::span<const Var> x) { return std::vector<Var>{function(x)}; };
  GradientCheck result = Checker(first, inputs, options, 1).run();
  if (options.order < 2) return result;

  // The gradients as a function of the inputs and of the cotangent, which then is an input like the others.
  Tape probe;
  std::vector<Var> declared;
  for (const Tensor& input : inputs) declared.push_back(probe.input("x", input.type()));
  Tensor cotangent(function(declared).type());
  Random random(options.seed, 3);
  for (double& v : cotangent.mutable_values<double>()) v = signed_random(random);
  std::vector<Tensor> all(inputs.begin(), inputs.end());
  all.push_back(cotangent);
  const MultiFunction second = [&](std::span<const Var> x) {
    std::vector<Var> wrt;
    for (const Var& v : x.first(x.size() - 1)) {
      if (is_floating(v.dtype())) wrt.push_back(v);
    }
    return gradients(function(x.first(x.size() - 1)), wrt, x.back());
  };
  merge(result, Checker(second, all, options, 2).run());
  return result;
}

std::vector<GradientCheck> check_gradients(const std::function<Var(Tape&)>& loss,
                                           std::span<const State> parameters,
                                           const GradientCheckOptions& options) {
  Tape tape;
  require(options.order == 1, "check_gradients: with respect to State only first order is checked");
  const Var y = loss(tape);
  require(y.dtype() == DType::f64 && y.shape().elements() == 1, "check_gradients: the loss is ", y.type(),
          ", not one f64");
  std::vector<Var> outputs = {y};
  const std::vector<Var> g = gradients(y, parameters);
  outputs.insert(outputs.end(), g.begin(), g.end());
  Graph derived_graph = tape.graph();
  derived_graph.updates.clear();
  Graph loss_graph = derived_graph;
  for (const Var& v : outputs) derived_graph.outputs.push_back(v.id());
  loss_graph.outputs = {y.id()};
  Program derived(derived_graph, {}), value(loss_graph, {});
  derived.run(std::span<const ConstView>());

  Random random(options.seed, 4);
  std::vector<GradientCheck> results;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const State& parameter = parameters[p];
    const Tensor original = parameter.value();
    // Whatever happens the parameter gets its value back.
    const std::shared_ptr<void> put_back(nullptr, [&](void*) { parameter.set(original); });
    const Tensor& gradient = derived.output(p + 1);
    const auto loss_at = [&](std::span<const double> direction, double h) {
      Tensor moved = original;
      const auto v = moved.mutable_values<double>();
      for (std::size_t i = 0; i < v.size(); ++i) v[i] += h * direction[i];
      parameter.set(moved);
      value.run(std::span<const ConstView>());
      return value.output().item();
    };
    const auto slope = [&](std::span<const double> direction) {
      const double h = options.step;
      const double coarse = (loss_at(direction, h) - loss_at(direction, -h)) / (2 * h);
      const double fine = (loss_at(direction, h / 2) - loss_at(direction, -h / 2)) / h;
      return (4 * fine - coarse) / 3;
    };
    GradientCheck check;
    const auto size = std::size_t(original.elements());
    double largest = 0;
    for (std::size_t i = 0; i < size; ++i)
      largest = std::max(largest, std::abs(gradient.at(std::int64_t(i))));
    // Single elements, all or a sample, so that the worst one can be named; then everything along directions.
    const std::size_t sampled = std::min(size, std::size_t(options.elementwise_limit));
    Values direction(size, 0.0);
    for (std::size_t k = 0; k < sampled; ++k) {
      const std::size_t i = sampled == size ? k : std::size_t(random.below(size));
      direction[i] = 1;
      compare(check, gradient.at(std::int64_t(i)), slope(direction), largest,
              text(parameter.name(), ", element ", i));
      direction[i] = 0;
    }
    for (int k = 0; sampled < size && k < options.projections; ++k) {
      for (double& d : direction) d = signed_random(random) / std::sqrt(double(size));
      compare(check, dot(gradient.values<double>(), direction), slope(direction), largest,
              text(parameter.name(), ", along direction ", k));
    }
    results.push_back(check);
  }
  return results;
}

}  // namespace tapestry
