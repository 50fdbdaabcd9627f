#include "rewritten.hpp"

#include <tapestry/core/compile/print.hpp>
#include <tapestry/core/compile/rewrite.hpp>
#include <tapestry/core/compile/verify.hpp>

#include <sstream>

#include <boost/test/unit_test.hpp>

namespace tapestry::test {
namespace {

Graph recorded(const std::vector<Type>& types, const Recording& record) {
  Tape tape;
  std::vector<Var> inputs;
  for (const Type& type : types) inputs.push_back(tape.input(text("x", inputs.size()), type));
  const Var y = record(inputs);
  return tape.take(std::span(&y, 1));
}

/// Who recorded a node, and on which line, doesn't matter here.
std::string without_lines(const Graph& graph) {
  std::istringstream lines(to_text(graph));
  std::string out, line;
  while (std::getline(lines, line)) out += line.substr(0, line.find("  #")) + '\n';
  return out;
}

/// Without what isn't used.
Graph alive(const Graph& graph) {
  return rewrite(graph, [](auto&&...) { return std::optional<Var>(); });
}

}  // namespace

void check_rewritten(Graph (*pass)(const Graph&), const std::vector<Type>& types, const Recording& before,
                     const Recording& after) {
  const Graph result = pass(recorded(types, before));
  verify(result);
  BOOST_TEST(without_lines(alive(result)) == without_lines(alive(recorded(types, after))));
}

void check_rewritten(Graph (*pass)(const Graph&), const Type& type,
                     const std::function<Var(const Var&)>& before,
                     const std::function<Var(const Var&)>& after) {
  check_rewritten(
      pass, std::vector<Type>{type}, [&](std::span<const Var> x) { return before(x[0]); },
      [&](std::span<const Var> x) { return after(x[0]); });
}

}  // namespace tapestry::test
