#include <tapestry/core/error.hpp>
#include <tapestry/core/random.hpp>

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

namespace tapestry {

std::uint64_t derive_seed(std::uint64_t seed, std::uint64_t user) {
  // The last stream is set aside for this.
  const auto words = philox4x32({low_word(user), high_word(user), 0xffffffff, 0xffffffff},
                                {low_word(seed), high_word(seed)});
  return std::uint64_t{words[1]} << 32 | words[0];
}

std::uint64_t Random::bits() {
  half_left_ = !half_left_;
  if (half_left_) {
    words_ = philox4x32({low_word(block_), high_word(block_), low_word(stream_), high_word(stream_)},
                        {low_word(seed_), high_word(seed_)});
    ++block_;
    return std::uint64_t{words_[1]} << 32 | words_[0];
  }
  return std::uint64_t{words_[3]} << 32 | words_[2];
}

double Random::uniform() {
  const std::uint64_t word = bits();
  return unit_f64(low_word(word), high_word(word));
}

double Random::normal() {
  normal_left_ = !normal_left_;
  if (!normal_left_) return normal_;
  const double radius = std::sqrt(-2 * std::log1p(-uniform()));  // of 1 - u, which is never 0
  const double angle = 2 * std::numbers::pi * uniform();
  normal_ = radius * std::sin(angle);
  return radius * std::cos(angle);
}

std::int64_t Random::below(std::int64_t n) {
  require(n >= 1, "Random::below: ", n, " is not positive");
  // The 2^64 mod n lowest values are drawn again, so that each remainder is left equally often.
  const auto range = std::uint64_t(n);
  const std::uint64_t surplus = (0 - range) % range;
  for (;;) {
    const std::uint64_t value = bits();
    if (value >= surplus) return std::int64_t(value % range);
  }
}

std::vector<std::int64_t> permutation(std::int64_t n, std::uint64_t seed, std::uint64_t stream) {
  require(n >= 0, "permutation: ", n, " is negative");
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  permutation(order, seed, stream);
  return order;
}

void permutation(std::span<std::int64_t> order, std::uint64_t seed, std::uint64_t stream) {
  std::iota(order.begin(), order.end(), 0);
  Random random(seed, stream);
  for (std::size_t i = order.size(); i-- > 1;) {
    std::swap(order[i], order[std::size_t(random.below(std::int64_t(i) + 1))]);
  }
}

}  // namespace tapestry
