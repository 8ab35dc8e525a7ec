// `plasticity time` and `plasticity times`.
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/str_cat.hpp"
#include "cli/tool.hpp"

namespace plasticity {
namespace {

TEST_F(Tool, TimePrintsJson) {
  const Outcome outcome =
      run("time --cell lstm --rule hard_clip --rate fan_out --alpha post --neurons 9 --batch 3 --steps 5 "
          "--inputs 4 --device cpu "
          "--threads 2 --precision f64 --seconds 0.01");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
  const auto json = nlohmann::json::parse(outcome.output);
  for (const char* key : {"forward_ms_per_step", "backward_ms_per_step"})
    EXPECT_GT(json.at(key).get<double>(), 0) << key;
  for (const char* key : {"tape_bytes", "scratch_bytes", "peak_rss_bytes"})
    EXPECT_GT(json.at(key).get<std::int64_t>(), 0) << key;
  EXPECT_GT(json.at("device_memory_bytes").get<std::int64_t>(),
            json.at("tape_bytes").get<std::int64_t>() + json.at("scratch_bytes").get<std::int64_t>());
  EXPECT_EQ(json.at("configuration").at("rule"), "hard_clip");
  EXPECT_EQ(json.at("configuration").at("threads"), 2);
}

TEST_F(Tool, TimesSkipsCommentsAndRefusesHelp) {
  std::ofstream(at("lines"))
      << "# two lines without a configuration\n \t\r\n\n"
      << "--cell rnn --rule decay --rate fixed --neurons 9 --batch 2 --steps 3 --device "
         "cpu --threads 1 --seconds 0\n--help\n--cell r\xffn\n";
  const Outcome outcome = run("times " + at("lines"));
  EXPECT_EQ(outcome.exit_code, 1) << outcome.output;
  std::istringstream lines(outcome.output);
  std::string timed, help, not_utf8, more;
  std::getline(lines, timed);
  std::getline(lines, help);
  std::getline(lines, not_utf8);
  EXPECT_TRUE(nlohmann::json::parse(timed).contains("forward_ms_per_step")) << outcome.output;
  EXPECT_EQ(nlohmann::json::parse(help).at("error"),
            "line: expected the options of a configuration, got --help");
  EXPECT_TRUE(nlohmann::json::parse(not_utf8).contains("error")) << outcome.output;
  EXPECT_FALSE(std::getline(lines, more)) << more;
}

TEST_F(Tool, TimesRefusesADirectory) {
  const Outcome outcome = run("times " + folder.path().string());
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_TRUE(has(outcome, "FILE: expected a file that can be read, got " + folder.path().string()))
      << outcome.output;
}

TEST_F(Tool, RefusesNumbersOutOfRange) {
  const std::string time =
      "time --cell rnn --rule decay --rate fixed --neurons 9 --batch 2 --steps 3 --device cpu ";
  for (const char* seconds : {"nan", "inf", "-1", "3601", "1s", "''"}) {
    const Outcome outcome = run(time + "--seconds " + seconds);
    EXPECT_EQ(outcome.exit_code, 2) << seconds;
    EXPECT_TRUE(has(outcome, "--seconds: expected a number from 0 to 3600, got '")) << outcome.output;
    EXPECT_EQ(run(str_cat("tune --seconds ", seconds, " ", at("tuning"))).exit_code, 2) << seconds;
  }
  const std::string train = "train images --data drawn --device cpu --out " + at("out") + " ";
  for (const char* number : {"18446744073709551616", "-1", "1.5", "0x10", "''"}) {
    for (const std::string& option : {time + "--memory-budget", train + "--seed"}) {
      const Outcome outcome = run(str_cat(option, " ", number));
      EXPECT_EQ(outcome.exit_code, 2) << number;
      EXPECT_TRUE(has(outcome, ": expected a whole number from 0 to 18446744073709551615, got '"))
          << outcome.output;
    }
  }
  EXPECT_EQ(run(time + "--seconds 0 --memory-budget 18446744073709551615").exit_code, 0);
}

TEST_F(Tool, RefusesEstimatesInDouble) {
  const Outcome outcome = run(
      "time --cell rnn --rule decay --rate fixed --neurons 9 --batch 2 --steps 3 --precision f64 --estimate "
      "h100");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(last_line(outcome.output),
            "plasticity: --precision: expected f32 or bf16 with --estimate, got f64");
}

// A wrong line prints an error, and the other lines are timed.
TEST_F(Tool, TimesManyConfigurationsInOneProcess) {
  const std::string common = "--rate fixed --batch 2 --steps 3 --device cpu --threads 1 --seconds 0 ";
  std::ofstream(at("lines")) << common << "--cell rnn --rule decay --neurons 9\n"
                             << common << "--cell cnn --rule decay --neurons 9\n"
                             << common << "--cell rnn --rule oja --neurons 9 --execution step\n"
                             << common << "--cell rnn --rule oja --neurons 7\n";
  const Outcome outcome = run("times " + at("lines"));
  EXPECT_EQ(outcome.exit_code, 1) << outcome.output;
  std::vector<nlohmann::json> results;
  std::istringstream lines(outcome.output);
  for (std::string line; std::getline(lines, line);) results.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(results.size(), 4u) << outcome.output;
  EXPECT_GT(results[0].at("forward_ms_per_step").get<double>(), 0);
  EXPECT_EQ(results[0].at("configuration").at("neurons"), 9);
  EXPECT_TRUE(results[1].at("error").get<std::string>().starts_with("--cell: cnn not in")) << results[1];
  EXPECT_TRUE(results[2].contains("error")) << results[2];
  EXPECT_EQ(results[3].at("configuration").at("neurons"), 7);
  EXPECT_EQ(run("times " + at("missing")).exit_code, 1);
}

TEST_F(Tool, PacedTimePrintsOneLinePerInputLine) {
  const std::string command = std::string("printf 'go\\ngo\\n' | ") + PLASTICITY_TOOL_PATH +
                              " time --cell rnn --rule decay --rate fixed --neurons 9 --batch 2 --steps 3 "
                              "--device cpu --threads 1 --seconds 0 --paced > " +
                              at("rounds");
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::ifstream file(at("rounds"));
  int rounds = 0;
  for (std::string line; std::getline(file, line); ++rounds) {
    const auto json = nlohmann::json::parse(line);
    EXPECT_GT(json.at("backward_ms_per_step").get<double>(), 0);
    EXPECT_EQ(json.at("repetitions"), nlohmann::json({1, 1}));
    EXPECT_GE(json.at("peak_rss_bytes").get<std::int64_t>(), json.at("idle_rss_bytes").get<std::int64_t>());
  }
  EXPECT_EQ(rounds, 2);
}

TEST_F(Tool, RequiredOptionsHaveNoDefault) {
  const std::string help = run("time --help").output;
  std::istringstream lines(help);
  int required = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("REQUIRED") == std::string::npos) continue;
    ++required;
    EXPECT_EQ(line.find('='), std::string::npos) << line;
  }
  EXPECT_EQ(required, 6) << help;
}

}  // namespace
}  // namespace plasticity
