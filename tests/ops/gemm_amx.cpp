// Products of bf16 matrices by AMX, and emulated, against sums in f64. Skipped on CPUs without AVX512-BF16.
#include "../support/allocations.hpp"
#include "../support/restore_threads.hpp"
#include "../support/use_amx.hpp"

#include <tapestry/core/random.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/core/tape.hpp>
#include <tapestry/ops/kernels/gemm_amx.hpp>
#include <tapestry/ops/kernels/gemm_bf16.hpp>
#include <tapestry/ops/matmul.hpp>

#include <array>
#include <cmath>
#include <cstring>
#include <ostream>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;
using kernels::Amx;
using kernels::GemmShape;

namespace tapestry::kernels {

std::ostream& operator<<(std::ostream& out, const GemmShape& s) {
  return out << s.batch << " of " << s.m << " x " << s.n << " x " << s.k << (s.transpose_a ? " T" : " N")
             << (s.transpose_b ? "T" : "N");
}

}  // namespace tapestry::kernels

namespace {

std::vector<bf16> drawn(std::int64_t count, std::uint64_t stream) {
  Random random(1, stream);
  std::vector<bf16> values(static_cast<std::size_t>(count));
  for (bf16& value : values) value = bf16(float(random.uniform() * 2 - 1));
  return values;
}

struct Operands {
  std::vector<bf16> a, b;
  explicit Operands(const GemmShape& s)
      : a(drawn(s.m * s.k + (s.batch - 1) * s.stride_a, 1)),
        b(drawn(s.k * s.n + (s.batch - 1) * s.stride_b, 2)) {}
};

/// What is there before is to be overwritten, and nothing around it.
template <class T>
std::vector<T> product(const GemmShape& s, const Operands& o) {
  constexpr std::size_t kAround = 40;
  const auto size = std::size_t(s.batch * s.m * s.n);
  std::vector<T> c(size + 2 * kAround, T(77.0f));
  kernels::gemm_bf16(s, o.a.data(), o.b.data(), c.data() + kAround);
  for (std::size_t i = 0; i < kAround; ++i) {
    if (float(c[i]) != 77 || float(c[c.size() - 1 - i]) != 77) {
      BOOST_ERROR(s << ": wrote outside of its result");
      break;
    }
  }
  return {c.begin() + kAround, c.end() - kAround};
}

/// Products of bf16 are exact in f32; each addition may round, and so may the result.
template <class T>
void check(const GemmShape& s) {
  const Operands o(s);
  const std::vector<T> c = product<T>(s, o);
  for (std::int64_t item = 0; item < s.batch; ++item) {
    for (std::int64_t i = 0; i < s.m; ++i) {
      for (std::int64_t j = 0; j < s.n; ++j) {
        double exact = 0, size = 0;
        for (std::int64_t k = 0; k < s.k; ++k) {
          const std::int64_t at_a = s.transpose_a ? k * s.m + i : i * s.k + k;
          const std::int64_t at_b = s.transpose_b ? j * s.k + k : k * s.n + j;
          const double x = float(o.a[std::size_t(item * s.stride_a + at_a)]);
          const double y = float(o.b[std::size_t(item * s.stride_b + at_b)]);
          exact += x * y;
          size += std::abs(x * y);
        }
        const double rounding = sizeof(T) == 2 ? 0x1p-8 * std::abs(exact) * 1.01 : 0;
        const double value = float(c[std::size_t((item * s.m + i) * s.n + j)]);
        if (!(std::abs(value - exact) <= double(s.k + 1) * 0x1p-24 * size + rounding)) {
          BOOST_ERROR(s << ": element " << i << ", " << j << " is " << value << ", not " << exact);
          return;
        }
      }
    }
  }
}

std::vector<GemmShape> shapes() {
  std::vector<GemmShape> all;
  const auto add = [&](std::int64_t m, std::int64_t n, std::int64_t k) {
    for (const bool a : {false, true})
      for (const bool b : {false, true})
        all.push_back({.m = m, .n = n, .k = k, .transpose_a = a, .transpose_b = b});
  };
  const std::int64_t sizes[] = {1, 15, 16, 17, 31, 33, 100};
  for (const std::int64_t m : sizes)
    for (const std::int64_t n : sizes)
      for (const std::int64_t k : sizes) add(m, n, k);
  for (const std::int64_t other : {1, 17, 257}) {
    add(257, other, 33);
    add(other, 257, 33);
    add(33, other, 257);
    add(33, 16, 1100);   // several blocks of terms
    add(600, other, 3);  // several tiles
    add(other, 600, 3);
  }
  add(300, 520, 270);
  add(33, 35, 2049);  // slices of terms
  add(17, 3, 4100);
  for (std::int64_t batch : {1, 5}) {  // strides with gaps, and one operand for all
    add(33, 17, 40);
    for (int i = 1; i <= 4; ++i) {
      GemmShape& s = all[all.size() - std::size_t(i)];
      s.batch = batch + 1;
      s.stride_a = i % 2 == 0 ? s.m * s.k : s.m * s.k + 3;
      s.stride_b = batch == 1 ? 0 : s.k * s.n + 5;
    }
  }
  return all;
}

boost::test_tools::assertion_result cpu_multiplies(boost::unit_test::test_unit_id) {
  return kernels::cpu_multiplies_bf16();
}
boost::test_tools::assertion_result cpu_has_amx(boost::unit_test::test_unit_id) { return kernels::has_amx(); }
/// The best way there is.
Amx any() { return kernels::has_amx() ? Amx::where_it_is : Amx::emulated; }

void check_all() {
  std::size_t by_amx = 0;
  for (const GemmShape& s : shapes()) {
    by_amx += kernels::amx_multiplies(s);
    check<float>(s);
    check<bf16>(s);
  }
  BOOST_TEST(by_amx > shapes().size() / 2);
}

}  // namespace

