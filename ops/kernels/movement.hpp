// Moving elements about: transposes, slices, padding, joining, broadcasting. All are one strided copy
// underneath, which knows the size of an element and nothing else about it. Source and destination must not
// overlap.
#pragma once

#include <tapestry/core/tensor.hpp>

#include <span>

namespace tapestry::kernels {

/// dst[i . dst_strides] = src[i . src_strides] for every index i of `shape`. Strides are in elements; those
/// of the source may be zero or negative, those of the destination must not make two indices meet.
/// `element_size` is 1, 2, 4 or 8 bytes.
void strided_copy(const Shape& shape, void* dst, const Shape& dst_strides, const void* src,
                  const Shape& src_strides, std::size_t element_size);

/// Sets every element of `y` to the one at `value`, of y's own dtype.
void fill(const View& y, const void* value);
/// The same elements in the same order; the shapes may differ.
void copy(const ConstView& x, const View& y);
/// Axis i of `y` is axis `axes[i]` of `x`.
void permute(const ConstView& x, const Shape& axes, const View& y);
/// y[i] = x[starts + i * steps], axis by axis; steps may be negative. Throws if that leaves x.
void slice(const ConstView& x, const Shape& starts, const Shape& steps, const View& y);
/// `x` within a frame of the element at `value`: on each axis `low` of them come before, `interior` between
/// neighbours, and after as many as y has room for. Throws if y is too small.
void pad(const ConstView& x, const void* value, const Shape& low, const Shape& interior, const View& y);
/// The inputs one after another along `axis`.
void concat(std::span<const ConstView> inputs, int axis, const View& y);
/// Repeats x along axes that it lacks or where it has extent 1, aligned at the last axis.
void broadcast_to(const ConstView& x, const View& y);

}  // namespace tapestry::kernels
