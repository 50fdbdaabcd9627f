#include <tapestry/core/registry.hpp>

namespace tapestry {

void Registry::add(const Op& op) {
  require(op.type, "op ", op.name, " has no type rule");
  require(op.composed() || op.loop || op.kernel, "op ", op.name, " has neither a definition nor a kernel");
  require(op.differentiable() || !op.no_gradient.empty(), "op ", op.name,
          " has no derivative and doesn't say why");
  require(by_name_.emplace(op.name, &op).second, "there is already an op named ", op.name);
  ops_.push_back(&op);
}

const Op* Registry::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second;
}

const Op& Registry::at(std::string_view name) const {
  const Op* op = find(name);
  require(op, "there is no op named ", name);
  return *op;
}

Registry& registry() {
  static Registry instance = [] {
    Registry fresh;
    register_ops(fresh);
    return fresh;
  }();
  return instance;
}

}  // namespace tapestry
