#include <tapestry/core/random.hpp>
#include <tapestry/models/data/loader.hpp>

#include <algorithm>
#include <numeric>
#include <utility>

namespace tapestry {
namespace {

// Streams of our own under the run's seed, so that nothing else drawn from it is related.
constexpr std::uint64_t kShuffleStreams = std::uint64_t{0x73687566} << 32;
constexpr std::uint64_t kReplacementStreams = std::uint64_t{0x7265706c} << 32;

}  // namespace

BatchLoader::BatchLoader(ImageSet set, PixelScale scale, const BatchOptions& options)
    : set_(std::move(set)),
      writer_(set_.image_shape(), std::move(scale)),
      options_(options),
      map_(set_.image_shape()) {
  const std::int64_t images = set_.size();
  require(images > 0, "batches can't be made of no images");
  require(options_.batch_size > 0, "a batch can't have ", options_.batch_size, " images");
  check_augmentation(options_.augment);

  const bool replacement = options_.order == BatchOrder::replacement;
  const bool partial = options_.keep_partial && !replacement;
  if (partial) options_.batch_size = std::min(options_.batch_size, images);
  const std::int64_t full = images / options_.batch_size, rest = images % options_.batch_size;
  require(full > 0 || replacement, "a batch of ", options_.batch_size, " can't be drawn from ", images,
          " images");
  batches_per_epoch_ = partial && rest > 0 ? full + 1 : std::max<std::int64_t>(full, 1);

  slots_[0] = make_slot(options_.batch_size);
  slots_[1] = make_slot(options_.batch_size);
  slots_[2] = make_slot(partial ? rest : 0);
  chosen_.resize(std::size_t(options_.batch_size));
  if (options_.order == BatchOrder::shuffled) order_.resize(std::size_t(images));
}

BatchLoader::Slot BatchLoader::make_slot(std::int64_t count) const {
  const Shape& image = set_.image_shape();
  const Shape shape =
      options_.flatten ? Shape{count, set_.image_bytes()} : Shape{count, image[0], image[1], image[2]};
  Slot slot;
  slot.images = Tensor(DType::f32, shape);
  slot.labels = Tensor(DType::i64, {count});
  return slot;
}

BatchPosition BatchLoader::after(BatchPosition position) const {
  if (position.batch + 1 < batches_per_epoch_) return {position.epoch, position.batch + 1};
  return {position.epoch + 1, 0};
}

void BatchLoader::profile(Profiler* profiler) {
  background_.wait();  // it may be looking at the profiler
  profiler_ = profiler;
  if (profiler == nullptr) return;
  making_ = profiler->add_phase(std::string(kMaking));
  waiting_ = profiler->add_phase(std::string(kWaiting));
}

Batch BatchLoader::next() {
  const PhaseTimer timer(profiler_, waiting_);
  if (preparing_ == nullptr) prepare(position_);
  background_.wait();
  const Slot& ready = *preparing_;
  position_ = after(position_);
  prepare(position_);
  return {ready.images, ready.labels, ready.position};
}

void BatchLoader::seek(BatchPosition position) {
  require(position.epoch >= 0 && position.batch >= 0 && position.batch < batches_per_epoch_,
          "there is no batch ", position.batch, " of epoch ", position.epoch, "; an epoch has ",
          batches_per_epoch_, " batches");
  background_.wait();
  preparing_ = nullptr;
  position_ = position;
}

void BatchLoader::prepare(BatchPosition position) {
  const bool full =
      options_.order == BatchOrder::replacement || (position.batch + 1) * options_.batch_size <= set_.size();
  if (full) full_slot_ = 1 - full_slot_;
  Slot& slot = slots_[full ? full_slot_ : 2];
  slot.position = position;
  // Here and not in the background, because a tensor that the user has copied detaches from the copy.
  slot.pixels = slot.images.mutable_values<float>().data();
  slot.label = slot.labels.mutable_values<std::int64_t>().data();
  preparing_ = &slot;
  background_.start([this] { fill(); });
}

void BatchLoader::fill() {
  const PhaseTimer timer(profiler_, making_);
  const Slot& slot = *preparing_;
  choose(slot.position);
  const bool augment = options_.augment != Augmentation{};
  for (std::int64_t i = 0; i < slot.labels.elements(); ++i) {
    const std::int64_t image = chosen_[std::size_t(i)];
    slot.label[i] = set_.label(image);
    float* out = slot.pixels + i * set_.image_bytes();
    if (augment) {
      map_.set(place(options_.augment, set_.image_shape(), options_.seed, slot.position.epoch, image));
      writer_.write(set_.image(image), map_, out);
    } else {
      writer_.write(set_.image(image), out);
    }
  }
}

void BatchLoader::choose(BatchPosition position) {
  const std::int64_t first = position.batch * options_.batch_size;
  const std::int64_t count = std::min(options_.batch_size, set_.size() - first);
  switch (options_.order) {
    case BatchOrder::sequential:
      std::iota(chosen_.begin(), chosen_.begin() + count, first);
      break;
    case BatchOrder::shuffled:
      if (order_epoch_ != position.epoch) {
        permutation(order_, options_.seed, kShuffleStreams + std::uint64_t(position.epoch));
        order_epoch_ = position.epoch;
      }
      std::copy_n(order_.begin() + first, count, chosen_.begin());
      break;
    case BatchOrder::replacement: {
      const std::int64_t batch = position.epoch * batches_per_epoch_ + position.batch;
      Random random(options_.seed, kReplacementStreams + std::uint64_t(batch));
      for (std::int64_t& image : chosen_) image = random.below(set_.size());
      break;
    }
  }
}

}  // namespace tapestry
