// For tests: convolutions by loops in f64, the operands to compare with, numbers of threads.
#pragma once

#include <tapestry/core/error.hpp>
#include <tapestry/core/random.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/core/tensor.hpp>
#include <tapestry/ops/kernels/conv_parts.hpp>
#include <tapestry/ops/kernels/onednn.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

namespace tapestry::test {

using kernels::Convolution;
using kernels::ConvPart;
using kernels::ConvShape;

inline constexpr ConvPart kParts[] = {ConvPart::results, ConvPart::images, ConvPart::filters};

/// With the extent of its results.
inline ConvShape with_results(ConvShape s, std::int64_t hi_h, std::int64_t hi_w) {
  s.oh = (s.h + s.lo_h + hi_h - (s.kh - 1) * s.dilation_h - 1) / s.stride_h + 1;
  s.ow = (s.w + s.lo_w + hi_w - (s.kw - 1) * s.dilation_w - 1) / s.stride_w + 1;
  return s;
}

/// Calls f(image, filter, result) for all that are multiplied.
template <class F>
void visit(const ConvShape& s, const F& f) {
  for (std::int64_t i = 0; i < s.n; ++i)
    for (std::int64_t y = 0; y < s.oh; ++y)
      for (std::int64_t x = 0; x < s.ow; ++x)
        for (std::int64_t ky = 0; ky < s.kh; ++ky)
          for (std::int64_t kx = 0; kx < s.kw; ++kx) {
            const std::int64_t row = y * s.stride_h - s.lo_h + ky * s.dilation_h;
            const std::int64_t column = x * s.stride_w - s.lo_w + kx * s.dilation_w;
            if (row < 0 || row >= s.h || column < 0 || column >= s.w) continue;
            for (std::int64_t ci = 0; ci < s.cin_each(); ++ci)
              for (std::int64_t co = 0; co < s.cout; ++co) {
                const std::int64_t channel = co / s.cout_each() * s.cin_each() + ci;
                f(std::size_t(((i * s.h + row) * s.w + column) * s.cin + channel),
                  std::size_t(((ky * s.kw + kx) * s.cin_each() + ci) * s.cout + co),
                  std::size_t(((i * s.oh + y) * s.ow + x) * s.cout + co));
              }
          }
}

struct Expected {
  std::vector<double> values, sizes;  // sizes: the sums of magnitudes, which errors are relative to
  std::vector<int> terms;
};

inline Expected expected(ConvPart part, const ConvShape& s, const Tensor& a, const Tensor& b) {
  const std::int64_t count = part == ConvPart::results  ? s.results()
                             : part == ConvPart::images ? s.images()
                                                        : s.filters();
  Expected e{std::vector<double>(std::size_t(count)), std::vector<double>(std::size_t(count)),
             std::vector<int>(std::size_t(count))};
  const auto x = a.to(DType::f64), y = b.to(DType::f64);
  const auto p = x.values<double>(), q = y.values<double>();
  visit(s, [&](std::size_t image, std::size_t filter, std::size_t result) {
    const std::size_t to = part == ConvPart::results ? result : part == ConvPart::images ? image : filter;
    const double product = part == ConvPart::results  ? p[image] * q[filter]
                           : part == ConvPart::images ? p[result] * q[filter]
                                                      : p[image] * q[result];
    e.values[to] += product;
    e.sizes[to] += std::abs(product);
    ++e.terms[to];
  });
  return e;
}

inline Tensor drawn(std::int64_t count, DType dtype, std::uint64_t seed) {
  Random random(seed);
  Tensor t(DType::f32, {count});
  for (float& v : t.mutable_values<float>()) v = float(2 * random.uniform() - 1);
  return t.to(dtype);
}

struct Operands {
  Tensor a, b, to;
};
inline Operands operands(const Convolution& c) {
  const ConvShape& s = c.shape;
  const std::int64_t a = c.part == ConvPart::images ? s.results() : s.images();
  const std::int64_t b = c.part == ConvPart::filters ? s.results() : s.filters();
  const std::int64_t to = c.part == ConvPart::results  ? s.results()
                          : c.part == ConvPart::images ? s.images()
                                                       : s.filters();
  Tensor garbage = Tensor::full<float>({to}, std::numeric_limits<float>::quiet_NaN()).to(c.to);
  return {drawn(a, c.from, 1), drawn(b, c.from, 2), garbage};
}

inline std::string name(const Convolution& c) {
  const ConvShape& s = c.shape;
  return text("part ", int(c.part), " of n ", s.n, ", ", s.h, "x", s.w, "x", s.cin, " by ", s.kh, "x", s.kw,
              "x", s.cout, ", stride ", s.stride_h, ", padding ", s.lo_h, ", groups ", s.groups, ", ",
              name_of(c.from), " to ", name_of(c.to), kernels::onednn_in_use() ? " by oneDNN" : "");
}

struct Threads {
  explicit Threads(int count) { set_thread_count(count); }
  ~Threads() { set_thread_count(before); }
  int before = thread_count();
};

/// The memory in which a convolution works on one thread, full of NaN: what is read of it before it is
/// written is seen, and what is written past it.
class PoisonedScratch {
 public:
  explicit PoisonedScratch(const Convolution& c) : asked_(kernels::reserve_for_convolution(c)) {
    for (kernels::Scratch* scratch : all()) {
      scratch->reserve(asked_ + kBeyond, 1);
      const kernels::Scratch::Piece piece(*scratch, asked_ + kBeyond);  // the next that is taken
      std::memset(piece.as<std::byte>(), 0xff, asked_ + kBeyond);
    }
  }
  bool was_kept_to() const {
    for (kernels::Scratch* scratch : all()) {
      const kernels::Scratch::Piece piece(*scratch, asked_ + kBeyond);
      const std::byte* beyond = piece.as<std::byte>() + asked_;
      if (std::any_of(beyond, beyond + kBeyond, [](std::byte b) { return b != std::byte{0xff}; }))
        return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t kBeyond = 256 * 1024;
  static std::array<kernels::Scratch*, 2> all() {
    return {&kernels::chunk_scratch(), &kernels::whole_scratch()};
  }

  Threads one_{1};
  std::size_t asked_;
};

/// A copy of a tensor's elements on a cache line, with NaN before and behind.
class Surrounded {
 public:
  explicit Surrounded(const Tensor& tensor) : bytes_(tensor.bytes()), memory_(bytes_ + 2 * kAround + 64) {
    std::memset(memory_.data(), 0xff, memory_.size());
    std::memcpy(data(), tensor.data(), bytes_);
  }
  std::byte* data() {
    std::byte* begin = memory_.data() + kAround;
    return begin + (-reinterpret_cast<std::uintptr_t>(begin) & 63);
  }
  bool is_alone_written() {
    const std::byte* begin = data();
    const auto kept = [](std::byte b) { return b == std::byte{0xff}; };
    return std::all_of(std::as_const(memory_).data(), begin, kept) &&
           std::all_of(begin + bytes_, std::as_const(memory_).data() + memory_.size(), kept);
  }

 private:
  static constexpr std::size_t kAround = 4096;
  std::size_t bytes_;
  std::vector<std::byte> memory_;
};

/// A direct convolution against loops: products are exact or round once, each addition rounds, and so does a
/// bf16 result.
inline void check_direct(const Convolution& c) {
  Operands o = operands(c);
  Surrounded a(o.a), b(o.b), to(o.to);
  const PoisonedScratch scratch(c);
  kernels::convolve(c, a.data(), b.data(), to.data());
  if (!scratch.was_kept_to()) BOOST_ERROR(name(c) << ": writes past its scratch");
  if (!to.is_alone_written()) BOOST_ERROR(name(c) << ": writes around its result");
  std::memcpy(o.to.mutable_data(), to.data(), o.to.bytes());
  const Expected e = expected(c.part, c.shape, o.a, o.b);
  const double sum_eps = c.from == DType::f64 ? 0x1p-53 : 0x1p-24,
               round_eps = c.to == DType::bf16 ? 0x1p-8 : 0;
  for (std::size_t i = 0; i < e.values.size(); ++i) {
    const double value = o.to.at(std::int64_t(i));
    const double bound = (e.terms[i] + 1) * sum_eps * e.sizes[i] + round_eps * std::abs(e.values[i]) * 1.01;
    if (!(std::abs(value - e.values[i]) <= bound)) {
      BOOST_ERROR(name(c) << ": element " << i << " is " << value << ", not " << e.values[i] << " within "
                          << bound);
      return;
    }
  }
}

inline void check_that_threads_change_no_bit(const std::vector<Convolution>& convolutions) {
  for (const Convolution& c : convolutions) {
    Tensor first;
    for (const int threads : {1, 2, 3, 4, 8}) {
      const Threads use_threads(threads);
      Operands o = operands(c);
      kernels::convolve(c, o.a.data(), o.b.data(), o.to.mutable_data());
      if (threads == 1) first = o.to;
      if (!identical(first, o.to)) BOOST_ERROR(name(c) << ": other bits with " << threads << " threads");
    }
  }
}

}  // namespace tapestry::test
