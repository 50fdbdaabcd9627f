#include <tapestry/core/compile/plan.hpp>
#include <tapestry/core/compile/task_info.hpp>

#include <algorithm>

namespace tapestry {
namespace {

constexpr std::size_t kMostParts = 3;  // of a label, before "and 5 more"

std::string shapes_of(const Graph& graph, const Task& task) {
  const std::optional<ValueId> made = made_by_kernel(task);
  if (!made) return to_string(task.loop->extents);
  std::string out;
  for (const ValueId id : graph.inputs(*made)) out += to_string(graph.type(id).shape) + ' ';
  return out + "-> " + to_string(graph.type(*made).shape);
}

bool is_outside(const Place& place) {
  return place.kind != Place::Kind::arena && place.kind != Place::Kind::none;
}

/// Is `part` the scope `whole` or one around it? "norm1" is around "norm1/batchnorm".
bool encloses(std::string_view part, std::string_view whole) {
  return whole.starts_with(part) && (whole.size() == part.size() || whole[part.size()] == '/');
}

}  // namespace

double task_flops(const Graph& graph, const Task& task) {
  double flops = 0;
  if (task.loop) {
    const double work = double(std::max<std::size_t>(task.loop->code.size(), 1));
    flops = work * double(task.loop->extents.elements());
  }
  if (const std::optional<ValueId> made = made_by_kernel(task); made && graph.op(*made).flops) {
    const Node& node = graph.node(*made);
    flops += node.op->flops(graph.input_types(*made), node.type, node.attrs);
  }
  return flops;
}

std::string task_label(const Graph& graph, const Task& task) {
  std::vector<std::string> parts;
  for (const ValueId id : task.nodes) {
    const Node& node = graph.node(id);
    const std::string part = node.scope ? *node.scope : std::string(node.op->name);
    // The whole says enough: not "adam/fc1/weight/square" beside "adam/fc1/weight".
    if (std::ranges::any_of(parts, [&](const std::string& other) { return encloses(other, part); })) continue;
    std::erase_if(parts, [&](const std::string& other) { return encloses(part, other); });
    parts.push_back(part);
  }
  std::string out;
  for (std::size_t i = 0; i < std::min(parts.size(), kMostParts); ++i) out += (i ? " + " : "") + parts[i];
  if (parts.size() > kMostParts) out += text(" and ", parts.size() - kMostParts, " more");
  return out;
}

std::vector<TaskInfo> task_infos(const Graph& graph, const Plan& plan) {
  std::vector<TaskInfo> infos;
  for (const Task& task : plan.tasks) {
    TaskInfo& info = infos.emplace_back();
    const std::optional<ValueId> made = made_by_kernel(task);
    info.op = task.loop && task.nodes.size() > 1 ? "loop" : graph.op(task.nodes.front()).name;
    if (task.in_parts) info.op = text(graph.op(*made).name, " + loop");
    info.label = task_label(graph, task);
    info.shapes = shapes_of(graph, task);
    info.flops = task_flops(graph, task);
    std::vector<ValueId> reads;
    for (ValueId id : task.reads) {
      if (id == task.in_parts) continue;
      while (graph.op(id).view) id = graph.input(id, 0);  // not further: of a whole a slice is a part
      reads.push_back(id);
    }
    std::ranges::sort(reads);
    reads.erase(std::unique(reads.begin(), reads.end()), reads.end());
    const auto is_state = [&](ValueId id) { return plan.places[id].kind == Place::Kind::state; };
    info.is_loop = task.loop && !made;
    info.writes_state = std::ranges::any_of(task.writes, is_state);
    const auto add = [&](ValueId id) {
      const auto bytes = double(graph.type(id).bytes());
      info.bytes += bytes;
      if (is_outside(plan.places[id])) info.outside_bytes += bytes;
    };
    std::ranges::for_each(reads, add);
    std::ranges::for_each(task.writes, add);
  }
  return infos;
}

}  // namespace tapestry
