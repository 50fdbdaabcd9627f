// Batches of CIFAR-10's shape, made on one core. Items are images.
#include <tapestry/core/random.hpp>
#include <tapestry/models/data/augment.hpp>
#include <tapestry/models/data/cifar10.hpp>

#include <vector>

#include <benchmark/benchmark.h>

using namespace tapestry;

namespace {

constexpr std::int64_t kImages = 2000;

void place_and_write(benchmark::State& state, const Augmentation& augment) {
  const Shape shape{32, 32, 3};
  const PixelWriter writer(shape,
                           normalized_channels(shape, kCifar10ChannelMeans, kCifar10ChannelDeviations));
  const std::size_t size = std::size_t(shape.elements());
  std::vector<std::uint8_t> bytes(size * kImages);
  Random random(1);
  for (std::uint8_t& byte : bytes) byte = std::uint8_t(random.below(256));
  std::vector<float> batch(bytes.size());
  PixelMap map(shape);
  std::int64_t epoch = 0;
  for (auto _ : state) {
    for (std::int64_t i = 0; i < kImages; ++i) {
      const auto image = std::span(bytes).subspan(std::size_t(i) * size, size);
      float* out = batch.data() + std::size_t(i) * size;
      if (augment == Augmentation{}) {
        writer.write(image, out);
      } else {
        map.set(place(augment, shape, 0, epoch, i));
        writer.write(image, map, out);
      }
    }
    ++epoch;
    benchmark::DoNotOptimize(batch.data());
  }
  state.SetItemsProcessed(state.iterations() * kImages);
}

BENCHMARK_CAPTURE(place_and_write, none, Augmentation{});
BENCHMARK_CAPTURE(place_and_write, flip, Augmentation{.flip = Flip::random});
BENCHMARK_CAPTURE(place_and_write, alternating_flip_and_translate,
                  Augmentation{.flip = Flip::alternating, .translate = 2});
BENCHMARK_CAPTURE(place_and_write, crop_and_cutout,
                  Augmentation{.flip = Flip::random, .translate = 4, .border = Border::zero, .cutout = 8});

}  // namespace
