#include <tapestry/models/evaluate.hpp>
#include <tapestry/models/fully_connected.hpp>
#include <tapestry/tests/support/naive_pixels.hpp>
#include <tapestry/tests/support/small_cifar10.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <algorithm>
#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

/// Its scores are large enough that views differ, and so small that no probability is 0.
FullyConnectedNet net() { return FullyConnectedNet({.hidden = {20}, .weight_scale = 0.02, .seed = 3}); }

/// Each image placed so, as bytes.
ImageSet placed(const ImageSet& set, const ImagePlacement& placement) {
  const Shape& image = set.image_shape();
  Tensor pixels(DType::u8, {set.size(), image[0], image[1], image[2]}), labels(DType::i64, {set.size()});
  const auto out = pixels.mutable_values<std::uint8_t>();
  for (std::int64_t i = 0; i < set.size(); ++i) {
    const auto floats = naive_placed(image, set.image(i), placement, {});
    std::ranges::transform(floats, out.begin() + i * set.image_bytes(),
                           [](float x) { return std::uint8_t(x); });
    labels.mutable_values<std::int64_t>()[std::size_t(i)] = set.label(i);
  }
  return {pixels, labels};
}

/// The image cut out of itself with a border of one reflected pixel, at this place.
ImagePlacement out_of_padded(std::int64_t top, std::int64_t left) { return {.dy = 1 - top, .dx = 1 - left}; }

std::vector<double> log_probabilities(const FullyConnectedNet& model, const ImageSet& set) {
  Evaluator evaluator(model, small_split().mean);
  const Tensor p = evaluator.probabilities(set);
  std::vector<double> out;
  for (std::int64_t i = 0; i < p.elements(); ++i) out.push_back(std::log(p.at(i)));
  return out;
}

struct Part {
  ImageSet images;
  double weight;
};

/// Scores may be shifted by any number before a softmax, so logarithms of probabilities do for them.
std::vector<double> averaged(const FullyConnectedNet& model, const std::vector<Part>& parts) {
  std::vector<double> scores;
  for (const Part& part : parts) {
    const auto logs = log_probabilities(model, part.images);
    scores.resize(logs.size());
    for (std::size_t i = 0; i < logs.size(); ++i) scores[i] += part.weight * logs[i];
  }
  for (std::size_t row = 0; row < scores.size(); row += 10) {
    double total = 0;
    for (std::size_t c = 0; c < 10; ++c) total += std::exp(scores[row + c]);
    for (std::size_t c = 0; c < 10; ++c) scores[row + c] = std::exp(scores[row + c]) / total;
  }
  return scores;
}

