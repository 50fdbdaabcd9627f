#include <tapestry/ops/kernels/onednn.hpp>
#include <tapestry/ops/kernels/onednn_matmul.hpp>

#ifndef TAPESTRY_HAS_ONEDNN

namespace tapestry::kernels {

std::optional<std::size_t> onednn_tile_scratch(const GemmTile&, DType) { return std::nullopt; }
bool multiply_by_onednn(const GemmTile&, DType, const bf16*, const bf16*, void*, std::byte*) { return false; }

}  // namespace tapestry::kernels

#else

#include <tapestry/ops/kernels/onednn_calls.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <tuple>

namespace tapestry::kernels {
namespace {

using dnnl::memory;

memory::desc matrix(std::int64_t rows, std::int64_t columns, bool transposed, std::int64_t ld, DType dtype) {
  return {{rows, columns}, onednn::type(dtype), transposed ? memory::dims{1, ld} : memory::dims{ld, 1}};
}

struct Product {
  memory::desc a, b, c, scratch;
  dnnl::matmul primitive;

  Product(const GemmTile& t, DType result)
      : a(matrix(t.m, t.k, t.transpose_a, t.lda, DType::bf16)),
        b(matrix(t.k, t.n, t.transpose_b, t.ldb, DType::bf16)),
        c(matrix(t.m, t.n, false, t.ldc, result)) {
    const dnnl::matmul::primitive_desc made = onednn::product(a, b, c);
    scratch = made.scratchpad_desc();
    primitive = dnnl::matmul(made);
  }
};

/// All that were asked for, kept for the process; null where it has no kernel.
const Product* product_of(const GemmTile& t, DType result) {
  if (!onednn_in_use()) return nullptr;
  using Key = std::tuple<std::int64_t, std::int64_t, std::int64_t, bool, bool, std::int64_t, std::int64_t,
                         std::int64_t, DType>;
  static std::mutex& mutex = *new std::mutex;
  static auto& products = *new std::map<Key, std::unique_ptr<const Product> >;
  const Key key{t.m, t.n, t.k, t.transpose_a, t.transpose_b, t.lda, t.ldb, t.ldc, result};
  const std::lock_guard lock(mutex);
  if (const auto found = products.find(key); found != products.end()) return found->second.get();
  const onednn::OneThread one;
  std::unique_ptr<const Product> product;
  try {
    product = std::make_unique<const Product>(t, result);
  } catch (const dnnl::error&) {  // it has no kernel for this
  }
  return (products[key] = std::move(product)).get();
}

}  // namespace

std::optional<std::size_t> onednn_tile_scratch(const GemmTile& tile, DType result) {
  const Product* product = product_of(tile, result);
  return product ? std::optional(product->scratch.get_size()) : std::nullopt;
}

bool multiply_by_onednn(const GemmTile& tile, DType result, const bf16* a, const bf16* b, void* c,
                        std::byte* scratch) {
  const Product* product = product_of(tile, result);
  if (!product) return false;
  const onednn::OneThread one;
  product->primitive.execute(onednn::stream(),
                             {{DNNL_ARG_SRC, onednn::view(product->a, a)},
                              {DNNL_ARG_WEIGHTS, onednn::view(product->b, b)},
                              {DNNL_ARG_DST, onednn::view(product->c, c)},
                              {DNNL_ARG_SCRATCHPAD, onednn::view(product->scratch, scratch)}});
  return true;
}

}  // namespace tapestry::kernels

#endif
