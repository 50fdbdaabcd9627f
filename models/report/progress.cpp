#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/progress.hpp>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <sys/ioctl.h>
#include <unistd.h>

namespace tapestry {
namespace {

constexpr double kInterval = 0.1;  // seconds between drawings
constexpr double kRateSpan = 2;    // seconds over which the speed is averaged
constexpr int kLongestBar = 36, kShortestBar = 8;
constexpr std::string_view kErase = "\r\x1b[K";
constexpr std::string_view kDim = "\x1b[2m", kBlue = "\x1b[36m", kGreen = "\x1b[32m", kPlain = "\x1b[0m";

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

bool utf8_locale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string locale(environment(name));
    if (locale.empty()) continue;
    std::transform(locale.begin(), locale.end(), locale.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    return locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
  }
  return false;
}

int digits(std::int64_t n) {
  int count = 1;
  while (n >= 10) {
    n /= 10;
    ++count;
  }
  return count;
}

}  // namespace

Terminal detect_terminal(int descriptor) {
  Terminal terminal;
  terminal.interactive = ::isatty(descriptor) == 1 && environment("TERM") != "dumb";
  terminal.unicode = utf8_locale();
  terminal.colour = terminal.interactive && environment("NO_COLOR").empty();
  terminal.width = [descriptor] {
    winsize size = {};
    return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? int(size.ws_col) : 80;
  };
  return terminal;
}

// Text in a fixed buffer that knows how many columns it takes; what doesn't fit is left out.
class Progress::Line {
 public:
  void put(std::string_view part) {
    if (part.size() > buffer_.size() - size_) return;
    std::copy(part.begin(), part.end(), buffer_.begin() + std::ptrdiff_t(size_));
    size_ += part.size();
    columns_ += int(display_width(part));
  }
  /// An escape sequence: no columns.
  void style(bool wanted, std::string_view code) {
    if (!wanted) return;
    put(code);
    columns_ -= int(display_width(code));
  }
  [[gnu::format(printf, 2, 3)]] void print(const char* format, ...) {
    std::array<char, 64> part;
    va_list arguments;
    va_start(arguments, format);
    const int length = std::vsnprintf(part.data(), part.size(), format, arguments);
    va_end(arguments);
    put({part.data(), std::size_t(std::clamp(length, 0, int(part.size()) - 1))});
  }
  void loss(double value) { print(std::abs(value) < 1e5 ? "loss %.4f" : "loss %.4g", value); }

  std::string_view view() const { return {buffer_.data(), size_}; }
  int columns() const { return columns_; }

 private:
  std::array<char, 1024> buffer_;
  std::size_t size_ = 0;
  int columns_ = 0;
};

Progress::Progress(std::ostream& out, Terminal terminal, std::int64_t epochs, std::int64_t steps_per_epoch,
                   std::function<double()> clock)
    : out_(out),
      terminal_(std::move(terminal)),
      clock_(std::move(clock)),
      epochs_(std::max<std::int64_t>(epochs, 0)),
      steps_per_epoch_(std::max<std::int64_t>(steps_per_epoch, 1)) {
  if (!clock_) {
    clock_ = [] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    };
  }
  if (!terminal_.width) terminal_.width = [] { return 80; };
}

Progress::~Progress() {
  try {
    finish();
  } catch (...) {  // a stream that throws must not end the program
  }
}

void Progress::step(std::int64_t epoch, std::int64_t step, double loss) {
  if (!terminal_.interactive) return;
  epoch_ = epoch;
  step_ = step;
  loss_ = loss;
  const double now = clock_();
  const std::int64_t done = (epoch - 1) * steps_per_epoch_ + step;
  if (first_ < 0) {
    first_ = drawn_ = done;
    start_ = now;
  } else {
    const double since = now - drawn_at_;
    if (since < kInterval) return;
    const double lately = double(std::max<std::int64_t>(done - drawn_, 0)) / since;
    const double weight = rate_ == 0 ? 1 : 1 - std::exp(-since / kRateSpan);
    rate_ += weight * (lately - rate_);
  }
  drawn_ = done;
  drawn_at_ = now;
  draw(now);
}

