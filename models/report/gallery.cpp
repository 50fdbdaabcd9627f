#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/gallery.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tapestry {
namespace {

constexpr std::size_t kMistakes = 24;

/// Column `column` of a matrix with as many rows as `shape` has elements: filters lie beside each other.
Tensor column_of(const Tensor& matrix, std::int64_t column, const Shape& shape) {
  const std::int64_t columns = matrix.elements() / shape.elements();
  Tensor out(DType::f64, shape);
  std::int64_t at = column;
  for (double& value : out.mutable_values<double>()) {
    value = matrix.at(at);
    at += columns;
  }
  return out;
}

double squared_norm(const Tensor& filter) {
  const auto values = filter.values<double>();
  const double sum = std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
  return std::isnan(sum) ? 0 : sum;
}

/// What one filter of the weight looks like; nothing if it meets no colours.
std::optional<Shape> filter_shape(const Shape& weight, const Shape& image) {
  if (weight.rank() == 4 && weight[2] == 3) return Shape{weight[0], weight[1], 3};
  if (weight.rank() == 2 && image[2] == 3 && weight[0] == image.elements()) return image;
  return std::nullopt;
}

/// Ten whole images or sixteen smaller filters fit beside each other, each of their pixels as a whole number.
int shown_width(std::int64_t pixels) { return pixels >= 32 ? 96 : int(56 / pixels * pixels); }

}  // namespace

Tensor filter_picture(const Tensor& filter) {
  Tensor picture(DType::u8, filter.shape());
  const auto out = picture.mutable_values<std::uint8_t>();
  double low = INFINITY, high = -INFINITY;
  for (std::int64_t i = 0; i < filter.elements(); ++i) {
    if (!std::isfinite(filter.at(i))) continue;
    low = std::min(low, filter.at(i));
    high = std::max(high, filter.at(i));
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double value = filter.at(std::int64_t(i));
    const bool grey = !std::isfinite(value) || high <= low;
    out[i] = grey ? std::uint8_t(128)
                  : std::uint8_t(std::lround(255 * ((value / 2 - low / 2) / (high / 2 - low / 2))));
  }
  return picture;
}

std::optional<Gallery> first_layer(const StateDict& state, const Shape& image, std::int64_t most) {
  const auto meets_colours = [&](const State& s) {
    return s.kind() != StateKind::optimizer && filter_shape(s.type().shape, image).has_value();
  };
  const auto found = std::ranges::find_if(state.all(), meets_colours);
  if (found == state.end()) return std::nullopt;
  const Shape shape = *filter_shape(found->type().shape, image);
  const bool whole_images = found->type().shape.rank() == 2;

  const std::int64_t count = found->type().shape.back();
  struct Filter {
    std::int64_t index;
    Tensor weights;
  };
  std::vector<Filter> filters;
  for (std::int64_t i = 0; i < count; ++i) filters.push_back({i, column_of(found->value(), i, shape)});
  if (count > most) {
    std::ranges::stable_sort(filters, std::ranges::greater(),
                             [](const Filter& f) { return squared_norm(f.weights); });
    filters.resize(std::size_t(most));
  }

  Gallery gallery{.title = "What the first layer looks for", .width = shown_width(shape[1])};
  gallery.caption = text(found->name(), ": ");
  if (count > most) gallery.caption += text("those ", most, " with the largest norms of ");
  gallery.caption += text(count, whole_images ? " units, their weights as pictures of " : " filters of ",
                          shape[0], " x ", shape[1], " pixels, each scaled to its own range.");
  if (found->kind() == StateKind::statistic)
    gallery.caption +=
        " They were made of the training images and are not trained. The layers that are see their responses "
        "and not colours, so those filters can't be shown as pictures.";
  for (const Filter& filter : filters)
    gallery.pictures.push_back(
        {filter_picture(filter.weights), text(whole_images ? "unit " : "filter ", filter.index + 1)});
  return gallery;
}

Gallery mistakes_gallery(const ImageSet& set, std::span<const Mistake> mistakes,
                         std::span<const std::string> class_names) {
  Gallery gallery{.title = "The worst mistakes", .width = 112};
  gallery.caption = text("The ", mistakes.size(),
                         " images with the highest probability for a wrong class: what each is, and what it "
                         "was taken for with which probability.");
  for (const Mistake& m : mistakes) {
    Tensor pixels(DType::u8, set.image_shape());
    std::ranges::copy(set.image(m.image), pixels.mutable_values<std::uint8_t>().begin());
    gallery.pictures.push_back(
        {.pixels = std::move(pixels),
         .description = text("image ", m.image),
         .caption = class_names[std::size_t(m.label)],
         .remark = text(class_names[std::size_t(m.predicted)], "? ", format_percent(m.probability))});
  }
  return gallery;
}

std::vector<Gallery> galleries(const Model& model, const ImageSet& set, const Tensor& probabilities,
                               std::span<const std::string> class_names) {
  std::vector<Gallery> all;
  if (auto gallery = first_layer(model.state(), set.image_shape())) all.push_back(std::move(*gallery));
  const std::vector<Mistake> mistakes = worst_mistakes(probabilities, set.labels(), kMistakes);
  if (!mistakes.empty()) all.push_back(mistakes_gallery(set, mistakes, class_names));
  return all;
}

}  // namespace tapestry
