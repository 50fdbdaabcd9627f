#include <tapestry/core/run/parallel.hpp>
#include <tapestry/models/data/cifar10.hpp>
#include <tapestry/models/data/whitening.hpp>
#include <tapestry/tests/support/restore_threads.hpp>
#include <tapestry/tests/support/small_cifar10.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

PixelScale channels() {
  return normalized_channels({32, 32, 3}, kCifar10ChannelMeans, kCifar10ChannelDeviations);
}

/// Patches of the scaled images, one by one, in f64.
std::vector<std::vector<double>> patches(const ImageSet& set, const PixelScale& scale, std::int64_t side) {
  const Shape& s = set.image_shape();
  const PixelWriter writer(s, scale);
  std::vector<std::vector<double>> out;
  std::vector<float> image(std::size_t(set.image_bytes()));
  for (std::int64_t i = 0; i < set.size(); ++i) {
    writer.write(set.image(i), image.data());
    for (std::int64_t y = 0; y + side <= s[0]; ++y) {
      for (std::int64_t x = 0; x + side <= s[1]; ++x) {
        std::vector<double> patch;
        for (std::int64_t k = 0; k < side * side * s[2]; ++k) {
          const std::int64_t c = k % s[2], dx = k / s[2] % side, dy = k / s[2] / side;
          patch.push_back(image[std::size_t(((y + dy) * s[1] + x + dx) * s[2] + c)]);
        }
        out.push_back(std::move(patch));
      }
    }
  }
  return out;
}

/// The covariance of what the first n filters give on all patches.
std::vector<double> filtered_covariance(const std::vector<std::vector<double>>& all, const Tensor& filters) {
  const std::size_t n = all[0].size();
  std::vector<double> mean(n), out(n * n);
  for (const auto& patch : all) {
    for (std::size_t i = 0; i < n; ++i) mean[i] += patch[i] / double(all.size());
  }
  std::vector<double> response(n);
  for (const auto& patch : all) {
    for (std::size_t k = 0; k < n; ++k) {
      response[k] = 0;
      for (std::size_t i = 0; i < n; ++i)
        response[k] += (patch[i] - mean[i]) * filters.at(std::int64_t(i * 2 * n + k));
    }
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) out[i * n + j] += response[i] * response[j] / double(all.size());
    }
  }
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(whitening)

BOOST_AUTO_TEST_CASE(patches_become_uncorrelated) {
  const ImageSet& set = small_split().training;
  const double epsilon = 5e-4;
  for (const std::int64_t side : {1, 2, 3}) {
    const ImageSet few = set.slice(0, 30);
    const Tensor filters = whitening_filters(few, channels(), {.patch = side, .epsilon = epsilon});
    const std::int64_t n = side * side * 3;
    BOOST_TEST((filters.type() == Type{DType::f32, {side, side, 3, 2 * n}}));
    const auto cov = filtered_covariance(patches(few, channels(), side), filters);
    double before = 2;
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        if (i != j) BOOST_TEST(std::abs(cov[std::size_t(i * n + j)]) < 1e-4, i << ' ' << j);
      }
      // lambda / (lambda + epsilon), where 1 / (lambda + epsilon) is the filter's squared length
      double length = 0, largest = 0;
      for (std::int64_t k = 0; k < n; ++k) {
        const double value = filters.at(k * 2 * n + i);
        length += value * value;
        if (std::abs(value) > std::abs(largest)) largest = value;
        BOOST_TEST(filters.at(k * 2 * n + n + i) == -value);
      }
      const double variance = cov[std::size_t(i * n + i)];
      BOOST_TEST(std::abs(variance - (1 - epsilon * length)) < 1e-4);
      BOOST_TEST(variance <= before + 1e-9);  // the largest eigenvalue first
      BOOST_TEST(largest > 0);
      before = variance;
    }
  }
}

BOOST_AUTO_TEST_CASE(only_the_first_images_count) {
  const ImageSet& set = small_split().training;
  const Tensor few = whitening_filters(set, channels(), {.images = 40});
  BOOST_TEST(identical(few, whitening_filters(set.slice(0, 40), channels())));
  BOOST_TEST(!identical(few, whitening_filters(set, channels())));
}

BOOST_AUTO_TEST_CASE(threads_do_not_matter) {
  const RestoreThreads restore;
  set_thread_count(1);
  const Tensor one = whitening_filters(small_split().training, channels());
  for (const int threads : {2, 5}) {
    set_thread_count(threads);
    BOOST_TEST(identical(one, whitening_filters(small_split().training, channels())));
  }
}

BOOST_AUTO_TEST_CASE(images_without_contrast) {
  Tensor pixels = Tensor::full<std::uint8_t>({2, 2, 2, 3}, 200);
  const ImageSet grey(pixels, Tensor(DType::i64, {2}));
  const Tensor filters = whitening_filters(grey, {}, {.epsilon = 0.25});
  double length = 0;
  for (std::int64_t i = 0; i < 12; ++i) length += filters.at(i * 24) * filters.at(i * 24);
  BOOST_TEST(std::abs(length - 4) < 1e-6);
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  const ImageSet& set = small_split().training;
  BOOST_TEST(thrown([&] { whitening_filters(set.slice(0, 0), channels()); }) ==
             "whitening filters of no images were asked for");
  BOOST_TEST(thrown([&] { whitening_filters(set, channels(), {.patch = 33}); }) ==
             "images [32, 32, 3] have no patches of 33 x 33");
  BOOST_TEST(thrown([&] { whitening_filters(set, channels(), {.epsilon = 0}); }) ==
             "whitening needs a positive epsilon, not 0");
  BOOST_TEST(thrown([&] { whitening_filters(set, small_split().mean); }) ==
             "whitening needs one mean for all pixels of a channel, not a mean image");
}

BOOST_AUTO_TEST_SUITE_END()
