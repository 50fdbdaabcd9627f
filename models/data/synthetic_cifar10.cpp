#include <tapestry/core/io/atomic_file.hpp>
#include <tapestry/core/random.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/models/data/synthetic_cifar10.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

namespace tapestry {
namespace {

namespace fs = std::filesystem;

constexpr const char* kClassNames[] = {"disc", "square",  "triangle", "ring", "cross",
                                       "rows", "columns", "checkers", "dots", "gradient"};

constexpr const char* kNotice =
    "This is not CIFAR-10. It is a synthetic stand-in that Tapestry drew because CIFAR-10 could not be had: "
    "ten\n"
    "classes of simple pictures in CIFAR-10's binary format. Accuracies on it say nothing about CIFAR-10.\n";

/// Where and how a figure is drawn. Lengths are in pixels; u and v are seen from its centre, along its own
/// axes.
struct Pose {
  float x, y, size, period, phase_u, phase_v, cosine, sine;
};

/// A wave of period 1 that rises from -1 to 1 and falls back.
float triangle_wave(float t) { return 4 * std::abs(t - std::floor(t + 0.5f)) - 1; }

/// Distance to the figure's edge, negative inside.
float distance_to(int figure, float u, float v, const Pose& pose) {
  const float size = pose.size, period = pose.period;
  const float wave_u = triangle_wave(u / period + pose.phase_u),
              wave_v = triangle_wave(v / period + pose.phase_v);
  const float radius = std::sqrt(u * u + v * v);
  switch (figure) {
    case 0:
      return radius - size;
    case 1:
      return std::max(std::abs(u), std::abs(v)) - 0.85f * size;
    case 2:
      return std::max(v, 0.866f * std::abs(u) - 0.5f * v) - 0.6f * size;
    case 3:
      return std::abs(radius - 0.8f * size) - 0.2f * size;
    case 4: {
      const float a = std::abs(u), b = std::abs(v), arm = 0.25f * size;
      return std::min(std::max(a - size, b - arm), std::max(b - size, a - arm));
    }
    case 5:
      return wave_v * period / 4;
    case 6:
      return wave_u * period / 4;
    case 7:
      return wave_u * wave_v * period / 4;
    case 8:
      return std::hypot(wave_u + 1, wave_v + 1) * period / 4 - 0.3f * period;
    default:
      return u / 32 * (8 / size);
  }
}

float between(Random& random, double low, double high) {
  return float(low + (high - low) * random.uniform());
}

Pose draw_pose(int figure, Random& random) {
  Pose pose{};
  pose.x = between(random, 8, 23);
  pose.y = between(random, 8, 23);
  pose.size = between(random, 5, 11);
  pose.period = between(random, 5, 9);
  pose.phase_u = between(random, 0, 1);
  pose.phase_v = between(random, 0, 1);
  // A gradient may run in any direction; the rest is tilted a little.
  const float most = figure == 9 ? std::numbers::pi_v<float> : 0.5f;
  const float angle = between(random, -most, most);
  pose.cosine = std::cos(angle);
  pose.sine = std::sin(angle);
  return pose;
}

struct Colours {
  float ground[3], figure[3];
};

/// Two colours that can be told apart.
Colours draw_colours(Random& random) {
  for (;;) {
    Colours colours{};
    float contrast = 0;
    for (int c = 0; c < 3; ++c) {
      colours.ground[c] = between(random, 20, 235);
      colours.figure[c] = between(random, 20, 235);
      contrast += std::abs(colours.figure[c] - colours.ground[c]);
    }
    if (contrast > 120) return colours;
  }
}

/// One record: the label and three planes.
void draw(int figure, Random random, std::uint8_t* record) {
  constexpr int kSide = int(kCifar10Side), kPlane = kSide * kSide;
  const Pose pose = draw_pose(figure, random);
  const Colours colours = draw_colours(random);
  const float noise = between(random, 20, 100) / 128;
  *record++ = std::uint8_t(figure);
  std::uint64_t bits = 0;
  for (int i = 0; i < kPlane; ++i) {
    const float x = float(i % kSide) - pose.x, y = float(i / kSide) - pose.y;
    const float u = x * pose.cosine + y * pose.sine, v = y * pose.cosine - x * pose.sine;
    const float cover = std::clamp(0.5f - distance_to(figure, u, v, pose), 0.0f, 1.0f);
    if (i % 2 == 0) bits = random.bits();
    for (int c = 0; c < 3; ++c, bits >>= 8) {
      const float colour = colours.ground[c] + (colours.figure[c] - colours.ground[c]) * cover;
      const float grain = (float(bits & 0xff) - 127.5f) * noise;
      record[c * kPlane + i] = std::uint8_t(std::clamp(colour + grain + 0.5f, 0.0f, 255.0f));
    }
  }
}

void write_batch(const fs::path& path, std::uint64_t seed, std::uint64_t file, std::int64_t records) {
  // A stream for each record; the order of the classes has one of its own.
  const std::uint64_t first_stream = file << 32;
  const std::vector<std::int64_t> order = permutation(records, seed, first_stream);
  std::vector<std::uint8_t> bytes(std::size_t(records * kCifar10RecordBytes));
  parallel_ranges(records, 100, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const int figure = int(order[std::size_t(i)] % kCifar10Classes);
      draw(figure, Random(seed, first_stream + 1 + std::uint64_t(i)), bytes.data() + i * kCifar10RecordBytes);
    }
  });
  write_file_atomically(path, std::as_bytes(std::span(bytes)));
}

}  // namespace

void write_synthetic_cifar10(const fs::path& folder, std::uint64_t seed, std::int64_t records_per_file) {
  require(records_per_file >= 0, "synthetic CIFAR-10: ", records_per_file, " records a file");
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw IoError(text("can't make the folder ", folder.string(), ": ", error.message()));
  if (!fs::exists(folder / kSyntheticMarker)) {
    for (const std::string_view name : kCifar10Files) {
      if (!fs::exists(folder / name)) continue;
      throw IoError(text("can't write the synthetic stand-in for CIFAR-10 to ", folder.string(), ": the ",
                         name, " that is there may be the real one"));
    }
  }
  // The marker comes first: without it the files would pass for the real ones.
  write_file_atomically(folder / kSyntheticMarker, kNotice);
  std::string names;
  for (const char* name : kClassNames) names += text(name, '\n');
  write_file_atomically(folder / kCifar10NamesFile, names);
  for (std::size_t file = 0; file < kCifar10Files.size(); ++file) {
    write_batch(folder / kCifar10Files[file], seed, file, records_per_file);
  }
}

}  // namespace tapestry
