// oneDNN, where the build found it: the one place that knows its headers, and what differs between versions 2
// and 3. Its primitives run on the calling thread alone, so they belong inside the chunks of a parallel_for.
#pragma once

namespace tapestry::kernels {

/// Whether this build has oneDNN.
bool has_onednn();

/// Whether kernels may call it: they may if it is there, unless TAPESTRY_ONEDNN=0 is in the environment or
/// use_onednn() said otherwise. Ask when a program is compiled and when it runs: the answer may change.
bool onednn_in_use();
/// For tests and benchmarks, which compare with our own kernels. Not while a program runs.
void use_onednn(bool use);

}  // namespace tapestry::kernels
