// For the files that call oneDNN, in builds that have it: what differs between its versions 2 and 3, and how
// it is kept to the calling thread.
#pragma once

#include <tapestry/core/dtype.hpp>

#include <dnnl.hpp>
#include <omp.h>

namespace tapestry::kernels::onednn {

/// Its primitives run, and are made, for as many threads as OpenMP would use: one, until the end of this.
class OneThread {
 public:
  OneThread() { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_ = omp_get_max_threads();
};

// Never destroyed: static objects elsewhere may compute while the process ends.
inline const dnnl::engine& engine() {
  static const dnnl::engine& engine = *new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return engine;
}
inline const dnnl::stream& stream() {
  thread_local const dnnl::stream stream(engine());
  return stream;
}

inline dnnl::memory::data_type type(DType dtype) {
  return dtype == DType::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

/// Memory of ours, as it sees it.
inline dnnl::memory view(const dnnl::memory::desc& desc, const void* data) {
  return {desc, engine(), const_cast<void*>(data)};
}

/// What a primitive works in comes from us.
inline dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

/// Images, filters and results, and how the window moves. Dilation counts from 0.
struct ConvolutionArgs {
  dnnl::memory::desc x, w, y;
  dnnl::memory::dims stride, dilation, lo, hi;
};

// Throws dnnl::error where it has no kernel.
inline auto forward(const ConvolutionArgs& c) {
  using Forward = dnnl::convolution_forward;
  constexpr auto kind = dnnl::prop_kind::forward_training;
  constexpr auto algorithm = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  return Forward::primitive_desc(engine(), kind, algorithm, c.x, c.w, c.y, c.stride, c.dilation, c.lo, c.hi,
                                 attributes());
#else
  return Forward::primitive_desc(
      Forward::desc(kind, algorithm, c.x, c.w, c.y, c.stride, c.dilation, c.lo, c.hi), attributes(),
      engine());
#endif
}

/// `Backward` is convolution_backward_data or convolution_backward_weights; `c` has the gradients' types.
template <class Backward>
auto backward(const ConvolutionArgs& c, const dnnl::convolution_forward::primitive_desc& forward) {
  constexpr auto algorithm = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  return typename Backward::primitive_desc(engine(), algorithm, c.x, c.w, c.y, c.stride, c.dilation, c.lo,
                                           c.hi, forward, attributes());
#else
  return typename Backward::primitive_desc(
      typename Backward::desc(algorithm, c.x, c.w, c.y, c.stride, c.dilation, c.lo, c.hi), attributes(),
      engine(), forward);
#endif
}

/// The product of two matrices, of any strides. Throws dnnl::error where it has no kernel.
inline auto product(const dnnl::memory::desc& a, const dnnl::memory::desc& b, const dnnl::memory::desc& c) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl::matmul::primitive_desc(engine(), a, b, c, attributes());
#else
  return dnnl::matmul::primitive_desc(dnnl::matmul::desc(a, b, c), attributes(), engine());
#endif
}

}  // namespace tapestry::kernels::onednn
