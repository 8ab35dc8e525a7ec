// The file of `plasticity tune`: the fit of times that the model itself computed, and the errors of a bad
// file.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "base/str_cat.hpp"
#include "cuda/estimates.hpp"
#include "cuda/observations.hpp"
#include "cuda/tune.hpp"
#include "plasticity/error.hpp"
#include "simt/schedules.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"

namespace plasticity::cuda {
namespace {

const DeviceLimits h100 = limits_of("h100");

/// The measurements of a device with these constants, without noise.
std::vector<Observation> observations_of(const DeviceConstants& constants) {
  std::vector<Observation> all;
  for (const ShapedRun& run : runs_of(tuning_measurements(), h100)) {
    const Measurement& each = run.measurement;
    const Sizes sizes{.B = each.batch, .T = each.steps, .bf16 = each.bf16};
    Candidate candidate{.execution = each.execution, .interval = each.interval, .estimate = {}};
    if (run.shape) candidate.shape = *run.shape;
    all.push_back({each.spec(), sizes, candidate,
                   estimate_of(CostModel(each.spec(), sizes, h100, constants), candidate)});
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
  const auto is_fitted = [](const DeviceConstants::Member& member) { return member.prior_weight < 1; };
  int recovered = 0;
  for (int trial = 0; trial < 3; ++trial) {
    DeviceConstants wanted;
    for (const auto& member : DeviceConstants::members())
      if (is_fitted(member)) wanted.*member.pointer *= std::exp(factor(random));
    const std::vector<Observation> observations = observations_of(wanted);
    EXPECT_GT(log_error(observations, h100, {}), 0.05);
    const DeviceConstants fitted = fit_constants(observations, h100, {});
    EXPECT_LT(log_error(observations, h100, fitted), 0.01);
    for (const auto& member : DeviceConstants::members()) {
      if (!is_fitted(member) || !matters(observations, wanted, member.pointer)) continue;
      // The built-in value has a weight, so it draws the fitted one.
      EXPECT_NEAR(fitted.*member.pointer / wanted.*member.pointer, 1, 0.1) << member.name;
      ++recovered;
    }
  }
  EXPECT_GE(recovered, 3 * 11);
}

// A constant that the times do not determine keeps a sensible value.
TEST(Fit, KeepsConstantsThatNoTimeDependsOn) {
  DeviceConstants wanted;
  wanted.step_row *= 1.5;
  std::vector<Observation> steps;
  for (const Observation& each : observations_of(wanted))
    if (each.candidate.execution == Execution::graph) steps.push_back(each);
  const DeviceConstants fitted = fit_constants(steps, h100, {});
  EXPECT_NEAR(fitted.step_row / wanted.step_row, 1, 0.05);
  const DeviceConstants built_in;
  EXPECT_DOUBLE_EQ(fitted.grid_barrier, built_in.grid_barrier);
  EXPECT_DOUBLE_EQ(fitted.resident_forward_rate, built_in.resident_forward_rate);
}

// Measured times scatter. The fit stays close.
TEST(Fit, EndsNearTheConstantsOfScatteredTimes) {
  std::mt19937_64 random(8);
  std::normal_distribution<double> noise(0, 0.05);
  DeviceConstants wanted;
  wanted.step_row *= 1.3;
  wanted.grid_barrier *= 0.7;
  std::vector<Observation> observations = observations_of(wanted);
  for (Observation& each : observations) {
    each.measured.forward *= std::exp(noise(random));
    each.measured.backward *= std::exp(noise(random));
  }
  const DeviceConstants fitted = fit_constants(observations, h100, {});
  EXPECT_LT(log_error(observations, h100, fitted), 0.055);
  EXPECT_NEAR(fitted.step_row / wanted.step_row, 1, 0.1);
  EXPECT_NEAR(fitted.grid_barrier / wanted.grid_barrier, 1, 0.1);
}

// The execution with the smallest estimate is the fastest of those that were timed on a GPU, or at most a
// tenth slower.
TEST(BuiltInConstants, ChooseTheFastestOfTheMeasuredExecutions) {
  const Measurements measured = read_measurements(PLASTICITY_MEASURED_TIMES);
  std::map<std::string, std::pair<Estimate, double>> chosen;  // with its estimate
  std::map<std::string, double> fastest;
  for (const Observation& each : measured.observations) {
    const std::string name =
        str_cat(to_string(each.spec.cell), ' ', to_string(each.spec.rule), " N ", each.spec.neurons, " B ",
                each.sizes.B, " T ", each.sizes.T, each.sizes.bf16 ? " bf16" : " f32");
    const CostModel model(each.spec, each.sizes, measured.limits, {});
    const double estimate = estimate_of(model, each.candidate).total();
    const auto [best, first] = fastest.emplace(name, each.measured.total());
    best->second = std::min(best->second, each.measured.total());
    if (first || estimate < chosen[name].second) chosen[name] = {each.measured, estimate};
  }
  EXPECT_GE(fastest.size(), 26u);
  for (const auto& [name, time] : fastest) EXPECT_LT(chosen[name].first.total(), 1.15 * time) << name;
  EXPECT_LT(log_error(measured.observations, measured.limits, {}), 0.2);
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

// Every part of a thread at each width, so that the planner's choice of a shape is measured too.
TEST(Tune, TimesEveryShape) {
  simt::run([] {
    for (const bool bf16 : {false, true}) {
      const Measurement cluster{.neurons = 33,
                                .batch = 1,
                                .steps = 2,
                                .interval = 1,
                                .execution = Execution::cluster,
                                .bf16 = bf16,
                                .every_shape = true};
      const std::vector<ShapedRun> runs = runs_of({cluster}, DeviceLimits::of_device(0));
      const std::vector<Observation> observations = measure(0, {cluster}, 0);
      ASSERT_EQ(observations.size(), runs.size());
      EXPECT_GE(runs.size(), bf16 ? 2u : 4u);
      for (std::size_t k = 0; k < runs.size(); ++k) {
        EXPECT_TRUE(observations[k].candidate.shape == *runs[k].shape);
        EXPECT_EQ(observations[k].sizes.bf16, bf16);
        for (std::size_t j = 0; j < k; ++j) EXPECT_FALSE(*runs[k].shape == *runs[j].shape);
      }
    }
  });
}

TEST(Tune, KnowsTheDevice) {
  simt::run([] {
    const DeviceLimits limits = DeviceLimits::of_device(0);
    EXPECT_NEAR(limits.memory_rate, 3.35e6, 0.01e6);  // 2619 MHz, twice, 5120 bits
    for (const int clusters : limits.clusters) EXPECT_GT(clusters, 0);
    EXPECT_GT(limits.clusters.front(), limits.clusters.back());
  });
}

class TuningFile : public ::testing::Test {
 protected:
  void write(const std::string& text) const { std::ofstream(path_) << text; }
  std::string message_for(const std::string& text) const {
    write(text);
    const Error error = testing::error_of([&] { read_tuning(path_); });
    EXPECT_EQ(error.code(), ErrorCode::format);
    return error.what();
  }
  void TearDown() override { unsetenv("PLASTICITY_TUNING_FILE"); }

  const testing::TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_ / "tuning.json";
};

TEST_F(TuningFile, KeepsTheConstants) {
  DeviceConstants constants;
  constants.launch = 3.25;
  constants.memory_share = 0.1234567891;
  write(tuning_text(constants, {.device = "a GPU", .limits = {}, .observations = {}}));
  EXPECT_EQ(read_tuning(path_), constants);
  write(R"({"format": "plasticity tuning 2", "constants": {"grid_barrier": 7}})");
  DeviceConstants one;
  one.grid_barrier = 7;
  EXPECT_EQ(read_tuning(path_), one);
}

TEST_F(TuningFile, IsNamedByTheEnvironment) {
  EXPECT_EQ(current_constants(), DeviceConstants{});
  // Launches that cost a second leave only resident executions.
  DeviceConstants constants;
  constants.step_forward_outside = 1e6;
  write(tuning_text(constants, {.device = "a GPU", .limits = {}, .observations = {}}));
  const auto chosen = [] {
    const Spec spec{.neurons = 4};
    const PlanOptions options{.steps = 9, .batch = 100000};
    return choose_execution(
        spec, {.B = 100000, .T = 9}, h100,
        planner_options(spec, options, h100, [](std::int64_t) { return std::size_t{1}; }));
  };
  setenv("PLASTICITY_TUNING_FILE", path_.c_str(), 1);
  EXPECT_TRUE(chosen().resident());
  constants.step_forward_outside = 1e-3;
  constants.resident_forward_outside = 1e6;
  write(tuning_text(constants, {.device = "a GPU", .limits = {}, .observations = {}}));
  EXPECT_FALSE(chosen().resident());
}

TEST_F(TuningFile, BadOnesAreErrorsThatNameTheKey) {
  const std::string begin = R"({"format": "plasticity tuning 2", "constants": )";
  const auto has = [&](const std::string& text, const std::string& expected) {
    const std::string message = message_for(text);
    EXPECT_NE(message.find(path_.string()), std::string::npos) << message;
    EXPECT_NE(message.find(expected), std::string::npos) << message;
  };
  has("no json", "the file: expected a JSON object");
  has("{}", "format: expected \"plasticity tuning 2\", got none");
  has(R"({"format": 2})", "format: expected \"plasticity tuning 2\", got 2");
  has(R"({"format": "plasticity tuning 2"})", "constants: expected an object of constants, got none");
  has(begin + "3}", "constants: expected an object of constants, got 3");
  has(begin + R"({"speed": 3}})", "constants: expected one of launch, graph_launch,");
  has(begin + R"({"launch": -1}})", "constants.launch: expected a positive number, got -1");
  has(begin + R"({"launch": "2"}})", "constants.launch: expected a positive number, got \"2\"");
  has(begin + R"({"launch": 1e999}})", "expected");
  std::filesystem::remove(path_);
  setenv("PLASTICITY_TUNING_FILE", path_.c_str(), 1);
  testing::expect_error([] { current_constants(); }, ErrorCode::io,
                        "PLASTICITY_TUNING_FILE: expected a file that can be read");
}

// The file keeps the times, so that the fit can be repeated without a GPU.
TEST_F(TuningFile, KeepsTheTimes) {
  DeviceConstants constants;
  constants.step_row *= 1.4;
  const Measurements written{.device = "a GPU", .limits = h100, .observations = observations_of(constants)};
  write(tuning_text({}, written));
  const Measurements read = read_measurements(path_);
  EXPECT_EQ(read.device, "a GPU");
  EXPECT_EQ(read.limits.clusters, h100.clusters);
  EXPECT_EQ(read.limits.memory_rate, h100.memory_rate);
  ASSERT_EQ(read.observations.size(), written.observations.size());
  for (std::size_t k = 0; k < read.observations.size(); ++k) {
    const Observation &a = written.observations[k], &b = read.observations[k];
    EXPECT_EQ(describe(a.candidate, false).substr(0, 40), describe(b.candidate, false).substr(0, 40));
    EXPECT_TRUE(a.candidate.shape == b.candidate.shape);
    EXPECT_EQ(a.sizes.bf16, b.sizes.bf16);
    EXPECT_NEAR(a.measured.forward, b.measured.forward, 6e-4);
    EXPECT_NEAR(a.measured.backward, b.measured.backward, 6e-4);
  }
  const Tuning fitted = run_fit(path_.string());
  write(fitted.file);
  EXPECT_NEAR(read_tuning(path_).step_row / constants.step_row, 1, 0.05);
  EXPECT_EQ(read_measurements(path_).observations.size(), written.observations.size());
  EXPECT_NE(fitted.lines.find("rnn hard_clip fan_out N 200 B 30 T 50 f32"), std::string::npos)
      << fitted.lines;
}

TEST_F(TuningFile, BadTimesAreErrorsThatNameTheKey) {
  const auto message = [&](const std::string& text) -> std::string {
    write(text);
    return testing::message_of([&] { read_measurements(path_); });
  };
  const std::string good =
      tuning_text({}, {.device = "a GPU", .limits = h100, .observations = {observations_of({}).back()}});
  const auto has = [&](const char* part, const char* instead, const char* expected) {
    std::string text = good;
    const std::size_t at = text.find(part);
    ASSERT_NE(at, std::string::npos) << part;
    text.replace(at, std::string(part).size(), instead);
    EXPECT_NE(message(text).find(expected), std::string::npos) << message(text);
  };
  EXPECT_NE(message("no json").find(": expected JSON of `plasticity tune`, got other text"),
            std::string::npos);
  EXPECT_NE(message("[]").find("the file: expected an object, got []"), std::string::npos);
  EXPECT_NE(message("{}").find("the file.format: expected a name, got none"), std::string::npos);
  has("plasticity tuning 2", "plasticity tuning 1", "the file.format: expected");
  has("\"limits\"", "\"limit\"", "the file.limits: expected an object, got none");
  has("\"multiprocessors\": 132", "\"multiprocessors\": -1",
      "limits.multiprocessors: expected a positive number");
  has("\"neurons\"", "\"neuron\"", "observations[0].neurons: expected a whole number, got none");
  has("\"cell\": \"rnn\"", "\"cell\": \"gru\"", "observations[0].cell");
  has("\"rows_32x1\"", "\"rows_1x1\"", "observations[0].thread: expected a shape that fits");
  has("\"forward_us\": ", "\"forward_us\": -", "observations[0].forward_us: expected a positive number");
}

}  // namespace
}  // namespace plasticity::cuda
