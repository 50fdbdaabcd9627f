// How far a training run is: on a terminal a line that is redrawn in place, elsewhere one line an epoch.
//
//   Progress progress(std::cout, detect_terminal(STDOUT_FILENO), epochs, steps_per_epoch);
//   for (...) {
//     progress.step(epoch, step, loss);                // draws at most ten times a second
//     progress.epoch(epoch, {.loss = mean_loss, .validation_accuracy = accuracy, .best = true});
//   }
//
//   epoch  1/10  loss 1.6724  train 48.1%  val 47.3%  4.1 s  best
//   epoch  2/10 ▕█████████████▌      ▏  67%  loss 1.4313  118 it/s  0:38 left
//
// Steps slower than one a second are shown as seconds a step: "2.1 s/it".
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <ostream>
#include <string_view>

namespace tapestry {

/// What the output understands.
struct Terminal {
  bool interactive = false;  // a line can be redrawn
  bool unicode = false;
  bool colour = false;
  std::function<int()> width = {};  // in columns, asked at each drawing; 80 where unknown
};

/// Interactive if the descriptor is a terminal and TERM isn't "dumb"; in colour unless NO_COLOR is set to
/// something (no-color.org); Unicode if the locale's character set, from LC_ALL, LC_CTYPE or LANG, is UTF-8.
Terminal detect_terminal(int descriptor);

/// NaN where a number was not measured; it is left out, except for the loss, where it is news.
struct EpochResult {
  double loss = std::numeric_limits<double>::quiet_NaN();
  double train_accuracy = std::numeric_limits<double>::quiet_NaN();  // fractions of 1
  double validation_accuracy = std::numeric_limits<double>::quiet_NaN();
  double learning_rate = std::numeric_limits<double>::quiet_NaN();
  double seconds = std::numeric_limits<double>::quiet_NaN();
  bool best = false;
};

/// Allocates nothing after its construction. Not for several threads at once.
class Progress {
 public:
  /// `clock` gives seconds since any moment; without one it is the steady clock.
  Progress(std::ostream& out, Terminal terminal, std::int64_t epochs, std::int64_t steps_per_epoch,
           std::function<double()> clock = {});
  /// As finish().
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// After step `step` of epoch `epoch`, both from 1. A resumed run may start anywhere.
  void step(std::int64_t epoch, std::int64_t step, double loss);
  /// On a terminal, until something else is shown: what takes a while outside of steps.
  void doing(std::string_view what);
  /// After an epoch: its line stays, and on a terminal the bar of the next one begins.
  void epoch(std::int64_t epoch, const EpochResult& result);
  /// A line of its own that stays, above the bar.
  void message(std::string_view line);
  /// Leaves the cursor at the start of a line; after an interrupt the bar stays to tell how far it came.
  void finish();

 private:
  class Line;
  enum class Shown { nothing, bar, note };  // in the line that is redrawn
  void draw(double now);
  void erase();
  void show(const Line& line, Shown what);

  std::ostream& out_;
  Terminal terminal_;
  std::function<double()> clock_;
  std::int64_t epochs_, steps_per_epoch_;

  std::int64_t epoch_ = 0, step_ = 0;
  double loss_ = 0;
  Shown shown_ = Shown::nothing;

  // Speed: `first_` steps were done at `start_`, `drawn_` at `drawn_at_`.
  std::int64_t first_ = -1, drawn_ = 0;
  double start_ = 0, drawn_at_ = 0;
  double rate_ = 0;  // steps a second, lately
};

}  // namespace tapestry
