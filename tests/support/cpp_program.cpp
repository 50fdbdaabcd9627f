#include "cpp_program.hpp"

#include "approximate_parts.hpp"

#include <tapestry/core/language.hpp>

#include <algorithm>
#include <iomanip>
#include <map>
#include <set>
#include <sstream>

namespace tapestry::test {
namespace {

using approximate_parts::Fields;
using approximate_parts::fields_of;

std::string dtype(std::string_view name) { return text("DType::", name == "bool" ? "boolean" : name); }
std::string dtype(DType d) { return dtype(name_of(d)); }

template <class Range>
std::string braces(const Range& values) {
  std::ostringstream out;
  const char* separator = "{";
  if (values.begin() == values.end()) out << '{';
  for (const auto& value : values) {
    out << separator << value;
    separator = ", ";
  }
  out << '}';
  return std::move(out).str();
}
std::string shape(const Shape& s) { return "Shape" + braces(s); }
std::string type(const Type& t) { return text("Type{", dtype(t.dtype), ", ", shape(t.shape), '}'); }

std::string number(double value, int digits = 17) {
  std::ostringstream out;
  out << std::setprecision(digits) << value;
  std::string s = std::move(out).str();
  if (s.find_first_of(".en") == std::string::npos) s += ".0";
  return s;
}

std::string tensor(const Tensor& t) {
  constexpr std::string_view kTypes[] = {"float",        "double",       "double", "std::int32_t",
                                         "std::int64_t", "std::uint8_t", "bool"};
  std::vector<std::string> values;
  for (std::int64_t i = 0; i < t.elements(); ++i) {
    if (t.dtype() == DType::boolean) {
      values.push_back(t.at(i) != 0 ? "true" : "false");
    } else if (!is_floating(t.dtype())) {
      values.push_back(std::to_string(std::int64_t(t.at(i))));
    } else {
      values.push_back(t.dtype() == DType::f64 ? number(t.at(i)) : number(t.at(i), 9));
      if (t.dtype() == DType::f32) values.back() += 'f';
    }
  }
  const std::string all = text("Tensor::from<", kTypes[std::size_t(t.dtype())], ">(", braces(values), ", ",
                               shape(t.shape()), ')');
  return t.dtype() == DType::bf16 ? all + ".to(DType::bf16)" : all;
}

/// What comes after the operands, by op: "axis", say, for the field's value.
std::string settings(std::string_view op, const Fields& f) {
  const auto num = [&](std::string_view name) { return text(f.number(name)); };
  const auto flag = [&](std::string_view name) {
    return std::string(f.number(name) != 0 ? "true" : "false");
  };
  const auto axes = [&] { return text("Axes", braces(f.shape("axes"))); };
  static const std::set<std::string_view> kReductions = {
      "sum", "mean", "prod",   "max",    "min",       "all",
      "any", "norm", "argmax", "argmin", "logsumexp", "squared_deviations"};
  if (kReductions.contains(op)) return axes() + ", kKeepDims";
  if (op == "var" || op == "std") return text(axes(), ", kKeepDims, ", num("correction"));
  if (op == "reshape" || op == "broadcast_to" || op == "sum_to") return shape(f.shape("shape"));
  if (op == "permute") return shape(f.shape("order"));
  if (op == "flip") return axes();
  if (op == "cast") return dtype(f.words.at("dtype"));
  if (op == "clamp") return text(num("lo"), ", ", num("hi"));
  if (op == "leaky_relu") return num("slope");
  if (op == "elu") return num("alpha");
  if (op == "slice") {
    std::vector<std::string> ranges;
    for (int i = 0; i < f.shape("start").rank(); ++i) {
      ranges.push_back(
          text('{', f.shape("start")[i], ", ", f.shape("stop")[i], ", ", f.shape("step")[i], '}'));
    }
    return text("std::vector<Range>", braces(ranges));
  }
  if (op == "pad") {
    return text(shape(f.shape("lo")), ", ", shape(f.shape("hi")), ", ", number(f.number("value")), ", ",
                shape(f.shape("interior")));
  }
  if (op == "pad_reflect") return text(shape(f.shape("lo")), ", ", shape(f.shape("hi")));
  if (op == "matmul") return text("{", flag("transpose_a"), ", ", flag("transpose_b"), '}');
  if (f.shapes.contains("stride")) {
    const auto both = [&](std::string_view name, std::int64_t value) {
      const Shape found = f.shapes.contains(name) ? f.shape(name) : Shape{value, value};
      return braces(found);
    };
    const std::string padding = text("Padding(", both("lo", 0), ", ", both("hi", 0), ')');
    std::string options = text("{.stride = Extent2d", both("stride", 1), ", .padding = ", padding,
                               ", .dilation = ", both("dilation", 1));
    if (f.numbers.contains("groups")) options += ", .groups = " + num("groups");
    options += '}';
    if (op == "conv2d") return options;
    const std::string inside = op == "avg_pool2d" && f.numbers.contains("inside") ? ", false" : "";
    return text(both("size", 1), ", ", options, inside);
  }
  if (op == "one_hot") return text(num("classes"), ", ", dtype(f.words.at("dtype")));
  if (op == "check_labels") {
    return num("classes") + (f.numbers.contains("ignored") ? ", " + num("ignored") : "");
  }
  if (op == "softmax_cross_entropy") {
    return text("{", number(f.number("label_smoothing")),
                f.numbers.contains("ignore_index") ? ", " + num("ignore_index") : "", '}');
  }
  for (const std::string_view only : {"axis", "eps", "margin", "reg"}) {
    if (f.numbers.contains(only)) return num(only);
  }
  return {};
}

class Printer {
 public:
  Printer(const Graph& graph, std::span<const Tensor> arguments) : graph_(graph), arguments_(arguments) {}

