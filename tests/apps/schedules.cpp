// Every schedule by its name on the command line, and the settings that it has a use for.
#include <tapestry/apps/build.hpp>
#include <tapestry/apps/schedules.hpp>
#include <tapestry/tests/support/completed.hpp>
#include <tapestry/tests/support/files.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

const app::Setting kOthers[] = {{"lr-decay", "0.5"}, {"decay-every", "2"}, {"warm-up", "7"}};
constexpr std::int64_t kStepsPerEpoch = 10;

/// The rates of ten epochs.
std::vector<double> rates_of(const app::Config& config) {
  const Schedule schedule = app::make_schedule(config, kStepsPerEpoch);
  std::vector<double> rates;
  for (std::int64_t step = 0; step < 10 * kStepsPerEpoch; ++step) rates.push_back(schedule(step));
  return rates;
}

app::Config with(app::Config config, const std::string& name) {
  if (name == "lr-decay") config.lr_decay = 0.5;
  if (name == "decay-every") config.decay_every = 2;
  if (name == "warm-up") config.warm_up = 7;
  return config;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(schedules)

// What each is said to take is what changes its rates.
BOOST_AUTO_TEST_CASE(settings_have_a_use_where_they_change_the_rates) {
  for (const app::ScheduleEntry& entry : app::schedules()) {
    const app::Config config = completed({"--schedule", entry.name});
    for (const auto& [name, value] : kOthers)
      BOOST_TEST((rates_of(with(config, name)) != rates_of(config)) == takes(entry, name),
                 entry.name << " and " << name);
  }
}

BOOST_AUTO_TEST_CASE(what_a_schedule_has_no_use_for_is_refused) {
  int refused = 0;
  const TemporaryFolder folder;
  const std::string file = (folder / "net.ini").string();
  for (const app::ScheduleEntry& entry : app::schedules()) {
    for (const auto& [name, value] : kOthers) {
      write_file(file, "schedule = " + entry.name + "\n" + name + " = " + value + "\n");
      for (const Words& words :
           {Words{"--schedule", entry.name, "--" + name, value}, Words{"--config", file}}) {
        if (takes(entry, name)) {
          BOOST_CHECK_NO_THROW(completed(words));
          continue;
        }
        const std::string what = words[0] == "--config" ? file + ", line 2: " + name : "--" + name;
        const std::string why = entry.takes.empty() ? "; it is " + app::for_schedules(name)
                                                    : ", which takes --" + entry.takes.front();
        BOOST_CHECK_EXCEPTION(completed(words), app::UsageError, [&](const app::UsageError& error) {
          return error.what() == what + " says nothing to --schedule " + entry.name + why;
        });
        ++refused;
      }
    }
  }
  BOOST_TEST(refused == 2 * (2 + 1 + 0 + 2 + 2));
  BOOST_CHECK_EXCEPTION(completed({"--lr-decay", "0.5", "--schedule", "cosine"}), app::UsageError,
                        [](const app::UsageError& error) {
                          return std::string(error.what()) ==
                                 "--lr-decay says nothing to --schedule cosine; it is for exponential, step";
                        });
  // A model's own schedule is one, too.
  BOOST_CHECK_THROW(completed({"--model", "resnet20", "--lr-decay", "0.5"}), app::UsageError);
  BOOST_TEST(completed({"--model", "resnet20", "--optimizer", "adam", "--lr-decay", "0.5"}).schedule ==
             "exponential");
}

BOOST_AUTO_TEST_CASE(a_file_of_another_schedule_brings_its_defaults) {
  const TemporaryFolder folder;
  const std::string file = (folder / "config.ini").string();
  for (const app::ScheduleEntry& entry : app::schedules()) {
    app::write_config(file, completed({"--schedule", entry.name}));
    const std::string written = file_content(file);
    for (const auto& [name, value] : kOthers)
      BOOST_TEST((written.find("\n" + name + " = ") != std::string::npos) == takes(entry, name),
                 entry.name << " and " << name);
    for (const app::ScheduleEntry& other : app::schedules())
      BOOST_TEST(completed({"--config", file, "--schedule", other.name}).schedule == other.name,
                 entry.name << " to " << other.name);
    // With the defaults of what it doesn't use, as files of older runs have them.
    write_file(file, "schedule = " + entry.name + "\nlr-decay = 0.9\ndecay-every = 3\n");
    BOOST_CHECK_NO_THROW(completed({"--config", file}));
  }
  write_file(file, "# mine\nschedule = zigzag\n");
  BOOST_CHECK_EXCEPTION(completed({"--config", file}), app::UsageError, [&](const auto& e) {
    return e.what() == file +
                           ", line 2: --schedule is one of constant, exponential, step, cosine, linear, "
                           "not 'zigzag'";
  });
}

BOOST_AUTO_TEST_SUITE_END()
