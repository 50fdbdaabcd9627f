// Batches of an image set, the next one made in the background while the current one is used.
#pragma once

#include <tapestry/core/run/parallel.hpp>
#include <tapestry/core/run/profiler.hpp>
#include <tapestry/models/data/augment.hpp>
#include <tapestry/models/data/dataset.hpp>

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace tapestry {

enum class BatchOrder {
  shuffled,     // each epoch shows every image once, in an order drawn from (seed, epoch)
  replacement,  // each batch is drawn anew from all images, as CS231n's Solver does
  sequential,   // as they come, for evaluation
};

struct BatchOptions {
  std::int64_t batch_size = 100;
  BatchOrder order = BatchOrder::shuffled;
  /// Whether an epoch ends with a smaller batch of what is left. Replacement leaves nothing.
  bool keep_partial = false;
  /// Images as rows [b, height * width * channels], channels fastest, instead of [b, height, width,
  /// channels]. NumPy notebooks flatten channels slowest; for a fully connected net that is only another
  /// order of the inputs.
  bool flatten = true;
  std::uint64_t seed = 0;
  /// Of each image by its number in the set; with replacement an epoch may show one several times, alike.
  Augmentation augment{};

  /// Every image once, in order: what evaluation needs.
  static BatchOptions evaluation(std::int64_t batch_size, bool flatten = true) {
    return {batch_size, BatchOrder::sequential, true, flatten, 0, {}};
  }
};

/// A place in the sequence of batches.
struct BatchPosition {
  std::int64_t epoch = 0;
  std::int64_t batch = 0;  // within the epoch
  friend bool operator==(const BatchPosition&, const BatchPosition&) = default;
};

/// Valid until the loader's following call of next(), but a copy of a tensor may be kept.
struct Batch {
  const Tensor& images;  // f32 [b, features] or [b, height, width, channels]: scaled pixels
  const Tensor& labels;  // i64 [b]
  BatchPosition position;
};

/// What a batch holds depends on the set, the options and the position alone, so training resumes exactly
/// after a seek(). next() allocates nothing.
class BatchLoader {
 public:
  /// `scale` may be a mean image to subtract, or {} for pixels as they are. Throws if shapes don't fit or if
  /// no batch can be filled.
  BatchLoader(ImageSet set, PixelScale scale, const BatchOptions& options);
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  /// At least 1.
  std::int64_t batches_per_epoch() const { return batches_per_epoch_; }
  const ImageSet& set() const { return set_; }

  Batch next();
  /// Of the batch that next() will return.
  BatchPosition position() const { return position_; }
  void seek(BatchPosition position);

  /// Times the making of batches in the background, each by one core, and next()'s waiting for it, as phases
  /// of these names; null ends that.
  void profile(Profiler* profiler);
  static constexpr std::string_view kMaking = "make a batch, in the background";
  static constexpr std::string_view kWaiting = "wait for a batch";

 private:
  struct Slot {
    Tensor images, labels;
    BatchPosition position;
    float* pixels = nullptr;
    std::int64_t* label = nullptr;
  };

  Slot make_slot(std::int64_t count) const;
  void prepare(BatchPosition position);
  void fill();
  void choose(BatchPosition position);
  BatchPosition after(BatchPosition position) const;

  ImageSet set_;
  PixelWriter writer_;
  BatchOptions options_;
  std::int64_t batches_per_epoch_ = 0;
  BatchPosition position_;

  std::array<Slot, 3> slots_;  // two of full batches in turn, one for the partial
  std::size_t full_slot_ = 0;
  Slot* preparing_ = nullptr;         // null if nothing is under way
  std::vector<std::int64_t> order_;   // shuffled: the epoch's images
  std::int64_t order_epoch_ = -1;     // the one that order_ is of
  std::vector<std::int64_t> chosen_;  // the images of the batch being made
  PixelMap map_;                      // where the one being written is placed
  Profiler* profiler_ = nullptr;
  std::uint32_t making_ = 0, waiting_ = 0;  // phases
  BackgroundTask background_;               // last: its job uses the others
};

}  // namespace tapestry
