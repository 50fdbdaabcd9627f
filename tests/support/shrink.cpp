#include "differential.hpp"

#include <algorithm>

namespace tapestry::test {
namespace {

/// Steps that no output depends on go; the others move up.
void remove_unused(Recipe& recipe) {
  std::vector<bool> used(recipe.steps.size());
  for (const std::size_t i : recipe.outputs) used[i] = true;
  for (std::size_t i = used.size(); i-- > 0;) {
    for (const std::size_t operand : recipe.steps[i].from) used[operand] = used[operand] || used[i];
  }
  std::vector<std::size_t> image(used.size());
  std::vector<Step> kept;
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) continue;
    image[i] = kept.size();
    kept.push_back(recipe.steps[i]);
    for (std::size_t& operand : kept.back().from) operand = image[operand];
  }
  recipe.steps = std::move(kept);
  for (std::size_t& output : recipe.outputs) output = image[output];
}

class Shrinker {
 public:
  Shrinker(Recipe recipe, Failure failure)
      : best_(std::move(recipe)), failure_(std::move(failure)), size_(*size_of(best_)) {}

  Shrunk run() {
    // Each round tries everything; the tries are bounded for the sake of graphs that are slow.
    for (bool smaller = true; smaller && tries_ < 3000;) {
      smaller = fewer_switched_off();
      smaller = fewer_results() || smaller;
      smaller = fewer_steps() || smaller;
      smaller = simpler_steps() || smaller;
      smaller = smaller_extents() || smaller;
    }
    return {std::move(best_), std::move(failure_)};
  }

 private:
  /// Nodes first, then elements; nothing if the recipe can't be recorded.
  std::optional<std::int64_t> size_of(const Recipe& recipe) const {
    try {
      const Recorded recorded = record(recipe, failure_.setting.base);
      std::int64_t size = 100 * std::int64_t(recipe.steps.size() + recorded.graph.outputs.size());
      for (const ValueId id : ancestors(recorded.graph, recorded.graph.roots())) {
        size += 1000 + std::min<std::int64_t>(recorded.graph.type(id).shape.elements(), 900);
      }
      return size;
    } catch (const Error&) {
      return {};
    }
  }

  bool accept(Recipe candidate) {
    ++tries_;
    remove_unused(candidate);
    const auto size = size_of(candidate);
    if (!size || *size >= size_) return false;
    auto failure = difference(candidate, failure_.setting);
    if (!failure || failure->threw != failure_.threw) return false;
    best_ = std::move(candidate);
    failure_ = std::move(*failure);
    size_ = *size;
    return true;
  }

  bool fewer_switched_off() {
    bool any = false;
    const auto still_fails = [&](const Setting& setting) {
      const auto failure = difference(best_, setting);
      if (!failure || failure->threw != failure_.threw) return false;
      failure_ = *failure;
      return true;
    };
    if (failure_.setting.winograd) {
      Setting setting = failure_.setting;
      setting.winograd = false;
      any = still_fails(setting);
    }
    for (std::size_t i = failure_.setting.without.size(); i-- > 0;) {
      Setting setting = failure_.setting;
      setting.without.erase(setting.without.begin() + std::ptrdiff_t(i));
      any = still_fails(setting) || any;
    }
    return any;
  }

  bool fewer_results() {
    bool any = false;
    Recipe candidate = best_;
    candidate.optimizer = {};
    any = accept(candidate) || any;
    candidate = best_;
    candidate.gradients = false;
    any = accept(candidate) || any;
    for (std::size_t i = best_.outputs.size(); i-- > 0;) {
      if (best_.outputs.size() == 1 || i >= best_.outputs.size()) continue;
      candidate = best_;
      candidate.outputs.erase(candidate.outputs.begin() + std::ptrdiff_t(i));
      any = accept(candidate) || any;
    }
    // An earlier value in the place of an output.
    for (std::size_t o = 0; o < best_.outputs.size(); ++o) {
      for (std::size_t i = 0; i < best_.steps.size(); ++i) {
        candidate = best_;
        candidate.outputs[o] = i;
        any = accept(candidate) || any;
        if (o >= best_.outputs.size()) break;
      }
    }
    return any;
  }

