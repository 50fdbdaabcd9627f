// Everything that Tapestry offers.
#pragma once

#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/compile/print.hpp>
#include <tapestry/core/compile/verify.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/dtype.hpp>
#include <tapestry/core/error.hpp>
#include <tapestry/core/graph.hpp>
#include <tapestry/core/registry.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/core/shape.hpp>
#include <tapestry/core/state.hpp>
#include <tapestry/core/tape.hpp>
#include <tapestry/core/tensor.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>
