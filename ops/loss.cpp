#include <tapestry/core/registry.hpp>
#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/loss.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/rules.hpp>
#include <tapestry/ops/shape.hpp>

#include <cstring>

namespace tapestry {
namespace {

using C = const Call&;
using V = const Vjp&;

struct LabelAttrs {
  std::int64_t classes;
  std::optional<std::int64_t> ignored;
  void fields(FieldVisitor& f) const {
    f("classes", classes);
    if (ignored) f("ignored", *ignored);
  }
  bool operator==(const LabelAttrs&) const = default;
};

struct CrossEntropyAttrs {
  double label_smoothing;
  std::optional<std::int64_t> ignore_index;
  void fields(FieldVisitor& f) const {
    f("label_smoothing", label_smoothing);
    if (ignore_index) f("ignore_index", *ignore_index);
  }
  bool operator==(const CrossEntropyAttrs&) const = default;
};

struct MarginAttrs {
  double margin;
  void fields(FieldVisitor& f) const { f("margin", margin); }
  bool operator==(const MarginAttrs&) const = default;
};

struct PenaltyAttrs {
  double reg;
  void fields(FieldVisitor& f) const { f("reg", reg); }
  bool operator==(const PenaltyAttrs&) const = default;
};

/// Logits [n, c] and labels [n].
void check_rows(const Signature& s) {
  const Type& logits = s.x[0];
  const Type& labels = s.x[1];
  require_type(is_floating(logits.dtype) && logits.shape.rank() == 2,
               "the first operand isn't floating [n, c]");
  require_type(is_integer(labels.dtype) && labels.shape == Shape{logits.shape[0]},
               "the labels aren't integers [", logits.shape[0], ']');
  // Labels and positions are compared in f32, so that they fuse with the rest.
  require_type(logits.shape[1] > 0 && logits.shape[1] <= 1 << 24, "there are ", logits.shape[1], " classes");
}

Type row_loss(const Signature& s) {
  check_rows(s);
  return {s.x[0].dtype, {}};
}

constexpr Op kCheckLabels{.name = "check_labels",
                          .type =
                              [](const Signature& s) {
                                require_type(is_integer(s.x[0].dtype), "labels are integers");
                                return s.x[0];
                              },
                          .no_gradient = "labels are no numbers",
                          .kernel =
                              [](const KernelCall& c) {
                                const auto& [classes, ignored] = c.attrs.as<LabelAttrs>();
                                visit_dtype(
                                    c.y.type.dtype, [&, &classes = classes, &ignored = ignored](auto t) {
                                      using T = decltype(t);
                                      if constexpr (std::is_integral_v<T>) {
                                        const T* labels = c.x[0].as<T>();
                                        for (std::int64_t i = 0; i < c.y.type.shape.elements(); ++i) {
                                          const auto label = std::int64_t(labels[i]);
                                          require((label >= 0 && label < classes) || label == ignored,
                                                  "label ", i, " is ", label, ", not in [0, ", classes, ')');
                                        }
                                      }
                                    });
                                std::memcpy(c.y.data, c.x[0].data, c.y.type.bytes());
                              },
                          .must_run = true};

/// In which labels and positions are compared.
DType compared_dtype(const Var& logits) { return logits.dtype() == DType::f64 ? DType::f64 : DType::f32; }

/// Checked labels as a column, in the dtype in which they are compared.
Var label_column(const Var& labels, const Var& logits, std::optional<std::int64_t> ignored = {}) {
  const Var checked = check_labels(labels, logits.shape()[1], ignored);
  return reshape(cast(checked, compared_dtype(logits)), {logits.shape()[0], 1});
}

/// bool [n, c]: is it the label's class?
Var is_label(const Var& column, std::int64_t classes) {
  return equal(iota(column.tape(), column.dtype(), {1, classes}, 1), column);
}

/// The sum of what a comparison with each column's number leaves of the row: loops that hold whole rows read
/// that element at once.
kernels::Loop pick_loop(std::span<const Type> x, const Type& y, const Attrs&) {
  using kernels::Code;
  using kernels::Operand;
  return {.extents = x[0].shape,
          .lane = rules::lane_of(y.dtype),
          .inputs = {{x[0].dtype, strides_of(x[0].shape)}, {x[1].dtype, {1, 0}}},
          .code = {{.code = Code::index, .dim = 1},
                   {Code::eq, Operand::result(0), Operand::input(1)},
                   {Code::select, Operand::input(0), Operand::constant(0), Operand::result(1)}},
          .outputs = {{Operand::result(2), y.dtype, kernels::Reduce::sum, {1, 0}}}};
}

constexpr Op kPick{.name = "pick",
                   .arity = 2,
                   .type =
                       [](const Signature& s) {
                         const auto& [dtype, shape] = s.x[0];
                         require_type(is_floating(dtype) && shape.rank() == 2 && shape[1] <= 1 << 24,
                                      "the first operand isn't floating [n, c]");
                         require_type(s.x[1].dtype != DType::boolean && s.x[1].shape == Shape{shape[0], 1},
                                      "the positions aren't numbers [", shape[0], ", 1]");
                         return Type{dtype, s.x[1].shape};
                       },
                   .vjp = {[](V v) {
                     const Var column = cast(v.b(), compared_dtype(v.a()));
                     return where(is_label(column, v.a().shape()[1]), v.g, 0);
                   }},
                   .no_gradient = "positions are constant but for the steps",
                   .loop = pick_loop};

Var cross_entropy(C c) {
  const Var& logits = c.x[0];
  const auto& [smoothing, ignore_index] = c.attrs.as<CrossEntropyAttrs>();
  const Var column = label_column(c.x[1], logits, ignore_index);

  // log(sum(exp(z))) - z[label], of z moved so that its maximum is 0
  const Var largest = stop_gradient(max(logits, 1, kKeepDims)), z = logits - largest;
  Var target = pick(logits, column) - largest;
  if (smoothing != 0) target = (1 - smoothing) * target + smoothing * mean(z, 1, kKeepDims);
  const Var row = log(sum(exp(z), 1, kKeepDims)) - target;

  if (!ignore_index) return mean(row);
  const Var counts = not_equal(column, *ignore_index);
  return sum(where(counts, row, 0)) / sum(cast(counts, logits.dtype()));
}

constexpr Op kSoftmaxCrossEntropy{
    .name = "softmax_cross_entropy",
    .arity = 2,
    .type =
        [](const Signature& s) {
          const double smoothing = s.attrs.as<CrossEntropyAttrs>().label_smoothing;
          require_type(smoothing >= 0 && smoothing <= 1, "label smoothing ", smoothing, " isn't in [0, 1]");
          return row_loss(s);
        },
    .expand = cross_entropy};

constexpr Op kMulticlassHinge{.name = "multiclass_hinge", .arity = 2, .type = row_loss, .expand = [](C c) {
                                const Var& scores = c.x[0];
                                const Var column = label_column(c.x[1], scores);
                                const Var right = is_label(column, scores.shape()[1]);
                                const Var score = pick(scores, column);
                                const Var margins = relu(scores - score + c.attrs.as<MarginAttrs>().margin);
                                return sum(where(right, 0, margins)) / scores.shape()[0];
                              }};

constexpr Op kMeanSquaredError{.name = "mean_squared_error",
                               .arity = 2,
                               .type = [](const Signature& s) -> Type {
                                 // Broadcasting [n] with [n, 1] would be a mistake more often than meant.
                                 require_type(s.x[0].shape == s.x[1].shape, "shapes differ");
                                 return {rules::floating(s).dtype, {}};
                               },
                               .expand = [](C c) { return mean(square(c.x[0] - c.x[1])); }};

constexpr Op kL2Penalty{
    .name = "l2_penalty",
    .type = [](const Signature& s) -> Type {
      return {rules::floating(s).dtype, {}};
    },
    .expand = [](C c) { return 0.5 * c.attrs.as<PenaltyAttrs>().reg * sum(square(c.x[0])); }};

constexpr Op kAccuracy{.name = "accuracy",
                       .arity = 2,
                       .type = [](const Signature& s) -> Type {
                         check_rows(s);
                         return {DType::f32, {}};
                       },
                       .expand =
                           [](C c) {
                             const Var right = equal(argmax(c.x[0], 1), cast(c.x[1], DType::i64));
                             return mean(cast(right, DType::f32));
                           },
                       .no_gradient = "constant but for the steps"};

}  // namespace

Var softmax_cross_entropy(const Operand& logits, const Operand& labels, const CrossEntropyOptions& options) {
  return emit(kSoftmaxCrossEntropy, {logits, labels},
              CrossEntropyAttrs{options.label_smoothing, options.ignore_index});
}
Var multiclass_hinge(const Operand& scores, const Operand& labels, double margin) {
  return emit(kMulticlassHinge, {scores, labels}, MarginAttrs{margin});
}
Var mean_squared_error(const Operand& x, const Operand& y) { return emit(kMeanSquaredError, {x, y}); }
Var l2_penalty(const Operand& w, double reg) { return emit(kL2Penalty, {w}, PenaltyAttrs{reg}); }
Var accuracy(const Operand& logits, const Operand& labels) { return emit(kAccuracy, {logits, labels}); }
Var pick(const Operand& x, const Operand& positions) { return emit(kPick, {x, positions}); }
Var check_labels(const Operand& labels, std::int64_t classes, std::optional<std::int64_t> ignored) {
  return emit(kCheckLabels, {labels}, LabelAttrs{classes, ignored});
}

void register_loss(Registry& registry) {
  for (const Op* op : {&kCheckLabels, &kPick, &kSoftmaxCrossEntropy, &kMulticlassHinge, &kMeanSquaredError,
                       &kL2Penalty, &kAccuracy}) {
    registry.add(*op);
  }
}

}  // namespace tapestry