  std::string run(const std::vector<std::string>& without, const std::string& title) {
    std::istringstream lines(title);
    for (std::string line; std::getline(lines, line);) out_ << "// " << line << '\n';
    out_ << "#include <tapestry/tapestry.hpp>\n\n#include <tapestry/core/run/interpret.hpp>\n\n"
            "#include <iostream>\n\nusing namespace tapestry;\n\nint main() {\n  Tape tape;\n";
    states();
    for (const ValueId id : graph_.arguments) value(id, argument(id));
    for (const ValueId id : ancestors(graph_, graph_.roots())) {
      if (&graph_.op(id) != &language::input) value(id, expression(id));
    }
    for (const Update& update : graph_.updates) {
      if (!drawn_from_.contains(update.state.id()))
        out_ << "  tape.write(" << states_.at(update.state.id()) << ", v" << update.value << ");\n";
    }
    ending(without);
    return std::move(out_).str();
  }

 private:
  void states() {
    const auto declare = [&](const State& state) {
      if (states_.contains(state.id())) return;
      const std::string name = text('s', states_.size());
      states_.emplace(state.id(), name);
      out_ << "  const State " << name << "(\"" << state.name() << "\", " << tensor(state.value()) << ");\n";
    };
    for (const ValueId id : ancestors(graph_, graph_.roots())) {
      if (&graph_.op(id) == &language::state) declare(graph_.node(id).attrs.as<StateAttrs>().state);
      if (graph_.op(id).name.starts_with("random_")) drawn_from_.insert(key_of(id).id());
    }
    for (const Update& update : graph_.updates) declare(update.state);
  }

  /// The key that a draw goes back to: by additions of a step.
  const State& key_of(ValueId id) const {
    while (&graph_.op(id) != &language::state) id = graph_.input(id, 0);
    return graph_.node(id).attrs.as<StateAttrs>().state;
  }