  bool fewer_steps() {
    bool any = false;
    for (std::size_t i = best_.steps.size(); i-- > 0;) {
      if (i >= best_.steps.size()) continue;
      any = as_input(i) || any;
      for (std::size_t k = 0; i < best_.steps.size() && k < best_.steps[i].from.size(); ++k) {
        any = bypass(i, best_.steps[i].from[k]) || any;
      }
    }
    return any;
  }

  /// A step becomes an input of its type.
  bool as_input(std::size_t i) {
    const auto shape = shape_of(i);
    if (!shape) return false;
    for (const std::string_view kind : {"input", "bf16 input", "bool input"}) {
      if (best_.steps[i].kind == kind) return false;
      Recipe candidate = best_;
      candidate.steps[i] = {kind, {}, best_.steps[i].seed, *shape};
      if (accept(candidate)) return true;
    }
    return false;
  }

  std::optional<Shape> shape_of(std::size_t i) const {
    Recipe probe = best_;
    probe.outputs = {i};
    probe.gradients = false;
    try {
      const Recorded recorded = record(probe, failure_.setting.base);
      return recorded.graph.type(recorded.graph.outputs.front()).shape;
    } catch (const Error&) {
      return {};
    }
  }

  /// What used a step uses one of its operands instead.
  bool bypass(std::size_t step, std::size_t operand) {
    Recipe candidate = best_;
    for (Step& user : candidate.steps) std::ranges::replace(user.from, step, operand);
    std::ranges::replace(candidate.outputs, step, operand);
    return accept(candidate);
  }

  bool simpler_steps() {
    bool any = false;
    for (std::size_t i = best_.steps.size(); i-- > 0;) {
      if (i >= best_.steps.size()) continue;
      const std::size_t arity = best_.steps[i].from.size();
      static const std::vector<std::string_view> kSimple[] = {
          {"input"}, {"neg", "exp", "max", "mean", "sum"}, {"add", "mul"}, {}};
      for (const std::string_view kind : kSimple[std::min<std::size_t>(arity, 3)]) {
        if (i >= best_.steps.size() || best_.steps[i].kind == kind) break;
        Recipe candidate = best_;
        candidate.steps[i].kind = kind;
        any = accept(candidate) || any;
      }
    }
    return any;
  }

  bool smaller_extents() {
    bool any = false;
    std::vector<std::int64_t> extents;
    for (const Step& step : best_.steps) {
      for (const std::int64_t extent : step.shape) extents.push_back(extent);
    }
    std::ranges::sort(extents);
    extents.erase(std::unique(extents.begin(), extents.end()), extents.end());
    for (const std::int64_t extent : extents) {
      for (const std::int64_t less :
           {std::int64_t{1}, std::int64_t{2}, std::int64_t{3}, extent / 2, extent - 1}) {
        if (less <= 0 || less >= extent) continue;
        Recipe candidate = best_;
        for (Step& step : candidate.steps) {
          for (int i = 0; i < step.shape.rank(); ++i) {
            if (step.shape[i] == extent) step.shape[i] = less;
          }
        }
        if (!accept(candidate)) continue;
        any = true;
        break;
      }
    }
    // One axis less everywhere.
    Recipe candidate = best_;
    for (Step& step : candidate.steps) {
      if (step.shape.rank() > 0) step.shape = Shape(std::span(step.shape.begin() + 1, step.shape.size() - 1));
    }
    return accept(candidate) || any;
  }

  Recipe best_;
  Failure failure_;
  std::int64_t size_;
  int tries_ = 0;
};

}  // namespace

Shrunk shrink(Recipe recipe, Failure failure) {
  return Shrinker(std::move(recipe), std::move(failure)).run();
}

}  // namespace tapestry::test
