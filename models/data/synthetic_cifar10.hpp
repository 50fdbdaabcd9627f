// A stand-in for CIFAR-10 where it can't be had: ten classes of drawn pictures in the very same files, so
// that everything else runs unchanged. Accuracies on it say nothing about CIFAR-10.
#pragma once

#include <tapestry/models/data/cifar10.hpp>

#include <cstdint>
#include <filesystem>

namespace tapestry {

/// Writes the six files of records drawn from `seed`, as many of each class (within one), batches.meta.txt
/// and SYNTHETIC.txt, which makes load_cifar10 report `synthetic`. Makes the folder. The same seed gives the
/// same bytes. Throws an IoError if it can't, or if the folder already holds batches that are not such a
/// stand-in.
void write_synthetic_cifar10(const std::filesystem::path& folder, std::uint64_t seed,
                             std::int64_t records_per_file = kCifar10RecordsPerFile);

}  // namespace tapestry
