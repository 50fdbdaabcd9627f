#include <tapestry/models/data/loader.hpp>
#include <tapestry/tests/support/allocations.hpp>
#include <tapestry/tests/support/naive_pixels.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <algorithm>
#include <numeric>
#include <thread>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

/// Image i is i, i + 1, ..., i + 5 and has the label 100 + i.
ImageSet numbered(std::int64_t count) {
  Tensor images(DType::u8, {count, 1, 2, 3}), labels(DType::i64, {count});
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t k = 0; k < 6; ++k)
      images.mutable_values<std::uint8_t>()[std::size_t(i * 6 + k)] = std::uint8_t(i + k);
    labels.mutable_values<std::int64_t>()[std::size_t(i)] = 100 + i;
  }
  return {images, labels};
}

/// The images of the next batches, after a check that pixels and labels belong together.
std::vector<std::int64_t> draw(BatchLoader& loader, std::int64_t batches) {
  std::vector<std::int64_t> drawn;
  for (std::int64_t b = 0; b < batches; ++b) {
    const Batch batch = loader.next();
    BOOST_REQUIRE(batch.images.shape()[0] == batch.labels.elements());
    for (std::int64_t i = 0; i < batch.labels.elements(); ++i) {
      const std::int64_t image = batch.labels.values<std::int64_t>()[std::size_t(i)] - 100;
      for (std::int64_t k = 0; k < 6; ++k) BOOST_REQUIRE(batch.images.at(i * 6 + k) == double(image + k));
      drawn.push_back(image);
    }
  }
  return drawn;
}

constexpr Augmentation kAllKinds{Flip::alternating, 1, Border::reflect, 1};

std::vector<std::int64_t> counted(std::int64_t count) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(count));
  std::iota(out.begin(), out.end(), 0);
  return out;
}

