// What a training step is made of: the products of its layers, in the layouts that operands and gradients
// have in memory anyway, and loops.
#include <tapestry/core/compile/plan.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/models/fully_connected.hpp>
#include <tapestry/models/trainer.hpp>
#include <tapestry/optim/adaptive.hpp>

#include <algorithm>
#include <string_view>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace {

/// Tasks of this op, alone or as a part of a loop.
std::size_t count_of(const Program& program, std::string_view op) {
  std::size_t count = 0;
  for (const Task& task : program.plan().tasks) {
    count += std::size_t(std::ranges::count_if(
        task.nodes, [&](ValueId id) { return program.graph().node(id).op->name == op; }));
  }
  return count;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(step_plan)

BOOST_AUTO_TEST_CASE(nothing_is_transposed_in_memory) {
  for (const std::int64_t units : {500, 2048}) {
    FullyConnectedNet net({.hidden = {units, units, units}, .normalization = Normalization::batch});
    Function step = training_step(net, Optimizer(net.state(), Adam()));
    const Program& program = step.program(training_types(net, 100));
    BOOST_TEST(count_of(program, "permute") == 0u);
    // One forward and two backward for each layer, but nobody wants the images' gradient.
    BOOST_TEST(count_of(program, "matmul") == 11u);
  }
}

BOOST_AUTO_TEST_SUITE_END()
