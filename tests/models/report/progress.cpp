#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/progress.hpp>
#include <tapestry/tests/support/allocations.hpp>

#include <cstdlib>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <pty.h>
#include <unistd.h>

using namespace tapestry;

namespace {

struct Fixture {
  std::ostringstream out;
  double now = 100;
  int columns = 80;

  Terminal terminal(bool unicode = false, bool colour = false) {
    return {.interactive = true, .unicode = unicode, .colour = colour, .width = [this] { return columns; }};
  }
  std::function<double()> clock() {
    return [this] { return now; };
  }
};

// What a terminal shows after these characters: \r goes back, ESC [K clears to the end, colours show nothing.
std::vector<std::string> screen(const std::string& characters) {
  std::vector<std::vector<std::string>> lines(1);
  std::size_t column = 0;
  for (std::string_view rest = characters; !rest.empty();) {
    if (rest.starts_with("\x1b[")) {
      const std::size_t end = rest.find_first_not_of("0123456789;", 2);
      if (rest.at(end) == 'K') lines.back().resize(std::min(lines.back().size(), column));
      rest.remove_prefix(end + 1);
      continue;
    }
    const std::size_t length = utf8_length(rest);
    if (rest[0] == '\r') {
      column = 0;
    } else if (rest[0] == '\n') {
      lines.emplace_back();
      column = 0;
    } else {
      lines.back().resize(std::max(lines.back().size(), column + 1), " ");
      lines.back()[column++] = std::string(rest.substr(0, length));
    }
    rest.remove_prefix(length);
  }
  std::vector<std::string> shown;
  for (const auto& line : lines) {
    std::string& text = shown.emplace_back();
    for (const std::string& character : line) text += character;
  }
  return shown;
}

// Sets a variable of the environment for a while.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    value == nullptr ? unsetenv(name) : setenv(name, value, 1);
  }
  ~Environment() { old_ ? setenv(name_, old_->c_str(), 1) : unsetenv(name_); }
  Environment(const Environment&) = delete;

 private:
  const char* name_;
  std::optional<std::string> old_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(progress)

BOOST_FIXTURE_TEST_CASE(a_file_gets_one_line_an_epoch, Fixture) {
  {
    Progress progress(out, {}, 10, 490, clock());
    for (int step = 1; step <= 490; ++step) progress.step(1, step, 2.3);
    progress.epoch(1, {.loss = 1.6724,
                       .train_accuracy = 0.481,
                       .validation_accuracy = 0.473,
                       .learning_rate = 9e-4,
                       .seconds = 4.1,
                       .best = true});
    progress.epoch(10, {.loss = 0.5});
  }
  BOOST_TEST(out.str() ==
             "epoch  1/10  loss 1.6724  train 48.1%  val 47.3%  lr 0.0009  4.1 s  best\n"
             "epoch 10/10  loss 0.5000\n");
}

