#include <tapestry/core/registry.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/kernels/random.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/random.hpp>
#include <tapestry/ops/rules.hpp>

#include <bit>
#include <numbers>

namespace tapestry {
namespace {

constexpr std::string_view kDrawn = "random numbers follow from the key, which counts";

struct DrawAttrs {
  Type type;
  void fields(FieldVisitor& f) const {
    f("dtype", type.dtype);
    f("shape", type.shape);
  }
  bool operator==(const DrawAttrs&) const = default;
};

const Type& drawn(const Signature& s) {
  const Type key{DType::i64, {2}};
  require_type(s.x[0] == key, "the key isn't ", key);
  return s.attrs.as<DrawAttrs>().type;
}

kernels::RandomKey key_of(const ConstView& key) {
  return {key.as<std::int64_t>()[0], key.as<std::int64_t>()[1]};
}

constexpr Op kUniform{
    .name = "random_uniform",
    .arity = 1,
    .type =
        [](const Signature& s) {
          const Type& type = drawn(s);
          require_type(type.dtype == DType::f32 || type.dtype == DType::f64, "draws f32 or f64, not ",
                       name_of(type.dtype));
          return type;
        },
    .no_gradient = kDrawn,
    .loop = [](std::span<const Type>, const Type& y, const Attrs&) -> kernels::Loop {
      using kernels::Operand;
      return {.extents = y.shape,
              .lane = rules::lane_of(y.dtype),
              .inputs = {{DType::i64, Shape::filled(y.shape.rank(), 0)}},
              .code = {{kernels::Code::uniform, Operand::input(0)}},
              .outputs = {{Operand::result(0), y.dtype, kernels::Reduce::none, strides_of(y.shape)}}};
    }};

constexpr Op kPermutation{
    .name = "random_permutation",
    .arity = 1,
    .type = [](const Signature& s) { return drawn(s); },
    .no_gradient = kDrawn,
    .kernel = [](const KernelCall& c) { kernels::random_permutation(key_of(c.x[0]), c.y); }};

/// Draws with the key's current value and leaves it one step further.
Var draw(const Op& op, Tape& tape, const State& key, const Type& type, Location at) {
  const Var current = tape.read(key, at);
  const Var value = emit(op, {{current, at}}, DrawAttrs{type});
  const Tensor step = Tensor::from({std::int64_t{0}, std::int64_t{1}}, {2});
  tape.write(key, {Operand(current, at) + Operand(step, at), at});
  return value;
}

// --- dropout, given one uniform number an element ---

struct DropoutAttrs {
  double keep;
  void fields(FieldVisitor& f) const { f("keep", keep); }
  bool operator==(const DropoutAttrs&) const = default;
};

constexpr Op kDropout{.name = "dropout",
                      .arity = 2,
                      .type =
                          [](const Signature& s) {
                            require_type(is_floating(s.x[0].dtype), "needs a floating dtype");
                            require_type(s.x[0].shape == s.x[1].shape, "shapes differ");
                            return s.x[0];
                          },
                      .expand =
                          [](const Call& c) {
                            const double keep = c.attrs.as<DropoutAttrs>().keep;
                            return where(c.x[1] < keep, c.x[0] * (1 / keep), 0);
                          }};

}  // namespace

State make_random_key(StateDict& state, std::uint64_t seed, std::string name) {
  return state.create(std::move(name),
                      Tensor::from({std::bit_cast<std::int64_t>(seed), std::int64_t{0}}, {2}),
                      StateKind::statistic);
}

Var random_uniform(Tape& tape, const State& key, const Shape& shape, DType dtype, double lo, double hi,
                   Location at) {
  const Var u = draw(kUniform, tape, key, {dtype, shape}, at);
  if (lo == 0 && hi == 1) return u;
  const Scope scope(tape, "random_uniform", at);
  return u * (hi - lo) + lo;
}

Var random_normal(Tape& tape, const State& key, const Shape& shape, DType dtype, Location at) {
  const Scope scope(tape, "random_normal", at);
  const Var u = draw(kUniform, tape, key, {dtype, shape}, at);
  const Var v = draw(kUniform, tape, key, {dtype, shape}, at);
  return sqrt(-2 * log(1 - u)) * cos(2 * std::numbers::pi * v);  // 1 - u is never 0
}

Var random_bernoulli(Tape& tape, const State& key, const Shape& shape, double p, DType dtype, Location at) {
  require(p >= 0 && p <= 1, to_string(at), ": random_bernoulli: ", p, " is no probability");
  const Scope scope(tape, "random_bernoulli", at);
  const DType drawn = dtype == DType::f64 ? DType::f64 : DType::f32;
  return cast(draw(kUniform, tape, key, {drawn, shape}, at) < p, dtype);
}

Var random_permutation(Tape& tape, const State& key, std::int64_t n, Location at) {
  require(n >= 0, to_string(at), ": random_permutation: there can't be ", n, " elements");
  return draw(kPermutation, tape, key, {DType::i64, {n}}, at);
}

Var dropout(const Operand& x, double keep, const State& key) {
  require(keep > 0 && keep <= 1, to_string(x.at()), ": dropout: keep = ", keep,
          " is not in (0, 1]; it is the probability of keeping a unit");
  const Var kept = x.var();
  if (keep == 1) return kept;
  const DType drawn = kept.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const Var u = random_uniform(kept.tape(), key, kept.shape(), drawn, 0, 1, x.at());
  return emit(kDropout, {x, u}, DropoutAttrs{keep});
}

void register_random(Registry& registry) {
  for (const Op* op : {&kUniform, &kPermutation, &kDropout}) registry.add(*op);
}

}  // namespace tapestry
