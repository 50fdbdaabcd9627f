// The steps of Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray, "Fast algorithms for convolutional
// neural networks", 2015) on the calling thread, for each instruction set. Each 2x2 tile of results comes of
// a 4x4 tile of the images: with the transforms of winograd_transforms-inl.hpp
//
//   results  Y  = A^T [sum over channels (G w G^T) (B^T x B)] A
//   filters  gw = G^T [sum over tiles    (B^T x B) (A gy A^T)] G
//
// where the products are of the 16 elements each, the "points", so 16 instead of 36 multiplications a tile.
// Images' gradients are results for filters turned round. For each point the sums are a matrix product.
//
// Operands of a product are made of 4-byte words: one f32 each, or two bf16 that are neighbours in the sum.
// They are kept in floats, whichever they are.
#pragma once

#include <tapestry/core/dtype.hpp>

#include <cstdint>

namespace tapestry::kernels::winograd {

inline constexpr std::int64_t kOut = 2, kIn = 4, kTaps = 3, kPoints = kIn * kIn;

/// Images [n, h, w, channels] as tiles, in their order: tile (y, x) of an image begins at the pixel
/// (2 y - lo_h, 2 x - lo_w). What is outside of the image is 0.
struct Tiling {
  std::int64_t h = 0, w = 0, channels = 0;
  std::int64_t lo_h = 0, lo_w = 0;
  std::int64_t down = 0, across = 0;  // tiles of an image
};

/// Some transformed tiles, as an operand. Words of the points are `plane` apart.
struct Words {
  float* data = nullptr;
  std::int64_t plane = 0, step = 0, panel = 0;
};

/// The tiles [begin, end); `zeros` is a pixel of the images that is 0.
struct Reading {
  Tiling tiling;
  const void* images = nullptr;
  const void* zeros = nullptr;
  std::int64_t begin = 0, end = 0;
};

/// Filters [3, 3, terms, columns] of any strides, in elements; `flip` turns them round.
struct FilterView {
  const void* filters = nullptr;
  std::int64_t terms = 0, columns = 0;
  std::int64_t tap = 0, term = 0, column = 0;
  bool flip = false;
};

/// Results of the tiles [begin, end): transformed tiles by rows, times transformed filters.
struct ResultBlock {
  Words tiles;
  const float* filters = nullptr;
  std::int64_t depth = 0;  // words of a sum
  Tiling tiling;
  std::int64_t begin = 0, end = 0;
  void* results = nullptr;
  bool past_caches = false;  // stored so, where that is possible
};

/// Sums over tiles, of one point: sums[row][column] += left[word][row] * right[word][column].
struct TermBlock {
  const float* left = nullptr;
  std::int64_t left_step = 0;
  const float* right = nullptr;
  std::int64_t right_panel = 0;
  std::int64_t depth = 0;  // words of a sum
  float* sums = nullptr;
  std::int64_t rows = 0, columns = 0;
  std::int64_t ld = 0;
  bool add = false;
};

/// Sums [points][rows][ld] as gradients of filters [3, 3, rows, columns]: the rows [begin, end).
struct FilterSums {
  const float* sums = nullptr;
  std::int64_t rows = 0, columns = 0, ld = 0;
  void* filters = nullptr;
  std::int64_t begin = 0, end = 0;
};

/// For operands of one dtype, results of another, and this CPU.
struct Steps {
  std::int64_t terms = 1;             // in a word
  std::int64_t columns = 0;           // of a panel
  std::int64_t rows = 0, vector = 0;  // at most in registers; elements of a vector

  /// Each tile a row of words: data + point * plane + tile * step + channel / terms.
  void (*rows_of_images)(const Reading&, const Words&) = nullptr;
  /// `terms` tiles a word: data + point * plane + tile / terms * step + the channel's place, which is
  /// channel / columns * panel + channel % columns. The first tile must be the first of its word.
  void (*terms_of_images)(const Reading&, const Words&) = nullptr;
  /// The same of gradients of results, whose tiles are 2x2.
  void (*terms_of_results)(const Reading&, const Words&) = nullptr;
  /// The panels [begin, end) as [panel][point][term / terms][column].
  void (*filters)(const FilterView&, std::int64_t begin, std::int64_t end, float* to) = nullptr;

  void (*results)(const ResultBlock&) = nullptr;
  void (*sum_terms)(const TermBlock&) = nullptr;
  void (*filter_gradients)(const FilterSums&) = nullptr;
};

/// f32 to f32, or bf16 to either.
const Steps& steps(DType from, DType to);

}  // namespace tapestry::kernels::winograd
