// Each instruction of a loop as instructions of the machine, to the bits of loop_sweeps.cpp and math-inl.hpp.
#include <tapestry/ops/kernels/loop_assembler.hpp>
#include <tapestry/ops/kernels/math_tables.hpp>

#include <span>

namespace tapestry::kernels {
namespace {

namespace v = vector_ops;

Predicate predicate_of(Code comparison) {
  switch (comparison) {
    case Code::eq:
      return kEqual;
    case Code::lt:
      return kLess;
    case Code::le:
      return kAtMost;
    case Code::gt:
      return kMore;
    case Code::ge:
      return kAtLeast;
    default:
      return kUnequal;
  }
}

}  // namespace

void SegmentAssembler::emit(VectorOp op, Zmm to, Zmm a, const Place& b, Mask mask, bool zeroing) {
  if (b.in_register()) {
    a_.emit(op, to, a, b.reg, mask, zeroing);
  } else {
    a_.emit(op, to, a, b.address, mask, zeroing);
  }
}

/// The chosen are those for which it holds, of those in `mask`.
void SegmentAssembler::compare(Predicate predicate, Zmm a, const Place& b, Mask mask) {
  compare(chosen_, predicate, a, b, mask);
}

void SegmentAssembler::compare(Mask to, Predicate predicate, Zmm a, const Place& b, Mask mask) {
  const Zmm chosen{to.number};
  if (b.in_register()) {
    a_.emit_with(v::compare, chosen, a, b.reg, predicate, mask);
  } else {
    a_.emit_with(v::compare, chosen, a, b.address, predicate, mask);
  }
}

void SegmentAssembler::one_where_chosen(Zmm to) {
  a_.emit(v::move, to, {}, in_register(constant(1)), chosen_, true);
}

/// The second operand comes out if either is NaN, so that of the first must be put back.
void SegmentAssembler::choose_larger(VectorOp op, Zmm to, Zmm a, const Place& b, Mask mask) {
  emit(op, to, a, b, mask);
  compare(kUnordered, a, {.reg = a}, mask);
  emit(v::move, to, {}, {.reg = a}, chosen_);
}

/// To the bits of math-inl.hpp.
void SegmentAssembler::exp(Zmm to, Zmm x) {
  constexpr int kSmallerMagnitude = 6;  // of the two, with its sign; of a number and NaN the number
  const Zmm r = passing(), n = passing(), power = passing(), square = passing();
  const Zmm rounder = in_register(constant(tables::kExpRounder));
  emit(v::move, n, {}, {.reg = x});
  emit(v::fmadd213, n, in_register(constant(tables::kLog2E)), {.reg = rounder});
  emit(v::permute, power, n, table(tables::kExpPowers));
  emit(v::sub, n, n, {.reg = rounder});
  emit(v::move, r, {}, {.reg = x});
  emit(v::fnmadd231, r, n, constant(tables::kLn2High));
  emit(v::fnmadd231, r, n, constant(tables::kLn2Low));
  // Beyond kExpLow and kExpHigh n alone decides, also of infinity and NaN: r has to be small.
  a_.emit_with(v::range, r, r, in_register(constant(tables::kExpLargestRest)), kSmallerMagnitude);
  emit(v::move, to, {}, {.reg = in_register(constant(tables::kExp[1]))});
  emit(v::fmadd213, to, r, constant(tables::kExp[0]));
  emit(v::mul, square, r, {.reg = r});
  emit(v::fmadd213, to, square, {.reg = r});
  emit(v::fmadd213, to, power, {.reg = power});
  emit(v::scale, to, to, {.reg = n});
}

void SegmentAssembler::erf(Zmm to, Zmm x) {  // as in math-inl.hpp
  const Zmm t = passing(), k = passing(), c = passing();
  emit(v::bit_and, t, x, constant_bits(0x7fffffff));
  emit(v::min, t, in_register(constant(tables::kErfOne)), {.reg = t});
  emit(v::add, k, t, constant(tables::kErfRounder));
  compare(kMore, t, constant(tables::kErfFirst));
  a_.emit_with(v::reduce, t, {}, t, 0x28);  // less the nearest quarter
  const auto look_up = [&](Zmm reg, int j, Mask mask = {}) {
    emit(v::permute, reg, k, table(std::span(tables::kErf[j])), mask);
  };
  look_up(to, 5);
  for (int j = 4; j > 0; --j) {
    look_up(c, j);
    emit(v::fmadd213, to, t, {.reg = c});
  }
  emit(v::move, c, {}, {.reg = t});
  look_up(c, 0, chosen_);
  emit(v::fmadd213, to, t, {.reg = c});
  take_sign(to, x);
}

void SegmentAssembler::gelu_slope(Zmm to, Zmm x) {  // as in math-inl.hpp
  const Zmm t = passing(), k = passing(), c = passing();
  const auto coefficients = [&](int j) { return table(std::span(tables::kGeluSlope[j])); };
  emit(v::bit_and, t, x, constant_bits(0x7fffffff));
  emit(v::min, t, in_register(constant(tables::kGeluSlopeOne)), {.reg = t});
  const Zmm rounder = in_register(constant(tables::kGeluSlopeRounder));
  emit(v::move, k, {}, {.reg = t});
  emit(v::fmadd213, k, in_register(constant(tables::kGeluSlopeParts)), {.reg = rounder});
  emit(v::permute, to, k, coefficients(5));
  emit(v::sub, c, k, {.reg = rounder});
  emit(v::fnmadd231, t, c, constant(tables::kGeluSlopeWidth));
  for (int j = 4; j >= 0; --j) {
    emit(v::permute, c, k, coefficients(j));
    emit(v::fmadd213, to, t, {.reg = c});
  }
  take_sign(to, x);
  emit(v::add, to, to, constant(0.5f));
}

void SegmentAssembler::take_sign(Zmm to, Zmm of) {
  const Place sign = constant_bits(0x80000000);
  constexpr int kThirdChooses = 0xd8;  // a bit of the second where the third is 1, else of the first
  if (sign.in_register()) {
    a_.emit_with(v::select_bits, to, of, sign.reg, kThirdChooses);
  } else {
    a_.emit_with(v::select_bits, to, of, sign.address, kThirdChooses);
  }
}

void SegmentAssembler::step(int number) {
  const Segment::Step& step = segment_.steps[std::size_t(number)];
  if (step.of_words) return compare_words(number);
  const Zmm a = reg(step.operands[0]);
  const Place b = arity_of(step.code) > 1 ? value(step.operands[1]) : Place{.reg = a};
  const std::size_t result = segment_.inputs.size() + std::size_t(number);
  if (step.code == Code::select) {
    const Mask chosen = condition(step.operands[2]);
    const Zmm to = where_[result] = take();
    return emit(v::blend, to, in_register(b), {.reg = a}, chosen);
  }
  if (becomes_mask(int(result))) return compare(masks_[result], predicate_of(step.code), a, b);
  const Place c = arity_of(step.code) > 2 ? value(step.operands[2]) : Place{.reg = a};
  const Zmm to = where_[result] = take();
  const auto chooses = [&](Predicate predicate, const Place& other) {
    compare(predicate, a, other);
    one_where_chosen(to);
  };
  switch (step.code) {
    case Code::copy:
      return emit(v::move, to, {}, {.reg = a});
    case Code::neg:
      return emit(v::bit_xor, to, a, constant_bits(0x80000000));
    case Code::abs:
      return emit(v::bit_and, to, a, constant_bits(0x7fffffff));
    case Code::sqrt:
      return emit(v::sqrt, to, {}, {.reg = a});
    case Code::exp:
      return exp(to, a);
    case Code::erf:
      return erf(to, a);
    case Code::gelu_slope:
      return gelu_slope(to, a);
    case Code::floor:
      return a_.emit_with(v::round, to, {}, a, 9);  // downwards, without exceptions
    case Code::logical_not:
      return chooses(kEqual, constant(0));
    case Code::add:
      return emit(v::add, to, a, b);
    case Code::sub:
      return emit(v::sub, to, a, b);
    case Code::mul:
      return emit(v::mul, to, a, b);
    case Code::div:
      return emit(v::div, to, a, b);
    case Code::max:
      return choose_larger(v::max, to, a, b);
    case Code::min:
      return choose_larger(v::min, to, a, b);
    case Code::eq:
    case Code::ne:
    case Code::lt:
    case Code::le:
    case Code::gt:
    case Code::ge:
      return chooses(predicate_of(step.code), b);
    case Code::logical_and:
      compare(kUnequal, a, constant(0));
      compare(kUnequal, in_register(b), constant(0), chosen_);
      return one_where_chosen(to);
    case Code::mul_no_nan:
      compare(kUnequal, a, constant(0));
      return emit(v::mul, to, a, b, chosen_, true);
    case Code::mul_add:
      emit(v::mul, to, a, b);
      return emit(v::add, to, to, c);
    default:
      break;  // can_assemble() says no
  }
}

}  // namespace tapestry::kernels
