// Small models against the vectors of tests/oracle/families/compose.py.
#include "../support/oracle.hpp"

#include <tapestry/tapestry.hpp>

#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using oracle::Inputs;
using oracle::Table;

namespace {

Var attention(const Var& q, const Var& k, const Var& v) {
  const Var scores = matmul(q, k, {.transpose_b = true}) / std::sqrt(double(k.shape().back()));
  return matmul(softmax(scores, -1), v);
}

/// The seed's network, small: affine, batch norm, relu, affine, softmax loss and an L2 penalty.
Var notebook_net(const Inputs& in) {
  const Var &x = in[0], &labels = in[1], &w1 = in[2], &b1 = in[3], &gamma = in[4], &beta = in[5], &w2 = in[6],
            &b2 = in[7];
  const Var hidden = relu(batchnorm(linear(x, w1, b1), gamma, beta, 1e-5));
  return softmax_cross_entropy(linear(hidden, w2, b2), labels) + l2_penalty(w1, 0.3) + l2_penalty(w2, 0.3);
}

Var smooth_net(const Inputs& in) {
  const Var &x = in[0], &labels = in[1], &w1 = in[2], &b1 = in[3], &gamma = in[4], &beta = in[5], &w2 = in[6],
            &b2 = in[7];
  const Var hidden = gelu(layernorm(linear(x, w1, b1), gamma, beta, 1e-5));
  return softmax_cross_entropy(linear(hidden, w2, b2), labels, {.label_smoothing = 0.1});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(oracle_compose)

BOOST_AUTO_TEST_CASE(values_and_derivatives) {
  Table t;
  t.add("compose/notebook_net", notebook_net);
  t.add("compose/smooth_net", smooth_net);
  t.add("compose/attention", [](const Inputs& x) { return attention(x[0], x[1], x[2]); });
  t.add("compose/self_attention", [](const Inputs& x) { return attention(x[0], x[0], x[0]); });
  t.add("compose/shared", [](const Inputs& in) {
    const Var& x = in[0];
    return exp(sin(x)) * tanh(x) + x / (1 + x * x);
  });
  t.add("compose/residual", [](const Inputs& in) {
    const Var h = tanh(matmul(in[0], in[1]));
    return h + tanh(matmul(h, in[1]) + in[0]);
  });
  t.check("compose");
}

BOOST_AUTO_TEST_SUITE_END()