void Progress::draw(double now) {
  Line head, percent, loss, rate, left;
  const double fraction = std::clamp(double(step_) / double(steps_per_epoch_), 0.0, 1.0);
  head.print("epoch %*lld/%lld", digits(epochs_), static_cast<long long>(epoch_),
             static_cast<long long>(epochs_));
  percent.print(" %3d%%", int(fraction * 100));
  if (first_ >= 0) {
    loss.put("  ");
    loss.loss(loss_);
  }
  if (rate_ > 0) {
    const bool slow = rate_ < 1;
    const double shown = slow ? std::min(1 / rate_, 1e6) : std::min(rate_, 1e9);
    rate.print(shown < 9.95 ? "  %.1f %s" : "  %.0f %s", shown, slow ? "s/it" : "it/s");
  }
  if (drawn_ > first_ && now > start_) {
    const double remaining = double(epochs_ * steps_per_epoch_ - drawn_);
    const auto seconds = static_cast<long long>(
        std::ceil(std::clamp(remaining * (now - start_) / double(drawn_ - first_), 0.0, 3.6e8)));
    if (seconds < 3600) {
      left.print("  %lld:%02lld left", seconds / 60, seconds % 60);
    } else {
      left.print("  %lld:%02lld:%02lld left", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
  }

  // The last column stays free, since some terminals wrap there. What matters least goes first. Parts have
  // their usual width at least, so that the bar keeps its own while the numbers change.
  int room = terminal_.width() - 1 - head.columns();
  const auto fits = [&](const Line& part, int usual, int rest = 0) {
    const int columns = std::max(part.columns(), usual);
    if (columns + rest > room) return false;
    room -= columns;
    return true;
  };
  const bool show_loss = fits(loss, 13), show_percent = fits(percent, 5), show_left = fits(left, 12);
  const bool show_rate = fits(rate, 10, kShortestBar + 3);
  const int cells = std::min(room - 3, kLongestBar);

  Line line;
  if (room < 0) {
    line.put(head.view().substr(0, std::size_t(std::max(0, terminal_.width() - 1))));
    show(line, Shown::bar);
    return;
  }
  line.put(head.view());
  if (cells >= kShortestBar) {
    static constexpr std::array<std::string_view, 8> kEighths = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    const auto eighths = int(fraction * cells * 8);
    const int full = eighths / 8;
    line.put(terminal_.unicode ? " ▕" : " [");
    line.style(terminal_.colour, kBlue);
    for (int i = 0; i < full; ++i) line.put(terminal_.unicode ? "█" : "=");
    const int before = line.columns();
    if (full < cells) line.put(terminal_.unicode ? kEighths[std::size_t(eighths % 8)] : ">");
    line.style(terminal_.colour, kPlain);
    for (int i = full + line.columns() - before; i < cells; ++i) line.put(" ");
    line.put(terminal_.unicode ? "▏" : "]");
  }
  if (show_percent) line.put(percent.view());
  if (show_loss) line.put(loss.view());
  line.style(terminal_.colour, kDim);
  if (show_rate) line.put(rate.view());
  if (show_left) line.put(left.view());
  line.style(terminal_.colour, kPlain);
  show(line, Shown::bar);
}

void Progress::show(const Line& line, Shown what) {
  // Written over the old line and cleared behind, so that it doesn't flicker.
  out_ << '\r' << line.view() << "\x1b[K" << std::flush;
  shown_ = what;
}

void Progress::erase() {
  if (shown_ != Shown::nothing) out_ << kErase;
  shown_ = Shown::nothing;
}

void Progress::epoch(std::int64_t epoch, const EpochResult& result) {
  Line line;
  line.print("epoch %*lld/%lld", digits(epochs_), static_cast<long long>(epoch),
             static_cast<long long>(epochs_));
  line.put("  ");
  line.loss(result.loss);
  if (!std::isnan(result.train_accuracy)) line.print("  train %.1f%%", result.train_accuracy * 100);
  if (!std::isnan(result.validation_accuracy)) line.print("  val %.1f%%", result.validation_accuracy * 100);
  if (!std::isnan(result.learning_rate)) line.print("  lr %.3g", result.learning_rate);
  if (!std::isnan(result.seconds)) line.print("  %.1f s", result.seconds);
  if (result.best) {
    line.style(terminal_.colour, kGreen);
    line.put("  best");
    line.style(terminal_.colour, kPlain);
  }
  message(line.view());
  if (!terminal_.interactive || epoch >= epochs_) return;
  epoch_ = epoch + 1;
  step_ = 0;
  draw(clock_());
}

void Progress::doing(std::string_view what) {
  if (!terminal_.interactive) return;
  Line line;
  line.style(terminal_.colour, kDim);
  line.put(shorten(what, std::size_t(std::max(0, terminal_.width() - 1))));
  line.style(terminal_.colour, kPlain);
  show(line, Shown::note);
}

void Progress::message(std::string_view line) {
  erase();
  out_ << line << '\n' << std::flush;
}

void Progress::finish() {
  if (shown_ == Shown::bar) {
    draw(drawn_at_);
    out_ << '\n';
  } else {
    erase();
  }
  out_ << std::flush;
  shown_ = Shown::nothing;
}

}  // namespace tapestry
