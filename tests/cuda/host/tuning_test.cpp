// The file of `plasticity tune`: the fit of times that the model itself computed, and the errors of a bad
// file.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

#include "cuda/estimates.hpp"
#include "cuda/tune.hpp"
#include "plasticity/error.hpp"
#include "simt/schedules.hpp"

namespace plasticity::cuda {
namespace {

const DeviceLimits h100 = limits_of("h100");

/// The measurements of a device with these constants, without noise.
std::vector<Observation> observations_of(const DeviceConstants& constants) {
  std::vector<Observation> all;
  for (const Measurement& each : tuning_measurements()) {
    const Spec spec{
        .cell = Cell::rnn, .rule = Rule::hard_clip, .rate = Rate::fan_out, .neurons = each.neurons};
    const Sizes sizes{.B = each.batch, .T = each.steps};
    try {
      const ExecutionChoice choice = choose_execution(
          spec, sizes, h100, {.wanted = each.execution, .intervals = {each.interval}, .constants = {}});
      const Candidate& candidate = choice.candidates[choice.chosen];
      all.push_back(
          {spec, sizes, candidate, estimate_of(CostModel(spec, sizes, h100, constants), candidate)});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::unsupported);
    }
  }
  return all;
}

/// Whether the times depend on a constant. (With a slow warp the issue rate, for example, may never matter.)
bool matters(const std::vector<Observation>& observations, DeviceConstants constants,
             double DeviceConstants::*member) {
  constants.*member *= 1.05;
  return log_error(observations, h100, constants) > 1e-3;
}

TEST(Fit, RecoversTheConstantsOfTheTimes) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> factor(std::log(0.6), std::log(1.7));
  int recovered = 0;
  for (int trial = 0; trial < 5; ++trial) {
    DeviceConstants wanted;
    for (const auto& member : DeviceConstants::members()) wanted.*member.pointer *= std::exp(factor(random));
    const std::vector<Observation> observations = observations_of(wanted);
    EXPECT_GT(log_error(observations, h100, {}), 0.05);
    const DeviceConstants fitted = fit_constants(observations, h100, {});
    EXPECT_LT(log_error(observations, h100, fitted), 0.002);
    for (const auto& member : DeviceConstants::members()) {
      if (!matters(observations, wanted, member.pointer)) continue;
      EXPECT_NEAR(fitted.*member.pointer / wanted.*member.pointer, 1, 0.02) << member.name;
      ++recovered;
    }
  }
  EXPECT_GE(recovered, 5 * 13);
}

// Measured times scatter. The fit stays close.
TEST(Fit, EndsNearTheConstantsOfScatteredTimes) {
  std::mt19937_64 random(8);
  std::normal_distribution<double> noise(0, 0.05);
  DeviceConstants wanted;
  wanted.memory_rate *= 1.3;
  wanted.grid_barrier *= 0.7;
  std::vector<Observation> observations = observations_of(wanted);
  for (Observation& each : observations) {
    each.measured.forward *= std::exp(noise(random));
    each.measured.backward *= std::exp(noise(random));
  }
  const DeviceConstants fitted = fit_constants(observations, h100, {});
  EXPECT_LT(log_error(observations, h100, fitted), 0.055);
  EXPECT_NEAR(fitted.memory_rate / wanted.memory_rate, 1, 0.1);
  EXPECT_NEAR(fitted.grid_barrier / wanted.grid_barrier, 1, 0.1);
}

