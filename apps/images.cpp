#include "images.hpp"

#include <tapestry/models/data/cifar10.hpp>

#include <algorithm>
#include <charconv>

namespace tapestry::app {
namespace {

/// The number of pixels in "translate=2".
std::int64_t size_in(std::string_view item, std::string_view name) {
  const std::string_view number = item.substr(std::min(item.size(), name.size() + 1));
  std::int64_t size = 0;
  const char* end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, size);
  demand(error == std::errc() && stop == end && size >= 0 && size <= kCifar10Side, "--augment: ", name,
         " takes 0 to ", kCifar10Side, " pixels, as in ", name, "=2, not '", item, "'");
  return size;
}

}  // namespace

PixelScale make_pixels(const std::string& name, const Tensor& mean) {
  if (name == "mean-image") return mean;
  demand(name == "channels", "--pixels is mean-image or channels, not '", name, "'");
  return normalized_channels({kCifar10Side, kCifar10Side, 3}, kCifar10ChannelMeans,
                             kCifar10ChannelDeviations);
}

Augmentation make_augmentation(const std::string& list) {
  Augmentation out;
  if (list == "none") return out;
  bool flips = false, moves = false, cuts = false;
  const auto once = [&](bool& seen, const char* what) {
    demand(!seen, "--augment says twice how to ", what, " images: '", list, "'");
    seen = true;
  };
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    const std::string_view item = std::string_view(list).substr(at, comma - at);
    const std::string_view name = item.substr(0, item.find('='));
    if (item == "flip" || item == "alternating") {
      once(flips, "flip");
      out.flip = item == "flip" ? Flip::random : Flip::alternating;
    } else if (name == "translate" || name == "crop") {
      once(moves, "move");
      out.translate = size_in(item, name);
      out.border = name == "crop" ? Border::zero : Border::reflect;
    } else {
      demand(name == "cutout",
             "--augment is none, or some of flip, alternating, translate=N, crop=N and cutout=N, separated "
             "by commas; not '",
             list, "'");
      once(cuts, "cut");
      out.cutout = size_in(item, name);
    }
    at = comma + 1;
  }
  return out;
}

Views make_views(const std::string& name) {
  if (name == "none") return Views::single;
  if (name == "mirror") return Views::mirror;
  demand(name == "translate", "--tta is none, mirror or translate, not '", name, "'");
  return Views::translate;
}

}  // namespace tapestry::app
