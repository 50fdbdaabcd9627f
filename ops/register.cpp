#include <tapestry/core/registry.hpp>
#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/attention.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/conv.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/indexing.hpp>
#include <tapestry/ops/loss.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/norm.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/pool.hpp>
#include <tapestry/ops/random.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/resize.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/ops/slice.hpp>
#include <tapestry/ops/softmax.hpp>

namespace tapestry {

void register_ops(Registry& registry) {
  register_pointwise(registry);
  register_functions(registry);
  register_compare(registry);
  register_activations(registry);
  register_reduce(registry);
  register_shape(registry);
  register_slice(registry);
  register_indexing(registry);
  register_matmul(registry);
  register_conv(registry);
  register_pool(registry);
  register_resize(registry);
  register_random(registry);
  register_softmax(registry);
  register_norm(registry);
  register_attention(registry);
  register_loss(registry);
}

}  // namespace tapestry
