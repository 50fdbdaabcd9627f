// The memory that `describe` announces for intermediate values is what a step uses, to the byte: the arena is
// painted, steps run, and the paint that is left ends where the arena does; nothing behind it was touched.
#include <tapestry/apps/build.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/models/trainer.hpp>
#include <tapestry/tests/support/allocations.hpp>
#include <tapestry/tests/support/cifar_train.hpp>

#include <cstring>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

constexpr std::int64_t kBatch = 50;

/// Bytes up to the last that two steps, on differently painted memory, have written.
std::size_t written_bytes(Program& program, std::span<std::byte> arena, std::span<const Tensor> arguments) {
  std::size_t written = 0;
  for (const int paint : {0x5a, 0xa5}) {
    std::memset(arena.data(), paint, arena.size() + BlockWatch::kMargin);
    program.run(arguments);
    std::size_t n = arena.size() + BlockWatch::kMargin;
    while (n > 0 && arena.data()[n - 1] == std::byte(paint)) --n;
    written = std::max(written, n);
  }
  return written;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(peak_memory)

BOOST_AUTO_TEST_CASE(is_what_describe_announces) {
  for (const std::string optimizer : {"adam", "sgd"}) {
    app::Config config;
    config.hidden = "96,64";
    config.optimizer = optimizer;
    config.batch_size = kBatch;
    const std::unique_ptr<Model> model = app::make_model(config);
    Function step = training_step(*model, app::make_optimizer(config, model->state()));
    const BlockWatch watch;
    Program& program = step.program(training_types(*model, kBatch));
    const ProgramSummary& summary = program.summary();

    const ChildResult described = cifar_train(
        {"describe", "--hidden", "96,64", "--optimizer", optimizer, "--batch-size", std::to_string(kBatch)});
    BOOST_TEST(described.code == 0);
    for (const std::size_t bytes : {summary.arena_bytes, summary.state_bytes, summary.peak_bytes()}) {
      BOOST_TEST(described.out.find(' ' + format_count(std::int64_t(bytes)) + " bytes") != std::string::npos,
                 described.out << " has no " << bytes);
    }

    // State is what the model and its optimizer hold, but for what training doesn't touch.
    std::size_t state = 0;
    for (const State& s : model->state()) {
      if (s.name() != app::kMeanImage) state += s.type().bytes();
    }
    BOOST_TEST(summary.state_bytes == state);

    const auto arena = watch.find(summary.arena_bytes);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    continue;
#endif
    BOOST_REQUIRE(arena.has_value());
    Tensor labels(DType::i64, {kBatch});
    const Tensor arguments[] = {Tensor::full<float>({kBatch, 3072}, 0.5f), labels, Tensor::scalar(1e-3f)};
    const std::size_t written = written_bytes(program, *arena, arguments);
    BOOST_TEST(written <= summary.arena_bytes);
    // Values are laid out in cache lines; the last may end within one.
    BOOST_TEST(written + 64 > summary.arena_bytes);
  }
}

BOOST_AUTO_TEST_SUITE_END()
