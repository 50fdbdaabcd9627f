// cifar_train's settings, in this process.
#pragma once

#include <tapestry/apps/config.hpp>
#include <tapestry/tests/support/cifar_train.hpp>

#include <boost/program_options.hpp>
#include <boost/test/unit_test.hpp>

namespace tapestry::test {

/// The settings of `train` with these words; throws what train would.
inline app::Config completed(const Words& words) {
  app::Config config;
  boost::program_options::options_description options;
  options.add(app::model_options(config)).add(app::training_options(config)).add(app::data_options(config));
  app::Given given;
  BOOST_REQUIRE(app::parse(words, options, "train", given));
  app::complete(config, given);
  app::refuse_unused(config, given);
  return config;
}

}  // namespace tapestry::test
