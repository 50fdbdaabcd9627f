#include <tapestry/core/random.hpp>
#include <tapestry/models/data/augment.hpp>

#include <algorithm>

namespace tapestry {
namespace {

// Users of the run's seed, so that nothing else drawn from it is related.
constexpr std::uint64_t kPlaces = std::uint64_t{0x706c6163} << 32;
constexpr std::uint64_t kFirstFlips = std::uint64_t{0x666c6970} << 32;

}  // namespace

void check_augmentation(const Augmentation& a) {
  constexpr std::int64_t kMost = 1 << 20;
  require(a.translate >= 0 && a.translate <= kMost, "images can't be moved by up to ", a.translate,
          " pixels");
  require(a.cutout >= 0 && a.cutout <= kMost, "a square of ", a.cutout, " pixels can't be cut out of images");
}

ImagePlacement place(const Augmentation& a, const Shape& shape, std::uint64_t seed, std::int64_t epoch,
                     std::int64_t image) {
  Random random(derive_seed(seed, kPlaces + std::uint64_t(epoch)), std::uint64_t(image));
  // All is drawn whether used or not, so that one option doesn't change what another draws.
  ImagePlacement out{.border = a.border};
  const bool flip = random.below(2) == 1;
  out.dy = random.below(2 * a.translate + 1) - a.translate;
  out.dx = random.below(2 * a.translate + 1) - a.translate;
  const std::int64_t top = random.below(std::max<std::int64_t>(shape[0], 1)) - a.cutout / 2;
  const std::int64_t left = random.below(std::max<std::int64_t>(shape[1], 1)) - a.cutout / 2;

  if (a.flip == Flip::random) out.flip = flip;
  if (a.flip == Flip::alternating) {
    Random first(derive_seed(seed, kFirstFlips), std::uint64_t(image));
    out.flip = (first.below(2) == 1) != (epoch % 2 == 1);
  }
  if (a.cutout > 0) out.cut = {top, left, top + a.cutout, left + a.cutout};
  return out;
}

}  // namespace tapestry