TEST(Tune, TimesEveryExecutionThatFits) {
  simt::run([] {
    const std::vector<Observation> observations = measure(0,
                                                          {{9, 2, 3, 1, Execution::step},
                                                           {9, 2, 3, 2, Execution::graph},
                                                           {900, 1, 1, 1, Execution::cta},  // does not fit
                                                           {9, 2, 3, 1, Execution::cta},
                                                           {9, 2, 3, 1, Execution::grid}},
                                                          0);
    ASSERT_EQ(observations.size(), 4u);
    EXPECT_EQ(observations[1].candidate.execution, Execution::graph);
    EXPECT_EQ(observations[1].candidate.interval, 2);
    EXPECT_EQ(observations[2].candidate.execution, Execution::cta);
    for (const Observation& each : observations) {
      EXPECT_GT(each.measured.forward, 0);
      EXPECT_GT(each.measured.backward, 0);
    }
  });
}

class TuningFile : public ::testing::Test {
 protected:
  void write(const std::string& text) const { std::ofstream(path_) << text; }
  std::string error_of(const std::string& text) const {
    write(text);
    try {
      read_tuning(path_);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::format);
      return error.what();
    }
    return "no error";
  }
  void TearDown() override {
    unsetenv("PLASTICITY_TUNING");
    std::filesystem::remove(path_);
  }
  const std::filesystem::path path_ = std::filesystem::temp_directory_path() / "plasticity_tuning_test.json";
};

TEST_F(TuningFile, KeepsTheConstants) {
  DeviceConstants constants;
  constants.launch = 3.25;
  constants.memory_rate = 1234567.891;
  write(tuning_text(constants, "a GPU"));
  EXPECT_EQ(read_tuning(path_), constants);
  write(R"({"format": "plasticity tuning 1", "constants": {"grid_barrier": 7}})");
  DeviceConstants one;
  one.grid_barrier = 7;
  EXPECT_EQ(read_tuning(path_), one);
}

TEST_F(TuningFile, IsNamedByTheEnvironment) {
  EXPECT_EQ(current_constants(), DeviceConstants{});
  // Launches that cost a second leave only resident executions.
  DeviceConstants constants;
  constants.kernel_gap = 1e6;
  write(tuning_text(constants, "a GPU"));
  const auto chosen = [] {
    const Spec spec{.neurons = 4};
    const PlanOptions options{.steps = 9, .batch = 100000};
    return choose_execution(
        spec, {.B = 100000, .T = 9}, h100,
        planner_options(spec, options, h100, [](std::int64_t) { return std::size_t{1}; }));
  };
  setenv("PLASTICITY_TUNING", path_.c_str(), 1);
  EXPECT_TRUE(chosen().resident());
  constants.kernel_gap = 1e-3;
  constants.resident_forward_outside = 1e6;
  write(tuning_text(constants, "a GPU"));
  EXPECT_FALSE(chosen().resident());
}

TEST_F(TuningFile, BadOnesAreErrorsThatNameTheKey) {
  const std::string begin = R"({"format": "plasticity tuning 1", "constants": )";
  const auto has = [&](const std::string& text, const std::string& expected) {
    const std::string message = error_of(text);
    EXPECT_NE(message.find(path_.string()), std::string::npos) << message;
    EXPECT_NE(message.find(expected), std::string::npos) << message;
  };
  has("no json", "the file: expected a JSON object");
  has("{}", "format: expected \"plasticity tuning 1\", got none");
  has(R"({"format": 2})", "format: expected \"plasticity tuning 1\", got 2");
  has(R"({"format": "plasticity tuning 1"})", "constants: expected an object of constants, got none");
  has(begin + "3}", "constants: expected an object of constants, got 3");
  has(begin + R"({"speed": 3}})", "constants: expected one of launch, graph_launch,");
  has(begin + R"({"launch": -1}})", "constants.launch: expected a positive number, got -1");
  has(begin + R"({"launch": "2"}})", "constants.launch: expected a positive number, got \"2\"");
  has(begin + R"({"launch": 1e999}})", "expected");
  std::filesystem::remove(path_);
  setenv("PLASTICITY_TUNING", path_.c_str(), 1);
  try {
    current_constants();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io);
    EXPECT_NE(std::string(error.what()).find("PLASTICITY_TUNING: expected a file that can be read"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace plasticity::cuda
