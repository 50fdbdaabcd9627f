// The cells of the seed notebook that check update rules, with the arrays and the numbers printed there. Each
// error must be within what the notebook prints.
#include <tapestry/core/function.hpp>
#include <tapestry/optim/adaptive.hpp>
#include <tapestry/optim/sgd.hpp>
#include <tapestry/tests/support/notebook.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace {

const Shape kShape{4, 5};

// The notebook prints the same velocities for both kinds of momentum.
const std::vector<double> kVelocity = {0.5406,     0.55475789, 0.56891579, 0.58307368, 0.59723158,
                                       0.61138947, 0.62554737, 0.63970526, 0.65386316, 0.66802105,
                                       0.68217895, 0.69633684, 0.71049474, 0.72465263, 0.73881053,
                                       0.75296842, 0.76712632, 0.78128421, 0.79544211, 0.8096};

/// Runs one step of `rule` on the notebook's w and dw; moments given by name.
template <class Rule>
struct Step {
  StateDict state;
  State w = state.create("w", Tensor::linspace(-0.4, 0.6, kShape));

  Step(Rule rule, double learning_rate, std::initializer_list<std::pair<const char*, Tensor>> moments,
       std::int64_t t = 0) {
    const std::string prefix = rule.name();
    for (const auto& [name, value] : moments)
      state.create(prefix + "/w/" + name, value, StateKind::optimizer);
    if (rule.counts_steps()) state.create(prefix + "/t", Tensor::scalar(t), StateKind::optimizer);
    const Optimizer optimizer(state, rule);
    Function step = [&](Var dw, Var lr) {
      const ParameterGradient pair{w, dw};
      optimizer.step({&pair, 1}, lr);
      return dw;
    };
    step(Tensor::linspace(-0.6, 0.4, kShape), Tensor::scalar(learning_rate));
  }

  /// What the notebook prints of a state, and how far from it we may be.
  void check(const std::string& name, const std::vector<double>& printed, double error) const {
    BOOST_TEST_CONTEXT(name) { BOOST_TEST(test::relative_error(state.at(name).value(), printed) <= error); }
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(notebook)

BOOST_AUTO_TEST_CASE(cell_5_sgd_momentum) {
  Step step(Momentum{}, 1e-3, {{"velocity", Tensor::linspace(0.6, 0.9, kShape)}});
  step.check("w", {0.1406,     0.20738947, 0.27417895, 0.34096842, 0.40775789, 0.47454737, 0.54133684,
                   0.60812632, 0.67491579, 0.74170526, 0.80849474, 0.87528421, 0.94207368, 1.00886316,
                   1.07565263, 1.14244211, 1.20923158, 1.27602105, 1.34281053, 1.4096},
             8.9e-09);
  step.check("momentum/w/velocity", kVelocity, 4.27e-09);
}

BOOST_AUTO_TEST_CASE(cell_6_sgd_nesterov_momentum) {
  Step step(Nesterov{}, 1e-3, {{"velocity", Tensor::linspace(0.6, 0.9, kShape)}});
  step.check("w", {0.08714,    0.15246105, 0.21778211, 0.28310316, 0.34842421, 0.41374526, 0.47906632,
                   0.54438737, 0.60970842, 0.67502947, 0.74035053, 0.80567158, 0.87099263, 0.93631368,
                   1.00163474, 1.06695579, 1.13227684, 1.19759789, 1.26291895, 1.32824},
             1.088e-08);
  step.check("nesterov/w/velocity", kVelocity, 4.27e-09);
}

BOOST_AUTO_TEST_CASE(cell_8_rmsprop) {
  Step step(RmsProp{}, 1e-2, {{"a", Tensor::linspace(0.6, 0.9, kShape)}});
  step.check("w", {-0.39223849, -0.34037513, -0.28849239, -0.23659121, -0.18467247, -0.132737,  -0.08078555,
                   -0.02881884, 0.02316247,  0.07515774,  0.12716641,  0.17918792,  0.23122175, 0.28326742,
                   0.33532447,  0.38739248,  0.43947102,  0.49155973,  0.54365823,  0.59576619},
             9.53e-08);
  step.check("rmsprop/w/a",
             {0.5976,     0.6126277,  0.6277108,  0.64284931, 0.65804321, 0.67329252, 0.68859723,
              0.70395734, 0.71937285, 0.73484377, 0.75037008, 0.7659518,  0.78158892, 0.79728144,
              0.81302936, 0.82883269, 0.84469141, 0.86060554, 0.87657507, 0.8926},
             2.65e-09);
}

BOOST_AUTO_TEST_CASE(cell_9_adam) {
  Step step(Adam{}, 1e-2,
            {{"v", Tensor::linspace(0.6, 0.9, kShape)}, {"a", Tensor::linspace(0.7, 0.5, kShape)}}, 5);
  step.check("w", {-0.40094747, -0.34836187, -0.29577703, -0.24319299, -0.19060977, -0.1380274, -0.08544591,
                   -0.03286534, 0.01971428,  0.0722929,   0.1248705,   0.17744702,  0.23002243, 0.28259667,
                   0.33516969,  0.38774145,  0.44031188,  0.49288093,  0.54544852,  0.59801459},
             1.1403e-07);
  step.check("adam/w/a", {0.69966,    0.68908382, 0.67851319, 0.66794809, 0.65738853, 0.64683452, 0.63628604,
                          0.6257431,  0.61520571, 0.60467385, 0.59414753, 0.58362676, 0.57311152, 0.56260183,
                          0.55209767, 0.54159906, 0.53110598, 0.52061845, 0.51013645, 0.49966},
             4.21e-09);
  step.check("adam/w/v", {0.48,       0.49947368, 0.51894737, 0.53842105, 0.55789474, 0.57736842, 0.59684211,
                          0.61631579, 0.63578947, 0.65526316, 0.67473684, 0.69421053, 0.71368421, 0.73315789,
                          0.75263158, 0.77210526, 0.79157895, 0.81105263, 0.83052632, 0.85},
             4.22e-09);
  BOOST_TEST(step.state.at("adam/t").value().item() == 6);
}

BOOST_AUTO_TEST_SUITE_END()
