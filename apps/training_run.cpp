#include "training_run.hpp"

#include "images.hpp"

#include <tapestry/core/io/atomic_file.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/core/run/profiler.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/metrics_log.hpp>
#include <tapestry/models/report/metrics_table.hpp>
#include <tapestry/models/report/profile_report.hpp>
#include <tapestry/models/report/progress.hpp>
#include <tapestry/models/report/run_report.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <iostream>
#include <ostream>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace tapestry::app {
namespace {

std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may set it");

extern "C" void note_interrupt(int) {
  interrupted = true;
  std::signal(SIGINT, SIG_DFL);  // a second Ctrl-C ends the process at once
}

/// While it lives, Ctrl-C and a polite kill ask the run to stop after the step.
class InterruptGuard {
 public:
  InterruptGuard() {
    interrupted = false;
    old_interrupt_ = std::signal(SIGINT, note_interrupt);
    old_terminate_ = std::signal(SIGTERM, note_interrupt);
  }
  ~InterruptGuard() {
    std::signal(SIGINT, old_interrupt_);
    std::signal(SIGTERM, old_terminate_);
  }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  void (*old_interrupt_)(int);
  void (*old_terminate_)(int);
};

/// The folder is this process's alone: two that write into it would mix what they did. Ends with the process,
/// however that ends; where a file system knows no locks there is none.
class FolderLock {
 public:
  explicit FolderLock(const fs::path& folder) : fd_(::open(folder.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ == -1 || ::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
    ::close(fd_);
    throw IoError(text(folder.string(), " is in use: another process trains there"));
  }
  ~FolderLock() {
    if (fd_ != -1) ::close(fd_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_;
};

class Clock {
 public:
  explicit Clock(double before) : before_(before) {}
  double seconds() const {
    return before_ + std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  double before_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// The profile on the terminal and in the run's folder.
void report_profile(const Profiler& profiler, const kernels::MachineLimits& limits, const fs::path& folder,
                    std::ostream& out) {
  const std::string table = profile_text(profiler, limits);
  write_file_atomically(folder / "profile.txt", table);
  write_file_atomically(folder / "trace.json", chrome_trace(profiler, limits));
  out << table << "profile: " << (folder / "profile.txt").string()
      << "\ntrace, for https://ui.perfetto.dev: " << (folder / "trace.json").string() << '\n';
}

/// Was the run in this folder ended before it saved anything? Nothing is lost by beginning again. Without a
/// checkpoint, but with steps that were recorded after one, something is missing.
bool has_only_begun(const fs::path& folder) {
  if (fs::exists(folder / "last.safetensors")) return false;
  if (!fs::exists(folder / "metrics.csv")) return true;
  const MetricPoints steps = load_metrics(folder / "metrics.csv").points("iteration", "iteration", "");
  return std::ranges::none_of(steps.x, [](double iteration) { return iteration > 0; });
}

/// The checkpoint just resumed from was trained on images of this mean.
void check_same_images(const StateDict& state, const Cifar10Split& data, const fs::path& checkpoint) {
  if (identical(state.at(kMeanImage).value(), data.mean)) return;
  throw UsageError(text("these are not the images that ", checkpoint.string(),
                        " was trained on: their mean differs from the one kept there; name those by --data"));
}

/// What else the steps hang on, but for what the names of all State tell.
constexpr std::string_view kKeptSettings[] = {kPixels, kAugment, "lookahead", "ema"};

/// What the next steps are to do is what the last ones did: nobody has edited config.ini meanwhile.
void check_same_steps(const Metadata& metadata, const Config& config, const fs::path& checkpoint) {
  for (const std::string_view name : kKeptSettings) {
    const auto it = metadata.find(std::string(name));
    const std::string value = setting(config, name);
    if (it == metadata.end() || it->second == value) continue;
    throw UsageError(
        text(checkpoint.string(), " was trained with --", name, ' ', it->second, ", not ", value));
  }
}

}  // namespace

void make_run_folder(const fs::path& folder, const std::string& resume) {
  if (fs::exists(folder / "config.ini")) {
    throw UsageError(text(folder.string(), " already holds a run: go on with ", resume,
                          ", or choose another folder by --out"));
  }
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw IoError(text("can't make the run folder ", folder.string(), ": ", error.message()));
}

RunResult train_run(const Config& config, const Cifar10Split& data, const RunOptions& options,
                    std::ostream& out) {
  const FolderLock alone(options.folder);
  const InterruptGuard guard;
  const fs::path last = options.folder / "last.safetensors", best = options.folder / "best.safetensors";
  const std::unique_ptr<Model> model = make_model(config);
  model->state().at(kMeanImage).set(data.mean);
  const std::int64_t steps_per_epoch = data.training.size() / config.batch_size;

  std::optional<kernels::MachineLimits> limits;
  std::optional<Profiler> profiler;
  if (options.profile) {
    limits = kernels::measure_machine();
    profiler.emplace();
  }
  double seconds_before = 0;
  Clock clock(0);
  std::optional<MetricsLog> log;
  std::optional<Progress> progress;
  Trainer* running = nullptr;
  Metadata kept{{std::string(kClassNames), join(data.class_names)}};
  for (const std::string_view name : kKeptSettings) kept[std::string(name)] = setting(config, name);
  const auto save_last = [&] {
    log->sync();
    Metadata metadata = kept;
    metadata["seconds"] = std::to_string(clock.seconds());
    running->save(last, metadata);
  };
  TrainerOptions trainer_options{.epochs = config.epochs,
                                 .batch_size = config.batch_size,
                                 .schedule = make_schedule(config, steps_per_epoch),
                                 .train_samples = config.train_samples,
                                 .seed = config.seed,
                                 .augment = make_augmentation(config.augment),
                                 .pixels = make_pixels(config.pixels, data.mean),
                                 .check_gradients = config.check_gradients,
                                 .freeze = make_freeze(config.freeze, model->state()),
                                 .precision = make_precision(config),
                                 .average = make_average(config, model->state())};
  print_precision_notice(config);
  trainer_options.on_step = [&](const StepReport& step) {
    log->append({{"kind", "step"},
                 {"epoch", step.epoch},
                 {"iteration", step.iteration},
                 {"loss", step.loss},
                 {"learning_rate", step.learning_rate},
                 {"seconds", clock.seconds()}});
    progress->step(step.epoch, step.iteration - (step.epoch - 1) * steps_per_epoch, step.loss);
    // At the end of an epoch on_epoch saves, after the accuracies.
    if (config.checkpoint_every > 0 && step.iteration % config.checkpoint_every == 0 &&
        step.iteration % steps_per_epoch != 0) {
      save_last();
    }
  };
  trainer_options.on_epoch = [&](const EpochReport& epoch) {
    std::vector<Metric> row = {{"kind", "epoch"},
                               {"epoch", epoch.epoch},
                               {"iteration", epoch.iteration},
                               {"train_accuracy", epoch.train_accuracy},
                               {"learning_rate", epoch.learning_rate},
                               {"seconds", clock.seconds()}};
    if (data.validation.size() > 0) row.push_back({"validation_accuracy", epoch.validation_accuracy});
    if (epoch.epoch > 0) row.push_back({"loss", epoch.mean_loss});  // before training there is none
    log->append(row);
    if (epoch.epoch > 0) {
      progress->epoch(epoch.epoch, {.loss = epoch.mean_loss,
                                    .train_accuracy = epoch.train_accuracy,
                                    .validation_accuracy = epoch.validation_accuracy,
                                    .learning_rate = epoch.learning_rate,
                                    .seconds = clock.seconds(),
                                    .best = epoch.best});
    }
    if (epoch.best) running->save_best(best, kept);
    save_last();
    if (epoch.epoch == 0) progress->doing("the first step");
  };
  trainer_options.should_stop = [] { return interrupted.load(); };

  if (profiler) trainer_options.profiler = &*profiler;

  Trainer trainer(*model, data, make_optimizer(config, model->state()), trainer_options);
  running = &trainer;
  const bool resume = options.resume && !has_only_begun(options.folder);
  if (!resume) model->look_at(data.training, *trainer_options.pixels);
  if (options.resume && !resume) {
    out << options.folder.string() << " has no checkpoint yet: the run begins again\n";
  }
  if (resume) {
    const Metadata metadata = trainer.resume(last, best);
    check_same_images(model->state(), data, last);
    check_same_steps(metadata, config, last);
    if (const auto it = metadata.find("seconds"); it != metadata.end())
      seconds_before = std::stod(it->second);
    clock = Clock(seconds_before);
  }
  log.emplace(options.folder, metrics_columns(),
              resume ? MetricsLog::Existing::keep : MetricsLog::Existing::replace);
  if (resume) log->truncate_after(trainer.iteration());
  write_config(options.folder / "config.ini", config);
  progress.emplace(out, detect_terminal(STDOUT_FILENO), config.epochs, steps_per_epoch);

  progress->doing(resume ? "going on" : "measuring accuracies before the first step");
  RunResult result;
  try {
    result.interrupted = !trainer.train();
  } catch (...) {
    progress->finish();
    log->flush();  // the rows so far tell how it came to this
    throw;
  }
  progress->finish();
  if (result.interrupted) save_last();
  log->flush();
  if (profiler) report_profile(*profiler, *limits, options.folder, out);

  progress->doing(text("testing on ", format_count(data.test_all.size()), " images"));
  trainer.use_best();
  Evaluator evaluator(*model, make_pixels(config.pixels, data.mean),
                      {.views = make_views(config.tta), .precision = make_precision(config)});
  const Tensor probabilities = evaluator.probabilities(data.test_all);
  const ConfusionMatrix matrix = confusion(probabilities, data.test_all.labels(), data.class_names);
  result.test_accuracy_all = matrix.accuracy();
  result.test_accuracy = evaluator.accuracy(data.test);
  result.best_validation_accuracy = trainer.best_validation_accuracy();
  result.seconds = clock.seconds();
  progress->finish();

  RunSummary summary{.title = options.folder.filename().string(),
                     .subtitle = config.model + ", " + config.optimizer,
                     .metrics = load_metrics(options.folder / "metrics.csv")};
  summary.test_accuracy = result.test_accuracy_all;
  summary.parameters = parameter_count(model->state());
  summary.seconds = result.seconds;
  summary.config = settings(config);
  summary.confusion = matrix;
  summary.galleries = galleries(*model, data.test_all, probabilities, data.class_names);
  summary.command = options.command;
  if (result.interrupted) {
    summary.notices.push_back(
        text("Interrupted after ", trainer.iteration(), " of ", trainer.iterations(), " steps."));
  }
  if (data.synthetic)
    summary.notices.push_back("Trained on a synthetic stand-in for CIFAR-10, not on photographs.");
  training_report(summary).write(options.folder / "report.html");
  result.interrupted =
      result.interrupted || interrupted;  // while testing: whoever runs several runs stops here
  return result;
}

}  // namespace tapestry::app