  void value(ValueId id, const std::string& expression) {
    out_ << "  [[maybe_unused]] const Var v" << id << " = " << expression << ";  // " << graph_.type(id)
         << '\n';
  }

  std::string argument(ValueId id) const {
    return text("tape.input(\"x", id, "\", ", type(graph_.type(id)), ')');
  }

  std::string expression(ValueId id) const {
    const Node& node = graph_.node(id);
    const std::string_view op = node.op->name;
    if (const Tensor* constant = language::constant_value(graph_, id))
      return text("tape.constant(", tensor(*constant), ')');
    if (node.op == &language::state)
      return text("tape.read(", states_.at(node.attrs.as<StateAttrs>().state.id()), ')');
    const Fields f = fields_of(node.attrs);
    if (op.starts_with("random_")) {
      return text(op, "(tape, ", states_.at(key_of(id).id()), ", ", shape(node.type.shape), ", ",
                  dtype(node.type.dtype), ')');
    }
    if (op == "iota") {
      return text("iota(tape, ", dtype(node.type.dtype), ", ", shape(node.type.shape), ", ", f.number("axis"),
                  ')');
    }
    std::vector<std::string> x;
    for (const ValueId input : graph_.inputs(id)) x.push_back(text('v', input));
    if (op == "dropout") {
      const std::string keep = number(f.number("keep"));
      return text("where(", x[1], " < ", keep, ", ", x[0], " * (1 / ", keep, "), 0)");
    }
    static const std::map<std::string_view, std::string_view> kInfix = {
        {"add", " + "}, {"sub", " - "}, {"mul", " * "}, {"div", " / "}};
    if (const auto infix = kInfix.find(op); infix != kInfix.end()) return text(x[0], infix->second, x[1]);
    if (op == "neg") return '-' + x[0];
    std::string all = node.op->arity == kVariadic ? "std::vector<Operand>" + braces(x) : "";
    for (std::size_t i = 0; all.empty() || (node.op->arity != kVariadic && i < x.size()); ++i) {
      all += (i > 0 ? ", " : "") + x[i];
    }
    const std::string more = settings(op, f);
    return text(op == "std" ? "stddev" : op, '(', all, more.empty() ? "" : ", ", more, ')');
  }

  void ending(const std::vector<std::string>& without) {
    std::vector<std::string> outputs, given, names;
    for (const ValueId id : graph_.outputs) outputs.push_back(text('v', id));
    for (const Tensor& argument : arguments_) given.push_back("\n      " + tensor(argument));
    for (const std::string& name : without) names.push_back('"' + name + '"');
    out_ << "  const std::vector<Var> outputs = " << braces(outputs)
         << ";\n  const std::vector<Tensor> arguments = " << braces(given)
         << ";\n  Program program = compile(tape, outputs, {.without = " << braces(names)
         << ", .epilogue_bytes = 0});\n"
         << R"(  Graph graph = tape.graph();
  for (const Var& output : outputs) graph.outputs.push_back(output.id());
  for (const Update& update : graph.updates) graph.outputs.push_back(update.value);
  const std::vector<Tensor> expected = interpret(graph, arguments);
  program.run(arguments);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const bool output = i < outputs.size();
    const Tensor value = output ? program.output(i) : graph.updates[i - outputs.size()].state.value();
    std::cout << (output ? "output: " : "state: ") << to_string(value) << "\none node at a time: "
              << to_string(expected[i]) << '\n';
  }
}
)";
  }

  const Graph& graph_;
  std::span<const Tensor> arguments_;
  std::ostringstream out_{};
  std::map<const void*, std::string> states_{};  // State id -> its name here
  std::set<const void*> drawn_from_{};           // keys: a draw writes them itself
};

}  // namespace

std::string cpp_program(const Graph& graph, std::span<const Tensor> arguments,
                        const std::vector<std::string>& without, const std::string& title) {
  return Printer(graph, arguments).run(without, title);
}

}  // namespace tapestry::test