void check_near(const Tensor& got, const std::vector<double>& expected) {
  BOOST_REQUIRE(std::size_t(got.elements()) == expected.size());
  double worst = 0;
  for (std::size_t i = 0; i < expected.size(); ++i)
    worst = std::max(worst, std::abs(got.at(std::int64_t(i)) - expected[i]));
  BOOST_TEST(worst < 2e-6);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(evaluate)

BOOST_AUTO_TEST_CASE(the_mirror_image_counts_as_much) {
  const FullyConnectedNet model = net();
  const ImageSet& images = small_split().validation;
  const ImageSet mirrored = placed(images, {.flip = true});
  const auto expected = averaged(model, {{images, 0.5}, {mirrored, 0.5}});
  // One batch; batches and a partial one; a batch size that holds less than the views of one image.
  for (const std::int64_t batch_size : {1000, 14, 1}) {
    Evaluator evaluator(model, small_split().mean, {batch_size, Views::mirror});
    check_near(evaluator.probabilities(images), expected);
    check_near(evaluator.probabilities(mirrored), expected);
  }
  Evaluator single(model, small_split().mean);
  double moved = 0;
  const Tensor alone = single.probabilities(images);
  for (std::size_t i = 0; i < expected.size(); ++i)
    moved = std::max(moved, std::abs(alone.at(std::int64_t(i)) - expected[i]));
  BOOST_TEST(moved > 0.01);
}

BOOST_AUTO_TEST_CASE(moved_by_a_pixel_both_ways) {
  const FullyConnectedNet model = net();
  const ImageSet& images = small_split().validation;
  const auto mirror = [](const ImageSet& set) { return placed(set, {.flip = true}); };
  const ImageSet top_left = placed(images, out_of_padded(0, 0));
  const ImageSet bottom_right = placed(images, out_of_padded(2, 2));
  const auto expected = averaged(model, {{images, 0.25},
                                         {mirror(images), 0.25},
                                         {top_left, 0.125},
                                         {mirror(top_left), 0.125},
                                         {bottom_right, 0.125},
                                         {mirror(bottom_right), 0.125}});
  for (const std::int64_t batch_size : {1000, 50, 1}) {
    Evaluator evaluator(model, small_split().mean, {batch_size, Views::translate});
    check_near(evaluator.probabilities(images), expected);
  }
}

BOOST_AUTO_TEST_CASE(weights_add_up_to_one) {
  for (const Views views : {Views::single, Views::mirror, Views::translate}) {
    float total = 0;
    for (const WeightedView& view : weighted_views(views)) total += view.weight;
    BOOST_TEST(total == 1.0f);
  }
}

BOOST_AUTO_TEST_CASE(no_images) {
  const FullyConnectedNet model = net();
  for (const Views views : {Views::single, Views::translate}) {
    Evaluator evaluator(model, small_split().mean, {.views = views});
    BOOST_TEST(std::isnan(evaluator.accuracy(small_split().test.slice(0, 0))));
  }
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  const FullyConnectedNet model = net();
  BOOST_TEST(thrown([&] {
               Evaluator(model, Tensor(DType::f32, {4, 4, 3}));
             }) == "fully_connected takes images of [3072], the mean image is [4, 4, 3]");
  BOOST_TEST(thrown([&] { Evaluator(model, {}, {.batch_size = 0}); }) ==
             "an evaluation's batch size must be positive, not 0");
  const ImageSet small(Tensor(DType::u8, {1, 4, 4, 3}), Tensor(DType::i64, {1}));
  BOOST_TEST(thrown([&] { Evaluator(model, {}).accuracy(small); }) ==
             "fully_connected takes images of [3072], not of [4, 4, 3]");
}

BOOST_AUTO_TEST_CASE(the_worst_mistakes_come_first) {
  const Tensor probabilities = Tensor::from<float>({0.6f, 0.4f, 0,     //
                                                    0.3f, 0.7f, 0,     //
                                                    0,    0.6f, 0.4f,  //
                                                    0.9f, 0.1f, 0,     //
                                                    0.5f, 0.5f, 0,     //
                                                    NAN,  NAN,  NAN,   //
                                                    0,    0,    1},
                                                   {7, 3});
  const std::vector<std::int64_t> labels = {1, 0, 0, 0, 1, 1, 2};
  const auto images = [&](std::size_t most) {
    std::vector<std::int64_t> out;
    for (const Mistake& m : worst_mistakes(probabilities, labels, most)) out.push_back(m.image);
    return out;
  };
  using Indices = std::vector<std::int64_t>;
  // Images 3 and 6 are right; 0 and 2 are alike, so the first comes first; of equal classes the first counts.
  BOOST_TEST(images(10) == (Indices{1, 0, 2, 4}), boost::test_tools::per_element());
  BOOST_TEST(images(2) == (Indices{1, 0}), boost::test_tools::per_element());
  BOOST_TEST(images(0).empty());
  const Mistake worst = worst_mistakes(probabilities, labels, 1).at(0);
  BOOST_TEST(worst.label == 0);
  BOOST_TEST(worst.predicted == 1);
  BOOST_TEST(worst.probability == 0.7f);
}

BOOST_AUTO_TEST_CASE(confusion_by_probabilities_that_are_known) {
  const FullyConnectedNet model = net();
  const Cifar10Split& split = small_split();
  Evaluator evaluator(model, split.mean);
  const ConfusionMatrix expected = evaluator.confusion(split.training, split.class_names);
  const ConfusionMatrix got =
      confusion(evaluator.probabilities(split.training), split.training.labels(), split.class_names);
  BOOST_TEST(got.counts == expected.counts, boost::test_tools::per_element());
  BOOST_TEST(got.total() == split.training.size());
}

BOOST_AUTO_TEST_SUITE_END()
