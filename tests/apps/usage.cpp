// How the program answers calls, right and wrong ones, that need no data.
#include <tapestry/apps/config.hpp>
#include <tapestry/tests/support/cifar_train.hpp>
#include <tapestry/tests/support/files.hpp>

#include <boost/program_options.hpp>
#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

/// A call that is mistaken: exit code 2, nothing on stdout, and one sentence that says `part`.
void check_mistake(const Words& words, const std::string& part) {
  const TemporaryFolder folder;
  const ChildResult result = cifar_train(words, {.folder = folder.path()});
  std::string call = "cifar_train";
  for (const std::string& word : words) call += ' ' + word;
  BOOST_TEST_CONTEXT(call << " -> " << result.err) {
    BOOST_TEST(result.code == 2);
    BOOST_TEST(result.out == "");
    BOOST_TEST(one_sentence(result.err));
    BOOST_TEST(result.err.find(part) != std::string::npos);
    BOOST_TEST(std::filesystem::is_empty(folder.path()));  // nothing was made before the mistake was seen
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(usage)

BOOST_AUTO_TEST_CASE(no_command_shows_the_commands) {
  const ChildResult result = cifar_train({});
  BOOST_TEST(result.code == 2);
  BOOST_TEST(result.out == "");
  BOOST_TEST(result.err.starts_with("Usage: cifar_train COMMAND [OPTIONS]\n"));
}

BOOST_AUTO_TEST_CASE(help_is_no_mistake) {
  for (const char* word : {"--help", "-h", "help"}) {
    const ChildResult result = cifar_train({word});
    BOOST_TEST(result.code == 0);
    BOOST_TEST(result.err == "");
    for (const char* command : {"train", "compare", "evaluate", "predict", "gradcheck", "describe"})
      BOOST_TEST(result.out.find(command) != std::string::npos);
  }
  const std::pair<std::string, std::string> commands[] = {
      {"train", "--learning-rate"}, {"compare", "--out"},         {"evaluate", "--checkpoint"},
      {"predict", "--top"},         {"gradcheck", "--tolerance"}, {"describe", "--graph"}};
  for (const auto& [command, option] : commands) {
    const ChildResult result = cifar_train({command, "--help"});
    BOOST_TEST_CONTEXT(command) {
      BOOST_TEST(result.code == 0);
      BOOST_TEST(result.err == "");
      BOOST_TEST(result.out.starts_with("Usage: cifar_train " + command));
      BOOST_TEST(result.out.find(option) != std::string::npos);
    }
  }
}

BOOST_AUTO_TEST_CASE(help_names_all_update_rules) {
  const std::string help = cifar_train({"train", "--help"}).out;
  for (const char* word :
       {"sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "lamb", "muon", "--ema", "--lookahead"})
    BOOST_TEST(help.find(word) != std::string::npos, word);
}

BOOST_AUTO_TEST_CASE(unknown_names) {
  check_mistake({"fit"}, "there is no command 'fit'");
  check_mistake({"train", "--leaning-rate", "1"}, "--leaning-rate");
  check_mistake({"train", "--learn", "1"}, "--learn");  // no guessing what an abbreviation means
  check_mistake({"train", "surplus"}, "too many positional options");
  check_mistake({"describe", "--model", "transformer"}, "no model 'transformer'");
  check_mistake({"train", "--optimizer", "adagrad"}, "not 'adagrad'");
  check_mistake({"train", "--schedule", "zigzag"}, "not 'zigzag'");
  check_mistake({"train", "--normalization", "group"}, "not 'group'");
  check_mistake({"train", "--precision", "f16"}, "not 'f16'");
  check_mistake({"train", "--pixels", "grey"}, "--pixels is mean-image or channels, not 'grey'");
  check_mistake({"train", "--tta", "all"}, "--tta is none, mirror or translate, not 'all'");
  check_mistake({"evaluate", "runs/x", "--tta", "all"}, "--tta is none, mirror or translate, not 'all'");
  check_mistake({"predict", "runs/x", "cat.png", "--tta", "x"}, "--tta is none, mirror or translate");
}

BOOST_AUTO_TEST_CASE(frozen_parameters) {
  for (const char* list : {"fc1/*", "fc1/*=", "fc1/*=x", "fc1/*=-1", "fc1/*=1,", ""})
    check_mistake({"train", "--freeze", list}, "--freeze is none or PATTERN=EPOCHS");
  check_mistake({"train", "--freeze", "fc1/*=1,fc9/*=2"},
                "--freeze: no parameter's name matches 'fc9/*', which is to be frozen; the first is fc1/");
}

BOOST_AUTO_TEST_CASE(augmentations) {
  for (const char* list : {"rotate", "", "flip,", ",flip", "none,flip", "flip=1", "Flip", "cutouts=8"})
    check_mistake({"train", "--augment", list}, "--augment is none, or some of flip, alternating");
  for (const char* list : {"translate", "translate=", "translate=x", "translate=-1", "translate=2.5",
                           "translate=33", "flip,translate=99999999999999999999"})
    check_mistake({"train", "--augment", list},
                  "--augment: translate takes 0 to 32 pixels, as in translate=2");
  check_mistake({"train", "--augment", "flip,cutout=8x"}, "as in cutout=2, not 'cutout=8x'");
  check_mistake({"train", "--augment", "flip,alternating"}, "says twice how to flip images");
  check_mistake({"train", "--augment", "translate=2,crop=4"}, "says twice how to move images");
  check_mistake({"train", "--augment", "cutout=2,cutout=2"}, "says twice how to cut images");
}

BOOST_AUTO_TEST_CASE(values_that_make_no_sense) {
  const std::pair<std::string, std::string> bad[] = {{"--epochs", "ten"},        {"--epochs", "-1"},
                                                     {"--epochs", "1.5"},        {"--batch-size", "0"},
                                                     {"--batch-size", "-3"},     {"--batch-size", "50001"},
                                                     {"--num-train", "0"},       {"--num-train", "50001"},
                                                     {"--learning-rate", "0"},   {"--learning-rate", "-1e-3"},
                                                     {"--learning-rate", "x"},   {"--learning-rate", "nan"},
                                                     {"--learning-rate", "inf"}, {"--hidden", "20,x"},
                                                     {"--hidden", "20,,20"},     {"--hidden", "0"},
                                                     {"--hidden", "-5"},         {"--hidden", "20,"},
                                                     {"--hidden", ","},          {"--keep", "0"},
                                                     {"--keep", "1.5"},          {"--reg", "-1"},
                                                     {"--weight-scale", "0"},    {"--weight-scale", "-1"},
                                                     {"--weight-decay", "-1"},   {"--clip-norm", "-1"},
                                                     {"--lr-decay", "0"},        {"--lr-decay", "-1"},
                                                     {"--warm-up", "-1"},        {"--threads", "-1"},
                                                     {"--train-samples", "-1"},  {"--checkpoint-every", "-1"},
                                                     {"--beta1", "1"},           {"--beta2", "-0.1"},
                                                     {"--epsilon", "-1"},        {"--ema", "1"},
                                                     {"--ema", "-0.1"},          {"--ema", "nan"},
                                                     {"--ema", "much"},          {"--lookahead", "2.5"}};
  for (const auto& [option, value] : bad)
    check_mistake({"train", "--data", "/nowhere", option, value}, option);
  check_mistake({"train", "--data", "/nowhere", "--lookahead=-1"}, "--lookahead");
  check_mistake({"train", "--optimizer", "muon", "--momentum", "1.5"}, "--momentum is at least 0");
  check_mistake({"train", "--schedule", "step", "--decay-every", "0"}, "--decay-every must be positive");
  check_mistake({"train", "--optimizer", "rmsprop", "--decay", "2"}, "--decay is at least 0");
  check_mistake({"train", "--epochs"}, "--epochs");
  check_mistake({"train", "--epochs", "1", "--epochs", "2"}, "--epochs");
}

BOOST_AUTO_TEST_CASE(words_that_are_missing) {
  check_mistake({"evaluate"}, "evaluate needs a run folder");
  check_mistake({"predict"}, "predict needs a run folder and images");
  check_mistake({"predict", "runs/x"}, "predict needs a run folder and images");
  check_mistake({"predict", "runs/x", "cat.png", "--top", "0"}, "--top");
  check_mistake({"gradcheck", "--batch", "0"}, "--batch");
  check_mistake({"gradcheck", "--elements", "0"}, "--elements");
  check_mistake({"train", "--resume", "a", "--out", "b"}, "leave out --out");
}

BOOST_AUTO_TEST_CASE(config_files) {
  const TemporaryFolder folder;
  const std::string path = (folder / "net.ini").string();
  const auto total = [](const ChildResult& result) {
    const std::size_t at = result.out.find("total");
    return at == std::string::npos ? result.out : result.out.substr(at, result.out.find('\n', at) - at);
  };
  const auto described = [&](Words words) {
    words.insert(words.begin(), "describe");
    const ChildResult result = cifar_train(words);
    BOOST_TEST(result.err == "");
    return total(result);
  };
  // An option wins over the file, the file over the default.
  write_file(path, "# a comment\nhidden = 7\nnormalization = none\n");
  const std::string by_options = described({"--hidden", "7", "--normalization", "none"});
  BOOST_TEST(by_options.find("21,591") != std::string::npos);  // 3072*7 + 7 + 7*10 + 10
  BOOST_TEST(described({"--config", path}) == by_options);
  BOOST_TEST(described({"--config", path, "--hidden", "9"}) ==
             described({"--hidden", "9", "--normalization", "none"}));
  BOOST_TEST(described({"--config", path}) != described({}));
  // What a run folder holds, with settings that describe has no use for.
  write_file(path, "hidden = 7\nnormalization = none\ndata = \nthreads = 2\n");
  BOOST_TEST(described({"--config", path}) == by_options);

  write_file(path, "hiden = 7\n");
  check_mistake({"describe", "--config", path}, path + ": ");
  check_mistake({"describe", "--config", path}, "hiden");
  write_file(path, "epochs = many\n");
  check_mistake({"describe", "--config", path}, path + ": ");
  check_mistake({"describe", "--config", path}, "many");
  write_file(path, "no equals sign\n");
  check_mistake({"describe", "--config", path}, path);
  check_mistake({"describe", "--config", (folder / "missing.ini").string()}, "missing.ini");
  check_mistake({"describe", "--config", folder.path().string()}, folder.path().string());
}

// Others are looked at and let go: their variables end before values are written to variables.
BOOST_AUTO_TEST_CASE(a_config_file_sets_only_what_its_command_takes) {
  const TemporaryFolder folder;
  const std::string path = (folder / "net.ini").string();
  write_file(path, "hidden = 7\nepochs = 3\nthreads = 2\n");
  app::Config config;
  boost::program_options::options_description options;
  options.add(app::model_options(config));
  app::Given values;
  const Words words{"--config", path};
  BOOST_REQUIRE(app::parse(words, options, "describe", values));
  BOOST_TEST(config.hidden == "7");
  for (const auto& [name, value] : values)
    BOOST_TEST((name == "config" || options.find_nothrow(name, false)), "--" << name << " has a value");
}

BOOST_AUTO_TEST_CASE(no_hidden_layer) {
  const ChildResult result = cifar_train({"describe", "--hidden", ""});
  BOOST_TEST(result.err == "");
  BOOST_TEST(result.code == 0);
  BOOST_TEST(result.out.find("30,730") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(there_is_no_data) {
  BOOST_REQUIRE(unsetenv("CIFAR10_DIR") == 0);
  check_mistake({"train"}, "there is no data: name CIFAR-10 by --data");
}

BOOST_AUTO_TEST_CASE(standard_output_is_full) {
  const ChildResult result = cifar_train({"describe", "--hidden", "5"}, {.output = "/dev/full"});
  BOOST_TEST(result.code == 1);
  BOOST_TEST(result.err == "cifar_train: can't write to standard output\n");
}

BOOST_AUTO_TEST_SUITE_END()
