#include <tapestry/ops/kernels/conv_parts.hpp>
#include <tapestry/ops/kernels/onednn.hpp>

#ifndef TAPESTRY_HAS_ONEDNN

namespace tapestry::kernels {

void convolve_by_onednn(const Convolution&, const void*, const void*, void*) {}
bool onednn_convolves(const Convolution&) { return false; }
ConvMemory onednn_memory(const Convolution&) { return {}; }

}  // namespace tapestry::kernels

#else

#include <tapestry/ops/kernels/onednn_calls.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

namespace tapestry::kernels {
namespace {

using dnnl::memory;

memory::desc filters_as_given(const Convolution& c) {
  const ConvShape& s = c.shape;
  const std::int64_t tap = s.cin_each() * s.cout;  // elements from one to the next
  const memory::data_type type = onednn::type(c.part == ConvPart::filters ? c.to : c.from);
  if (s.groups == 1) return {{s.cout, s.cin, s.kh, s.kw}, type, memory::dims{1, s.cout, s.kw * tap, tap}};
  return {{s.groups, s.cout_each(), s.cin_each(), s.kh, s.kw},
          type,
          memory::dims{s.cout_each(), 1, s.cout, s.kw * tap, tap}};
}

/// Extents outermost first with channels before pixels, however they are stored. How filters are stored is
/// left to it, and their gradients are f32 while they are added up.
onednn::ConvolutionArgs arguments(const Convolution& c, std::int64_t n) {
  const ConvShape& s = c.shape;
  const memory::data_type from = onednn::type(c.from), to = onednn::type(c.to);
  // Where the last window ends, which may be inside of the image.
  const std::int64_t end_h = (s.oh - 1) * s.stride_h + (s.kh - 1) * s.dilation_h + 1 - s.lo_h;
  const std::int64_t end_w = (s.ow - 1) * s.stride_w + (s.kw - 1) * s.dilation_w + 1 - s.lo_w;
  return {.x = {{n, s.cin, s.h, s.w}, c.part == ConvPart::images ? to : from, memory::format_tag::nhwc},
          .w = {filters_as_given(c).dims(), c.part == ConvPart::filters ? memory::data_type::f32 : from,
                memory::format_tag::any},
          .y = {{n, s.cout, s.oh, s.ow}, c.part == ConvPart::results ? to : from, memory::format_tag::nhwc},
          .stride = {s.stride_h, s.stride_w},
          .dilation = {s.dilation_h - 1, s.dilation_w - 1},
          .lo = {s.lo_h, s.lo_w},
          .hi = {end_h - s.h, end_w - s.w}};
}

/// The same for a slice of `n` images, with the filters as it wants them.
struct Kernel {
  dnnl::primitive primitive;
  memory::desc x, w, y, scratch;

  Kernel(const Convolution& c, onednn::ConvolutionArgs a) : x(a.x), y(a.y) {
    if (c.part == ConvPart::results) {
      const auto made = onednn::forward(a);
      primitive = dnnl::convolution_forward(made);
      w = made.weights_desc();
      scratch = made.scratchpad_desc();
      return;
    }
    const onednn::ConvolutionArgs plain =
        arguments({ConvPart::results, c.shape, c.from, c.from}, a.x.dims()[0]);
    const auto forward = onednn::forward(plain);
    if (c.part == ConvPart::images) {
      const auto made = onednn::backward<dnnl::convolution_backward_data>(a, forward);
      primitive = dnnl::convolution_backward_data(made);
      w = made.weights_desc();
      scratch = made.scratchpad_desc();
    } else {
      const auto made = onednn::backward<dnnl::convolution_backward_weights>(a, forward);
      primitive = dnnl::convolution_backward_weights(made);
      w = made.diff_weights_desc();
      scratch = made.scratchpad_desc();
    }
  }

