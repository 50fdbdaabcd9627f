// The memory plan as a picture: tasks of a step to the right, bytes of the arena upwards, a rectangle for
// each value from the task that makes it to the last that reads it.
#pragma once

#include <tapestry/core/compile/memory_map.hpp>
#include <tapestry/models/report/svg.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace tapestry {

struct MemoryChart {
  std::string title = {};
  std::vector<MemoryBlock> blocks = {};
  std::size_t tasks = 0;
  std::size_t peak = 0;  // of the arena, bytes: marked by a line
  int width = 1040;
  int height = 460;
};

/// Values are shaded by the task that makes them, scratch is hatched lightly; each has its label and figures
/// as a tooltip, and large ones the label in the picture.
Svg draw(const MemoryChart& chart);

}  // namespace tapestry
