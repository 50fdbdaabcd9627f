#include "chosen.hpp"

namespace tapestry::app {
namespace {

std::vector<Setting> defaults_of(const ModelEntry& model, const OptimizerEntry& optimizer) {
  std::vector<Setting> all{{"optimizer", optimizer.name}};
  const auto add = [&](const std::vector<Setting>& more) { all.insert(all.end(), more.begin(), more.end()); };
  add(model.itself);
  add(model.training);
  if (optimizer.name == model.optimizer) add(model.with_optimizer);
  add(optimizer.own);
  return all;
}

std::string default_schedule(const ModelEntry& model, const OptimizerEntry& optimizer) {
  for (const auto& [name, value] : defaults_of(model, optimizer)) {
    if (name == "schedule") return value;
  }
  return Config().schedule;
}

}  // namespace

Chosen Chosen::by(const std::function<std::optional<std::string>(const std::string&)>& given) {
  const ModelEntry& model = model_entry(given("model").value_or(Config().model));
  const OptimizerEntry& optimizer = optimizer_entry(given("optimizer").value_or(model.optimizer));
  const std::optional<std::string> schedule = given("schedule");
  return {model, optimizer, schedule_entry(schedule ? *schedule : default_schedule(model, optimizer))};
}

Chosen Chosen::by(const Config& config) {
  return {model_entry(config.model), optimizer_entry(config.optimizer), schedule_entry(config.schedule)};
}

bool Chosen::take(std::string_view setting) const {
  return takes(model, setting) && takes(optimizer, setting) && takes(schedule, setting);
}

std::vector<Setting> Chosen::defaults() const { return defaults_of(model, optimizer); }

}  // namespace tapestry::app