  void run(ConvPart part, const void* images, const void* filters, const void* results, void* work) const {
    const onednn::OneThread one;
    const int of_x = part == ConvPart::images ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC;
    const int of_w = part == ConvPart::filters ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS;
    const int of_y = part == ConvPart::results ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST;
    primitive.execute(onednn::stream(), {{of_x, onednn::view(x, images)},
                                         {of_w, onednn::view(w, filters)},
                                         {of_y, onednn::view(y, results)},
                                         {DNNL_ARG_SCRATCHPAD, onednn::view(scratch, work)}});
  }
};

/// Cut into slices of the batch: all as large as the first, but the last may be smaller.
struct Plan {
  Chunks slices;
  Kernel first, last;
  memory::desc as_given;
  std::optional<dnnl::reorder> reorder;  // of the filters, where they aren't wanted as they are

  static Chunks slices_of(const Convolution& c) {
    constexpr std::int64_t kSlices = 32;
    return c.part == ConvPart::filters ? filter_slices(c.shape.n)
                                       : Chunks(c.shape.n, (c.shape.n + kSlices - 1) / kSlices);
  }
  static onednn::ConvolutionArgs alike(onednn::ConvolutionArgs a, const memory::desc& w) {
    a.w = w;
    return a;
  }

  explicit Plan(const Convolution& c)
      : slices(slices_of(c)),
        first(c, arguments(c, slices.end(0))),
        last(c, alike(arguments(c, c.shape.n - slices.begin(slices.count() - 1)), first.w)),
        as_given(filters_as_given(c)) {
    if (as_given == first.w) return;
    if (c.part == ConvPart::filters) {
      reorder = dnnl::reorder({onednn::engine(), first.w, onednn::engine(), as_given});
    } else {
      reorder = dnnl::reorder({onednn::engine(), as_given, onednn::engine(), first.w});
    }
  }

  ConvMemory memory_of(ConvPart part) const {
    const std::size_t chunk = std::max(first.scratch.get_size(), last.scratch.get_size());
    const std::size_t filters = reorder ? Scratch::aligned(first.w.get_size()) : 0;
    if (part != ConvPart::filters) return {chunk, filters};
    // Those of the first slice may be computed in place.
    return {chunk, filters + Scratch::aligned(first.w.get_size()) * std::size_t(slices.count() - 1)};
  }

  void run(const Convolution& c, const void* a, const void* b, void* to) const {
    const ConvMemory memory = memory_of(c.part);
    const Scratch::Piece whole(whole_scratch(), memory.whole);
    const std::size_t bytes = Scratch::aligned(first.w.get_size());
    const bool sums = c.part == ConvPart::filters;
    const void* filters = sums ? to : b;
    if (reorder) filters = whole.as<std::byte>();
    std::byte* others = whole.as<std::byte>() + (reorder ? bytes : 0);
    if (reorder && !sums) execute(as_given, b, first.w, whole.as<std::byte>());

    const ConvShape& s = c.shape;
    const auto* images = static_cast<const std::byte*>(c.part == ConvPart::images ? to : a);
    const auto* results = static_cast<const std::byte*>(c.part == ConvPart::results  ? to
                                                        : c.part == ConvPart::images ? a
                                                                                     : b);
    const std::size_t image = first.x.get_size() / std::size_t(slices.end(0));
    const std::size_t result = first.y.get_size() / std::size_t(slices.end(0));
    parallel_for(slices.count(), [&](std::int64_t slice) {
      const Scratch::Piece work(chunk_scratch(), memory.chunk);
      const auto begin = std::size_t(slices.begin(slice));
      const Kernel& kernel = slices.end(slice) == s.n ? last : first;
      const void* part = sums && slice > 0 ? others + std::size_t(slice - 1) * bytes : filters;
      kernel.run(c.part, images + begin * image, part, results + begin * result, work.as<std::byte>());
    });
    if (!sums) return;
    auto* sum = static_cast<float*>(const_cast<void*>(filters));
    add_up(sum, reinterpret_cast<float*>(others), std::int64_t(bytes / sizeof(float)), slices.count(),
           std::int64_t(first.w.get_size() / sizeof(float)));
    if (reorder) execute(first.w, sum, as_given, to);
  }