BOOST_FIXTURE_TEST_CASE(a_terminal_gets_a_bar, Fixture) {
  Progress progress(out, terminal(), 2, 100, clock());
  progress.step(1, 1, 2.5);
  BOOST_TEST(screen(out.str()).back() == "epoch 1/2 [>                          ]   1%  loss 2.5000");
  now += 0.5;
  progress.step(1, 51, 1.25);
  BOOST_TEST(screen(out.str()).back() ==
             "epoch 1/2 [=============>             ]  51%  loss 1.2500  100 it/s  0:02 left");
  now += 60;
  progress.step(2, 100, 0.75);
  BOOST_TEST(screen(out.str()).back().find("100%  loss 0.7500") != std::string::npos);
  BOOST_TEST(screen(out.str()).back().ends_with("0:00 left"));
  progress.epoch(2, {.loss = 1});
  BOOST_TEST(screen(out.str()) == (std::vector<std::string>{"epoch 2/2  loss 1.0000", ""}),
             boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(slow_steps_are_seconds_a_step, Fixture) {
  Progress progress(out, terminal(), 8, 25, clock());
  progress.step(1, 1, 2.5);
  now += 2.5;
  progress.step(1, 2, 2);
  BOOST_TEST(screen(out.str()).back() ==
             "epoch 1/8 [==>                        ]   8%  loss 2.0000  2.5 s/it  8:15 left");
}

BOOST_FIXTURE_TEST_CASE(between_epochs_the_next_one_is_begun, Fixture) {
  Progress progress(out, terminal(), 2, 10, clock());
  progress.doing("measuring accuracies");
  BOOST_TEST(screen(out.str()).back() == "measuring accuracies");
  progress.step(1, 1, 2.5);
  now += 9;
  progress.step(1, 10, 1.5);
  progress.epoch(1, {.loss = 2});
  BOOST_TEST(screen(out.str()) ==
                 (std::vector<std::string>{
                     "epoch 1/2  loss 2.0000",
                     "epoch 2/2 [>                          ]   0%  loss 1.5000  1.0 it/s  0:10 left"}),
             boost::test_tools::per_element());
  progress.step(2, 10, 1);
  progress.epoch(2, {.loss = 1});
  progress.doing("testing");
  BOOST_TEST(screen(out.str()).back() == "testing");
  progress.finish();  // of what was being done nothing stays
  out << "done";
  BOOST_TEST(screen(out.str()) ==
                 (std::vector<std::string>{"epoch 1/2  loss 2.0000", "epoch 2/2  loss 1.0000", "done"}),
             boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(a_file_is_not_told_what_is_being_done, Fixture) {
  Progress progress(out, {}, 2, 10, clock());
  progress.doing("testing");
  progress.finish();
  BOOST_TEST(out.str() == "");
}

BOOST_FIXTURE_TEST_CASE(at_most_ten_drawings_a_second, Fixture) {
  Progress progress(out, terminal(), 1, 10000, clock());
  for (int step = 1; step <= 10000; ++step) {
    progress.step(1, step, 1);
    now += 1e-3;
  }
  const std::string text = out.str();
  const auto drawings = std::count(text.begin(), text.end(), '\r');
  BOOST_TEST(drawings <= 101);
  BOOST_TEST(drawings >= 95);
}

BOOST_FIXTURE_TEST_CASE(it_never_wraps, Fixture) {
  for (columns = 0; columns < 200; ++columns) {
    for (const bool unicode : {false, true}) {
      out.str("");
      Progress progress(out, terminal(unicode, true), 1000, 5000, clock());
      for (int step = 100; step <= 300; step += 100) {
        progress.step(123, step, 12345.678);
        now += 1;
      }
      const std::string line = screen(out.str()).back();
      BOOST_TEST(int(display_width(line)) < std::max(columns, 1), columns << ": " << line);
      if (columns > 32) BOOST_TEST(line.find("loss") != std::string::npos, columns << ": " << line);
      if (columns > 80) BOOST_TEST(line.find(unicode ? "▕" : "[") != std::string::npos, line);
    }
  }
}

BOOST_FIXTURE_TEST_CASE(the_bar_fills_up_by_eighths, Fixture) {
  columns = 55;
  std::vector<std::string> lines;
  for (const int step : {0, 1, 5, 9, 10}) {
    out.str("");
    Progress progress(out, terminal(true), 1, 10, clock());
    progress.step(1, step, 1);
    lines.push_back(screen(out.str()).back());
  }
  BOOST_TEST(lines.front() == "epoch 1/1 ▕            ▏   0%  loss 1.0000");
  BOOST_TEST(lines[1] == "epoch 1/1 ▕█▏          ▏  10%  loss 1.0000");
  BOOST_TEST(lines[2] == "epoch 1/1 ▕██████      ▏  50%  loss 1.0000");
  BOOST_TEST(lines.back() == "epoch 1/1 ▕████████████▏ 100%  loss 1.0000");
}

BOOST_FIXTURE_TEST_CASE(messages_and_an_interrupt_leave_clean_lines, Fixture) {
  {
    Progress progress(out, terminal(), 3, 100, clock());
    progress.step(1, 1, 2);
    progress.message("iteration 100: loss 2.1");
    BOOST_TEST(screen(out.str()) == (std::vector<std::string>{"iteration 100: loss 2.1", ""}),
               boost::test_tools::per_element());
    now += 1;
    progress.step(1, 50, 1.5);
    out << "^C";  // the terminal's echo
    progress.finish();
    progress.finish();
  }
  const auto lines = screen(out.str());
  BOOST_REQUIRE(lines.size() == 3);
  BOOST_TEST(lines[1].starts_with("epoch 1/3 [=="));
  BOOST_TEST(lines[1].find("^C") == std::string::npos);
  BOOST_TEST(lines[2] == "");
}

BOOST_FIXTURE_TEST_CASE(a_resumed_run_counts_its_own_steps, Fixture) {
  Progress progress(out, terminal(), 10, 100, clock());
  progress.step(9, 50, 1);
  now += 10;
  progress.step(9, 100, 1);  // 5 a second, 100 steps to go
  BOOST_TEST(screen(out.str()).back().find("0:20 left") != std::string::npos, screen(out.str()).back());
}

BOOST_FIXTURE_TEST_CASE(odd_numbers, Fixture) {
  const double inf = std::numeric_limits<double>::infinity();
  Progress progress(out, terminal(), 0, 0, clock());
  for (const double loss : {std::numeric_limits<double>::quiet_NaN(), inf, -inf, 1e300, 0.0}) {
    progress.step(1, 5, loss);
    progress.epoch(1, {.loss = loss});
    now -= 5;  // a clock that goes back
    progress.step(1, 6, loss);
    now += 10;
  }
  BOOST_TEST(out.str().find("loss nan") != std::string::npos);
  BOOST_TEST(out.str().find("loss inf") != std::string::npos);
  BOOST_TEST(out.str().find("loss 1e+300") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(colours_only_where_wanted, Fixture) {
  {
    Progress progress(out, terminal(true, false), 1, 10, clock());
    progress.step(1, 5, 1);
    progress.epoch(1, {.loss = 1, .best = true});
  }
  BOOST_TEST(out.str().find("\x1b[3") == std::string::npos);
  BOOST_TEST(out.str().find("\x1b[0m") == std::string::npos);
  {
    Progress progress(out, terminal(true, true), 1, 10, clock());
    progress.step(1, 5, 1);
  }
  BOOST_TEST(out.str().find("\x1b[36m") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(steps_allocate_nothing, Fixture) {
  // A stream buffer that swallows everything, since a string would grow.
  struct Nothing : std::streambuf {
    int overflow(int c) override { return c; }
    std::streamsize xsputn(const char*, std::streamsize n) override { return n; }
  } nothing;
  std::ostream sink(&nothing);
  Progress progress(sink, terminal(true, true), 10, 1000, clock());
  progress.step(1, 1, 1);
  const std::size_t before = test::allocations();
  for (int step = 2; step <= 1000; ++step) {
    now += 0.05;
    progress.step(1, step, 1.0 / step);
  }
  progress.epoch(1, {.loss = 1, .validation_accuracy = 0.5});
  BOOST_TEST(test::allocations() == before);
}

BOOST_AUTO_TEST_CASE(detection) {
  int controller = -1, device = -1;
  winsize size = {.ws_row = 24, .ws_col = 123, .ws_xpixel = 0, .ws_ypixel = 0};
  BOOST_REQUIRE(openpty(&controller, &device, nullptr, nullptr, &size) == 0);
  {
    const Environment term("TERM", "xterm"), no_colour("NO_COLOR", nullptr), all("LC_ALL", "de_DE.UTF-8");
    const Terminal found = detect_terminal(device);
    BOOST_TEST(found.interactive);
    BOOST_TEST(found.colour);
    BOOST_TEST(found.unicode);
    BOOST_TEST(found.width() == 123);
    size.ws_col = 0;
    ioctl(device, TIOCSWINSZ, &size);
    BOOST_TEST(found.width() == 80);
    const Environment wish("NO_COLOR", "1"), c("LC_ALL", "C");
    BOOST_TEST(!detect_terminal(device).colour);
    BOOST_TEST(!detect_terminal(device).unicode);
    const Environment empty_all("LC_ALL", ""), type("LC_CTYPE", ""), lang("LANG", "C.utf8"),
        empty("NO_COLOR", "");
    BOOST_TEST(detect_terminal(device).colour);
    BOOST_TEST(detect_terminal(device).unicode);
    const Environment dumb("TERM", "dumb");
    BOOST_TEST(!detect_terminal(device).interactive);
  }
  close(device);
  close(controller);
  int ends[2];
  BOOST_REQUIRE(pipe(ends) == 0);
  BOOST_TEST(!detect_terminal(ends[1]).interactive);
  BOOST_TEST(!detect_terminal(ends[1]).colour);
  BOOST_TEST(detect_terminal(ends[1]).width() == 80);
  close(ends[0]);
  close(ends[1]);
}

BOOST_AUTO_TEST_SUITE_END()
