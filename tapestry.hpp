// Everything that Tapestry offers.
#pragma once

#include <tapestry/core/dtype.hpp>
#include <tapestry/core/error.hpp>
#include <tapestry/core/shape.hpp>
#include <tapestry/core/tensor.hpp>