std::vector<std::int64_t> sorted(std::vector<std::int64_t> values) {
  std::ranges::sort(values);
  return values;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(loader)

BOOST_AUTO_TEST_CASE(sequential_gives_all_in_order_the_rest_included) {
  BatchLoader loader(numbered(10), {}, BatchOptions::evaluation(4));
  BOOST_TEST(loader.batches_per_epoch() == 3);
  for (int epoch = 0; epoch < 3; ++epoch) {
    BOOST_TEST((loader.position() == BatchPosition{epoch, 0}));
    BOOST_TEST(draw(loader, 3) == counted(10), boost::test_tools::per_element());
  }
  const Batch first = loader.next();
  BOOST_TEST((first.images.shape() == Shape{4, 6}));
  BOOST_TEST((first.position == BatchPosition{3, 0}));
  loader.next();
  const Batch last = loader.next();
  BOOST_TEST((last.images.shape() == Shape{2, 6}));
  BOOST_TEST((last.labels.shape() == Shape{2}));
  BOOST_TEST((last.position == BatchPosition{3, 2}));
}

BOOST_AUTO_TEST_CASE(sizes_that_fit_exactly_or_are_larger_than_the_set) {
  BatchLoader exact(numbered(8), {}, BatchOptions::evaluation(4));
  BOOST_TEST(exact.batches_per_epoch() == 2);
  BOOST_TEST(draw(exact, 2) == counted(8), boost::test_tools::per_element());
  BatchLoader large(numbered(3), {}, BatchOptions::evaluation(100));
  BOOST_TEST(large.batches_per_epoch() == 1);
  BOOST_TEST(draw(large, 1) == counted(3), boost::test_tools::per_element());
  BatchLoader single(numbered(1), {}, {.batch_size = 1});
  BOOST_TEST(draw(single, 5) == std::vector<std::int64_t>(5), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(shuffled_gives_every_image_once_an_epoch) {
  BatchLoader loader(numbered(120), {}, {.batch_size = 40, .seed = 7});
  BOOST_TEST(loader.batches_per_epoch() == 3);
  const auto first = draw(loader, 3), second = draw(loader, 3);
  BOOST_TEST(sorted(first) == counted(120), boost::test_tools::per_element());
  BOOST_TEST(sorted(second) == counted(120), boost::test_tools::per_element());
  BOOST_TEST((first != second));
  BOOST_TEST((first != counted(120)));
}

BOOST_AUTO_TEST_CASE(shuffled_drops_the_rest_unless_told_otherwise) {
  BatchLoader dropping(numbered(50), {}, {.batch_size = 40, .seed = 7});
  BOOST_TEST(dropping.batches_per_epoch() == 1);
  BOOST_TEST(draw(dropping, 1).size() == 40u);
  BatchLoader keeping(numbered(50), {}, {.batch_size = 40, .keep_partial = true, .seed = 7});
  BOOST_TEST(keeping.batches_per_epoch() == 2);
  BOOST_TEST(sorted(draw(keeping, 2)) == counted(50), boost::test_tools::per_element());
  BOOST_TEST(sorted(draw(keeping, 2)) == counted(50), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(replacement_draws_each_batch_from_all) {
  BatchLoader loader(numbered(20), {}, {.batch_size = 50, .order = BatchOrder::replacement, .seed = 7});
  BOOST_TEST(loader.batches_per_epoch() == 1);
  std::vector<int> count(20);
  for (const std::int64_t image : draw(loader, 80)) ++count[std::size_t(image)];
  // 4000 draws, 200 expected of each with a deviation of 14.
  for (const int n : count) BOOST_TEST((n > 130 && n < 270));
}

BOOST_AUTO_TEST_CASE(the_seed_decides) {
  for (const BatchOrder order : {BatchOrder::shuffled, BatchOrder::replacement}) {
    BatchLoader a(numbered(100), {}, {.batch_size = 10, .order = order, .seed = 7});
    BatchLoader b(numbered(100), {}, {.batch_size = 10, .order = order, .seed = 7});
    BatchLoader c(numbered(100), {}, {.batch_size = 10, .order = order, .seed = 8});
    const auto drawn = draw(a, 25);
    BOOST_TEST(drawn == draw(b, 25), boost::test_tools::per_element());
    BOOST_TEST((drawn != draw(c, 25)));
  }
}

BOOST_AUTO_TEST_CASE(a_seek_resumes_exactly) {
  for (const BatchOrder order : {BatchOrder::shuffled, BatchOrder::replacement, BatchOrder::sequential}) {
    const BatchOptions options{.batch_size = 10, .order = order, .keep_partial = true, .seed = 7};
    BatchLoader loader(numbered(95), {}, options);
    for (int done = 0; done < 25; ++done) {
      BatchLoader resumed(numbered(95), {}, options);
      if (done % 2) draw(resumed, 3);  // a seek from elsewhere, with a batch under way
      resumed.seek(loader.position());
      BOOST_TEST((resumed.position() == loader.position()));
      BatchLoader expected(numbered(95), {}, options);
      draw(expected, done);
      BOOST_TEST(draw(resumed, 12) == draw(expected, 12), boost::test_tools::per_element());
      draw(loader, 1);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_mean_is_subtracted_and_the_shape_kept_if_wanted) {
  const Tensor mean = Tensor::from({0.5f, 1.0f, 1.5f, 2.0f, 2.5f, 3.25f}, {1, 2, 3});
  BatchLoader loader(numbered(4), mean, {.batch_size = 2, .order = BatchOrder::sequential, .flatten = false});
  loader.next();
  const Batch batch = loader.next();
  BOOST_TEST((batch.images.type() == Type{DType::f32, {2, 1, 2, 3}}));
  BOOST_TEST((batch.labels.type() == Type{DType::i64, {2}}));
  for (int k = 0; k < 6; ++k) {
    BOOST_TEST(batch.images.at(k) == 2 + k - mean.at(k));
    BOOST_TEST(batch.images.at(6 + k) == 3 + k - mean.at(k));
  }
}

BOOST_AUTO_TEST_CASE(images_are_placed_by_seed_epoch_and_number) {
  const ImageSet set = numbered(50);
  PixelScale scale;
  scale.mean = Tensor::from({0.5f, 1.0f, 1.5f, 2.0f, 2.5f, 3.25f}, {1, 2, 3});
  scale.scale = Tensor::from({0.5f, 2.0f, 3.0f}, {3});
  for (const BatchOrder order : {BatchOrder::shuffled, BatchOrder::replacement, BatchOrder::sequential}) {
    for (const std::int64_t batch_size : {1, 8, 50}) {  // an epoch of 8s ends with a batch of 2
      BatchLoader loader(
          set, scale,
          {.batch_size = batch_size, .order = order, .keep_partial = true, .seed = 7, .augment = kAllKinds});
      for (std::int64_t b = 0; b < 3 * loader.batches_per_epoch(); ++b) {
        const Batch batch = loader.next();
        const std::span<const float> pixels = batch.images.values<float>();
        for (std::int64_t i = 0; i < batch.labels.elements(); ++i) {
          const auto image = std::int64_t(batch.labels.at(i)) - 100;
          const ImagePlacement placement =
              place(kAllKinds, set.image_shape(), 7, batch.position.epoch, image);
          const auto expected = naive_placed(set.image_shape(), set.image(image), placement, scale);
          BOOST_TEST(pixels.subspan(std::size_t(i * 6), 6) == expected, boost::test_tools::per_element());
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_seek_into_augmented_batches) {
  const BatchOptions options{.batch_size = 10, .keep_partial = true, .seed = 7, .augment = kAllKinds};
  for (const BatchPosition position : {BatchPosition{0, 3}, BatchPosition{1, 4}, BatchPosition{2, 0}}) {
    BatchLoader through(numbered(45), {}, options), resumed(numbered(45), {}, options);
    while (through.position() != position) through.next();
    resumed.seek(position);
    for (int b = 0; b < 7; ++b) {
      const Batch x = through.next(), y = resumed.next();
      BOOST_TEST(identical(x.images, y.images));
      BOOST_TEST(identical(x.labels, y.labels));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_batch_lives_until_the_next_and_a_copy_for_ever) {
  BatchLoader loader(numbered(100), {}, {.batch_size = 10, .order = BatchOrder::sequential});
  std::vector<Tensor> copies;
  for (int b = 0; b < 10; ++b) {
    const Batch batch = loader.next();
    copies.push_back(batch.labels);
    std::this_thread::yield();
    BOOST_TEST(batch.labels.at(0) == 100 + 10 * b);
  }
  for (int b = 0; b < 10; ++b) BOOST_TEST(copies[std::size_t(b)].at(9) == 109 + 10 * b);
}

BOOST_AUTO_TEST_CASE(next_allocates_nothing) {
  for (const BatchOrder order : {BatchOrder::shuffled, BatchOrder::replacement, BatchOrder::sequential}) {
    for (const Augmentation& augment : {Augmentation{}, kAllKinds}) {
      BatchLoader loader(numbered(95), {},
                         {.batch_size = 10, .order = order, .keep_partial = true, .augment = augment});
      loader.next();
      const std::size_t before = allocations();
      for (int b = 0; b < 50; ++b) loader.next();  // several epochs
      loader.seek({2, 3});
      loader.next();
      BOOST_TEST(allocations() - before == 0u);
    }
  }
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  const auto make = [](std::int64_t images, const BatchOptions& options, const Tensor& mean = {}) {
    return thrown([&] { BatchLoader(numbered(images), mean, options); });
  };
  BOOST_TEST(make(50, {}) == "a batch of 100 can't be drawn from 50 images");
  BOOST_TEST(make(0, {.batch_size = 1, .keep_partial = true}) == "batches can't be made of no images");
  BOOST_TEST(make(5, {.batch_size = 0}) == "a batch can't have 0 images");
  BOOST_TEST(make(5, {.batch_size = 1}, Tensor(DType::f32, {2, 1, 3})) ==
             "the mean image is f32 [2, 1, 3], but the images are [1, 2, 3]");
  BOOST_TEST(make(5, {.batch_size = 1}, Tensor(DType::f64, {1, 2, 3})) ==
             "the mean image is f64 [1, 2, 3], but the images are [1, 2, 3]");
  BOOST_TEST(make(5, {.batch_size = 1, .augment = {.cutout = -1}}) ==
             "a square of -1 pixels can't be cut out of images");
  BatchLoader loader(numbered(95), {}, {.batch_size = 10});
  BOOST_TEST(thrown([&] {
               loader.seek({1, 9});
             }) == "there is no batch 9 of epoch 1; an epoch has 9 batches");
  BOOST_CHECK_THROW(loader.seek({-1, 0}), Error);
}

BOOST_AUTO_TEST_SUITE_END()
