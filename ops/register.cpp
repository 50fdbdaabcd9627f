#include <tapestry/core/registry.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>

namespace tapestry {

void register_ops(Registry& registry) {
  register_pointwise(registry);
  register_reduce(registry);
  register_shape(registry);
}

}  // namespace tapestry
