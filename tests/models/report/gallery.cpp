#include <tapestry/models/fully_connected.hpp>
#include <tapestry/models/report/gallery.hpp>
#include <tapestry/models/speedrun.hpp>
#include <tapestry/tests/support/small_cifar10.hpp>

#include <cmath>
#include <limits>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes bytes_of(const Tensor& picture) {
  const auto values = picture.values<std::uint8_t>();
  return {values.begin(), values.end()};
}

Bytes picture(const std::vector<float>& filter) {
  return bytes_of(filter_picture(Tensor::from(filter, {1, std::int64_t(filter.size()) / 3, 3})));
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gallery)

BOOST_AUTO_TEST_CASE(a_filter_is_scaled_to_its_own_range) {
  BOOST_TEST(picture({-1, 0, 3, 1, 2, -1}) == (Bytes{0, 64, 255, 128, 191, 0}),
             boost::test_tools::per_element());
  BOOST_TEST(picture({10, 10.5, 11}) == (Bytes{0, 128, 255}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_has_no_range_is_grey) {
  constexpr float inf = std::numeric_limits<float>::infinity(), most = std::numeric_limits<float>::max();
  BOOST_TEST(picture({5, 5, 5}) == (Bytes{128, 128, 128}), boost::test_tools::per_element());
  BOOST_TEST(picture({NAN, 0, 1, inf, -inf, 1}) == (Bytes{128, 0, 255, 128, 128, 255}),
             boost::test_tools::per_element());
  BOOST_TEST(picture({-most, 0, most}) == (Bytes{0, 128, 255}), boost::test_tools::per_element());
  // The difference of these f64 is infinite.
  constexpr double huge = std::numeric_limits<double>::max();
  const Tensor wide = filter_picture(Tensor::from<double>({-huge, 0, huge}, {1, 1, 3}));
  BOOST_TEST(bytes_of(wide) == (Bytes{0, 128, 255}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(filters_of_a_convolution) {
  StateDict state;
  state.create("data/mean_image", Tensor(DType::f32, {4, 4, 3}), StateKind::statistic);
  state.create("adam/conv/weight/m", Tensor(DType::f32, {2, 1, 3, 2}), StateKind::optimizer);
  // Two filters of 2 x 1 pixels; the second is the first upside down and back to front.
  state.create("conv/weight", Tensor::from<float>({0, 5, 1, 4, 2, 3, 3, 2, 4, 1, 5, 0}, {2, 1, 3, 2}));
  const auto gallery = first_layer(state, {4, 4, 3});
  BOOST_REQUIRE(gallery.has_value());
  BOOST_TEST(contains(gallery->caption, "conv/weight: 2 filters of 2 x 1 pixels"), gallery->caption);
  BOOST_TEST(!contains(gallery->caption, "not trained"));
  BOOST_REQUIRE(gallery->pictures.size() == 2u);
  BOOST_TEST((gallery->pictures[0].pixels.shape() == Shape{2, 1, 3}));
  BOOST_TEST(bytes_of(gallery->pictures[0].pixels) == (Bytes{0, 51, 102, 153, 204, 255}),
             boost::test_tools::per_element());
  BOOST_TEST(bytes_of(gallery->pictures[1].pixels) == (Bytes{255, 204, 153, 102, 51, 0}),
             boost::test_tools::per_element());
  BOOST_TEST(gallery->pictures[1].description == "filter 2");
}

BOOST_AUTO_TEST_CASE(of_many_units_those_with_the_largest_norms) {
  StateDict state;
  Tensor weight(DType::f32, {12, 4});
  const auto values = weight.mutable_values<float>();
  for (std::size_t unit = 0; unit < 4; ++unit) values[5 * 4 + unit] = std::vector<float>{1, -3, 2, 3}[unit];
  state.create("fc1/weight", weight);
  const auto shown = [&](std::int64_t most) {
    std::vector<std::string> names;
    const Gallery gallery = first_layer(state, {2, 2, 3}, most).value();
    for (const Picture& p : gallery.pictures) names.push_back(p.description);
    return names;
  };
  using Names = std::vector<std::string>;
  BOOST_TEST(shown(3) == (Names{"unit 2", "unit 4", "unit 3"}), boost::test_tools::per_element());
  BOOST_TEST(shown(4) == (Names{"unit 1", "unit 2", "unit 3", "unit 4"}), boost::test_tools::per_element());
  const Gallery gallery = first_layer(state, {2, 2, 3}, 3).value();
  BOOST_TEST(contains(gallery.caption, "those 3 with the largest norms of 4 units"), gallery.caption);
  BOOST_TEST(bytes_of(gallery.pictures[0].pixels) ==
                 (Bytes{255, 255, 255, 255, 255, 0, 255, 255, 255, 255, 255, 255}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(weights_that_meet_no_colours) {
  StateDict state;
  state.create("conv/weight", Tensor(DType::f32, {3, 3, 1, 8}));
  state.create("fc/weight", Tensor(DType::f32, {100, 10}));
  BOOST_TEST(!first_layer(state, {10, 10, 3}).has_value());
  BOOST_TEST(!first_layer(state, {10, 10, 1}).has_value());
  BOOST_TEST(!first_layer(StateDict(), {10, 10, 3}).has_value());
}

BOOST_AUTO_TEST_CASE(mistakes_say_what_and_how_sure) {
  const ImageSet& set = small_split().test;
  const std::vector<Mistake> mistakes = {{7, 1, 0, 0.9876}};
  const std::vector<std::string> names = {"cat", "dog"};
  const Gallery gallery = mistakes_gallery(set, mistakes, names);
  BOOST_REQUIRE(gallery.pictures.size() == 1u);
  const Picture& picture = gallery.pictures[0];
  BOOST_TEST(picture.description == "image 7");
  BOOST_TEST(picture.caption == "dog");
  BOOST_TEST(picture.remark == "cat? 98.8%");
  BOOST_TEST(std::ranges::equal(picture.pixels.values<std::uint8_t>(), set.image(7)));
}

BOOST_AUTO_TEST_CASE(models_tell_by_their_state) {
  const Cifar10Split& split = small_split();
  // All images are said to be of class 0: those of other classes are mistakes.
  Tensor probabilities(DType::f32, {split.test.size(), 10});
  for (std::int64_t i = 0; i < split.test.size(); ++i)
    probabilities.mutable_values<float>()[std::size_t(i * 10)] = 1;
  std::size_t wrong = 0;
  for (const std::int64_t label : split.test.labels()) wrong += label != 0;
  BOOST_REQUIRE(wrong > 0u);

  const FullyConnectedNet flat({.hidden = {120}});
  SpeedrunNet speedrun({.widths = {8, 8, 8}});
  const auto of_flat = galleries(flat, split.test, probabilities, split.class_names);
  const auto of_speedrun = galleries(speedrun, split.test, probabilities, split.class_names);
  BOOST_REQUIRE(of_flat.size() == 2u);
  BOOST_REQUIRE(of_speedrun.size() == 2u);
  BOOST_TEST(contains(of_flat[0].caption, "fc1/weight: those 100 with"), of_flat[0].caption);
  BOOST_TEST(of_flat[0].pictures.size() == 100u);
  BOOST_TEST((of_flat[0].pictures[0].pixels.shape() == Shape{32, 32, 3}));
  BOOST_TEST(contains(of_speedrun[0].caption, "whiten/weight: 24 filters of 2 x 2 pixels"));
  BOOST_TEST(contains(of_speedrun[0].caption, "not trained"));
  BOOST_TEST(of_speedrun[0].pictures.size() == 24u);
  BOOST_TEST(of_flat[1].pictures.size() == wrong);

  // A model that is always right has made no mistakes to show.
  Tensor right(DType::f32, {split.test.size(), 10});
  for (std::int64_t i = 0; i < split.test.size(); ++i)
    right.mutable_values<float>()[std::size_t(i * 10 + split.test.label(i))] = 1;
  BOOST_TEST(galleries(flat, split.test, right, split.class_names).size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