 private:
  void execute(const memory::desc& from_desc, const void* from, const memory::desc& to_desc, void* to) const {
    const onednn::OneThread one;
    reorder->execute(onednn::stream(), {{DNNL_ARG_FROM, onednn::view(from_desc, from)},
                                        {DNNL_ARG_TO, onednn::view(to_desc, to)}});
  }
};

/// Along an axis of `image` pixels: does each of `count` windows have one of `others` taps within the image,
/// or, as a pixel is the sum of what both contribute, each of so many taps one of the windows? `step` is from
/// one of the first to the next, `other_step` from one of the others, `lo` how far outside the first pixel
/// is.
bool all_meet(std::int64_t count, std::int64_t step, std::int64_t others, std::int64_t other_step,
              std::int64_t lo, std::int64_t image) {
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t other = 0;
    const auto is_within = [&](std::int64_t pixel) { return pixel >= 0 && pixel < image; };
    while (other < others && !is_within(i * step + other * other_step - lo)) ++other;
    if (other == others) return false;
  }
  return true;
}

/// What oneDNN 2.6 gets wrong, and 3 may. It has kernels of its own for windows of one pixel that leave no
/// pixels over; with strides they gather them first.
/// - The filters' gradient counts where it gathers to in pixels of 16 channels, and has memory for as many as
///   they have. With fewer, and many pixels, it writes past its scratchpad (its issue 6035).
/// - The images' gradient of bf16 is wrong for an odd number of filters where it takes 30 pixels at a time,
///   as of 30, 59, 60, 89, 90 or 900.
/// In bf16 it also ends the process at a window that lies in the padding with all its taps, doesn't write the
/// gradients, 0, of taps that lie in the padding for all windows, and for the filters of one channel reads
/// behind a row that is narrower than the stride: 0 times what lies there, which is NaN if that is.
bool is_wrong_in_onednn(const Convolution& c) {
  const ConvShape& s = c.shape;
  const bool single =
      s.groups == 1 && s.kh == 1 && s.kw == 1 && s.oh * s.stride_h == s.h && s.ow * s.stride_w == s.w;
  const bool gathers = single && (s.stride_h > 1 || s.stride_w > 1);
  if (c.part == ConvPart::filters && gathers && s.cin < 16) return true;
  if (c.from != DType::bf16) return false;
  if (c.part == ConvPart::images && single && s.cout % 2 != 0) return true;
  if (c.part == ConvPart::filters && s.cin == 1 && s.stride_w > s.w) return true;
  const bool windows = all_meet(s.oh, s.stride_h, s.kh, s.dilation_h, s.lo_h, s.h) &&
                       all_meet(s.ow, s.stride_w, s.kw, s.dilation_w, s.lo_w, s.w);
  const bool taps = all_meet(s.kh, s.dilation_h, s.oh, s.stride_h, s.lo_h, s.h) &&
                    all_meet(s.kw, s.dilation_w, s.ow, s.stride_w, s.lo_w, s.w);
  return !windows || (c.part == ConvPart::filters && !taps);
}

/// All that were asked for, kept for the process; null where it has no kernel.
const Plan* plan_of(const Convolution& c) {
  if (!onednn_in_use() || c.from == DType::f64 || is_wrong_in_onednn(c)) return nullptr;
  static std::mutex& mutex = *new std::mutex;
  static auto& plans = *new std::map<Convolution, std::unique_ptr<const Plan> >;
  const std::lock_guard lock(mutex);
  if (const auto found = plans.find(c); found != plans.end()) return found->second.get();
  const onednn::OneThread one;
  std::unique_ptr<const Plan> plan;
  try {
    plan = std::make_unique<const Plan>(c);
  } catch (const dnnl::error&) {  // it has no kernel for this
  }
  return (plans[c] = std::move(plan)).get();
}

}  // namespace

bool onednn_convolves(const Convolution& c) { return plan_of(c) != nullptr; }

ConvMemory onednn_memory(const Convolution& c) { return plan_of(c)->memory_of(c.part); }

void convolve_by_onednn(const Convolution& c, const void* a, const void* b, void* to) {
  plan_of(c)->run(c, a, b, to);
}

}  // namespace tapestry::kernels

#endif
