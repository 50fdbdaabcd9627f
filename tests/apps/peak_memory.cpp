// The memory that `describe` announces for intermediate values is what a step uses, to the byte: the arena is
// painted, steps run, and the paint that is left ends where the arena does; nothing behind it was touched.
#include <tapestry/apps/build.hpp>
#include <tapestry/apps/optimizers.hpp>
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
  struct Case {
    std::string optimizer, precision;
    std::int64_t lookahead = 0;
    double ema = 0;
    std::string model = "fully_connected";
  };
  const Case cases[] = {{"adam", "f32"},
                        {"sgd", "f32"},
                        {"muon", "f32"},
                        {"adam", "bf16"},
                        {"lamb", "f32", 5, 0.9},
                        {"muon", "bf16", 5, 0.9},
                        {"speedrun", "f32", 0, 0, "speedrun"},
                        {"speedrun", "bf16", 0, 0.9, "speedrun"}};
  for (const auto& [optimizer, precision, lookahead, ema, net] : cases) {
    app::Config config;
    config.model = net;
    config.hidden = "96,64";
    config.epochs = 8;
    config.optimizer = optimizer;
    config.precision = precision;
    config.lookahead = lookahead;
    config.ema = ema;
    config.batch_size = kBatch;
    const std::unique_ptr<Model> model = app::make_model(config);
    Function step =
        training_step(*model, app::make_optimizer(config, model->state()), false, Location::current(),
                      app::make_precision(config), app::make_average(config, model->state()));
    const BlockWatch watch;
    Program& program = step.program(training_types(*model, kBatch));
    const ProgramSummary& summary = program.summary();

    Words words = {"describe", "--model", net, "--epochs", "8", "--optimizer", optimizer};
    words.insert(words.end(), {"--precision", precision, "--batch-size", std::to_string(kBatch)});
    for (const auto& [name, value] :
         {std::pair("momentum", "0.9"), std::pair("epsilon", "1e-8"), std::pair("weight-decay", "0")}) {
      if (takes(app::optimizer_entry(optimizer), name))
        words.insert(words.end(), {std::string("--") + name, value});
    }
    words.insert(words.end(), {"--lookahead", std::to_string(lookahead), "--ema", text(ema)});
    if (config.model == "fully_connected") words.insert(words.end(), {"--hidden", config.hidden});
    const ChildResult described = cifar_train(words);
    BOOST_TEST(described.code == 0, described.err);
    // What was cast, if anything.
    BOOST_TEST((described.out.find("bf16: ") != std::string::npos) == (precision == "bf16"));
    BOOST_TEST(described.out.find(summary.precision) != std::string::npos, described.out);
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
    const Tensor arguments[] = {Tensor::full<float>(training_types(*model, kBatch)[0].shape, 0.5f), labels,
                                Tensor::scalar(1e-3f)};
    const std::size_t written = written_bytes(program, *arena, arguments);
    BOOST_TEST(written <= summary.arena_bytes);
    // Values are laid out in cache lines; the last may end within one.
    BOOST_TEST(written + 64 > summary.arena_bytes);
  }
}

// Three layers: three products forward and five backward, as nobody wants the images' gradient. Cast are the
// images, the weights, two activations and what comes back to the three layers; kept are the three weights'
// gradients.
BOOST_AUTO_TEST_CASE(bf16_is_named) {
  const auto described = [](Words words) {
    words.insert(words.begin(), {"describe", "--precision", "bf16", "--batch-size", "20"});
    const ChildResult result = cifar_train(words);
    BOOST_TEST(result.code == 0, result.err);
    return result.out.substr(std::min(result.out.find("bf16: "), result.out.size()));
  };
  BOOST_TEST(described({"--hidden", "96,64"}) == "bf16: 8 matmul, 9 operands cast, 3 results kept in f32\n");
  const std::string speedrun = described({"--model", "speedrun"});
  for (const char* op : {" conv2d", " matmul"}) BOOST_TEST(speedrun.find(op) != std::string::npos, speedrun);
}

BOOST_AUTO_TEST_SUITE_END()