namespace utf = boost::unit_test;

BOOST_FIXTURE_TEST_SUITE(gemm_amx, RestoreThreads, *utf::precondition(cpu_multiplies))

BOOST_AUTO_TEST_CASE(they_equal_loops, *utf::precondition(cpu_has_amx)) {
  const UseAmx use(Amx::where_it_is);
  check_all();
}

BOOST_AUTO_TEST_CASE(emulated_they_equal_loops) {
  const UseAmx use(Amx::emulated);
  check_all();
}

BOOST_AUTO_TEST_CASE(threads_change_no_bit) {
  const UseAmx use(any());
  const GemmShape shapes[] = {
      {.m = 300, .n = 700, .k = 530},
      {.m = 1030, .n = 100, .k = 257, .transpose_a = true},
      {.m = 100, .n = 1030, .k = 257, .transpose_b = true},
      {.m = 65, .n = 65, .k = 33, .batch = 40, .stride_a = 65 * 33, .stride_b = 65 * 33}};
  for (const GemmShape& s : shapes) {
    BOOST_TEST(kernels::amx_multiplies(s));
    const Operands o(s);
    std::vector<float> one;
    for (const int threads : {1, 2, 3, 8}) {
      set_thread_count(threads);
      const std::vector<float> c = product<float>(s, o);
      if (threads == 1) one = c;
      if (std::memcmp(c.data(), one.data(), c.size() * sizeof(float)) != 0)
        BOOST_ERROR(s << ": other bits with " << threads << " threads");
    }
  }
}

BOOST_AUTO_TEST_CASE(nan_stays_in_its_row_and_column) {
  const UseAmx use(any());
  for (const bool transposed : {false, true}) {
    const GemmShape s{.m = 35, .n = 37, .k = 41, .transpose_a = transposed, .transpose_b = transposed};
    BOOST_TEST(kernels::amx_multiplies(s));
    Operands o(s);
    const std::vector<float> clean = product<float>(s, o);
    // At the end of its row, before what fills up a tile.
    o.a[std::size_t(transposed ? 40 * s.m + 17 : 17 * s.k + 40)] = bf16(std::nanf(""));
    o.b[std::size_t(transposed ? 36 * s.k + 40 : 40 * s.n + 36)] = bf16(INFINITY);
    const std::vector<float> dirty = product<float>(s, o);
    for (std::int64_t i = 0; i < s.m; ++i) {
      for (std::int64_t j = 0; j < s.n; ++j) {
        const auto at = std::size_t(i * s.n + j);
        if (i == 17) {
          BOOST_TEST(std::isnan(dirty[at]));
        } else if (j == 36) {
          BOOST_TEST(std::isinf(dirty[at]));
        } else {
          BOOST_TEST(dirty[at] == clean[at]);
        }
      }
    }
  }
}

// With more terms and columns than any other here, for memory that is there stays.
BOOST_AUTO_TEST_CASE(once_reserved_nothing_is_allocated) {
  const UseAmx use(any());
  check<bf16>({.m = 64, .n = 64, .k = 8});  // wakes threads
  for (const GemmShape& s : {GemmShape{.m = 2100, .n = 1100, .k = 2050, .transpose_b = true},
                             GemmShape{.m = 256, .n = 510, .k = 4100}}) {
    BOOST_TEST(kernels::amx_multiplies(s));
    const Operands o(s);
    std::vector<float> c(std::size_t(s.m * s.n));
    BOOST_TEST(kernels::reserve_for_gemm_bf16(s, DType::f32) > 0u);
    const std::size_t made = allocations();
    kernels::gemm_bf16(s, o.a.data(), o.b.data(), c.data());
    BOOST_TEST(allocations() == made);
  }
}

// The rows of a batch are joined where there is one matrix on the right, whose batch axis may have the
// extent 1.
BOOST_AUTO_TEST_CASE(the_op_reserves_what_it_runs) {
  const UseAmx use(any());
  check<bf16>({.m = 64, .n = 64, .k = 8});  // wakes threads
  const std::array<Type, 2> types{Type{DType::bf16, {8, 4, 3000}}, Type{DType::bf16, {1, 3000, 1300}}};
  Tape tape;
  const Var product = matmul(tape.input("a", types[0]), tape.input("b", types[1]));
  const Node& node = tape.graph().node(product.id());
  const Tensor a(types[0].dtype, types[0].shape), b(types[1].dtype, types[1].shape);
  Tensor c(node.type.dtype, node.type.shape);
  const std::array<ConstView, 2> x{ConstView{a.data(), types[0]}, ConstView{b.data(), types[1]}};
  node.op->reserve(types, node.type, node.attrs);
  const std::size_t made = allocations();
  node.op->kernel({x, {c.mutable_data(), node.type}, node.attrs});
  BOOST_TEST(allocations() == made);
}

BOOST_AUTO_TEST_CASE(it_can_be_switched_off) {
  const UseAmx use(Amx::never);
  BOOST_TEST(!kernels::amx_multiplies({.m = 512, .n = 512, .k = 512}));
  check<float>({.m = 100, .n = 100, .k = 100});
}

BOOST_AUTO_TEST_SUITE_END()
